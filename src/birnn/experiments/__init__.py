"""Placeholder: replaced when the room is furnished."""
