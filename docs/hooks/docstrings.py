"""Extension of griffe: our docstrings in the words that its reader of Google's style knows."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTIONS = {"Example": "Examples"}  # else they are taken for quotations
FIELDS = {"Args": "Attributes"}  # of a named tuple, which has no __init__ of its own to read


class Docstrings(griffe.Extension):
    """Names sections as griffe expects them."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename sections before the docstring is parsed."""
        if obj.docstring is None:
            return
        names = dict(SECTIONS)
        if obj.is_class and any("NamedTuple" in str(base) for base in obj.bases):
            names |= FIELDS
        for ours, theirs in names.items():
            section = re.compile(rf"^(\s*){ours}:$", re.MULTILINE)
            obj.docstring.value = section.sub(rf"\1{theirs}:", obj.docstring.value)
