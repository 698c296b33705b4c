"""Generators of embedded data, and experiments that show what each direction knows."""
