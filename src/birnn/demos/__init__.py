"""Demonstrations: data whose law is known, and what one direction and two make of it."""
