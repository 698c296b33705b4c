"""Traits of written forms: hashed prefixes, suffixes and shape."""

# F distinct written forms, traits of one: prefixes, suffixes, shape

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Surface

_RUN = re.compile(r"(.)\1{2,}", re.DOTALL)


def traits(forms: Sequence[str], surface: Surface) -> npt.NDArray[np.int64]:
    """Rows of the table ``surface.weight`` for each form.

    Trait k of a form is, in order, its prefix of each length of ``surface.prefixes`` and its
    suffix of each of ``surface.suffixes``, both of the form in lower case (a shorter form whole),
    and last its shape. Its row is ``crc32(trait in UTF-8) % buckets + k * buckets``.

    Args:
        forms: F written forms.
        surface: Lengths and buckets.

    Returns:
        Rows, int64 of shape (F, traits).

    Example:
        >>> surface = Surface(buckets=50, dim=4, prefixes=(1,), suffixes=(2,))
        >>> rows = traits(["Running", "Reading"], surface)
        >>> (rows[0] == rows[1]).tolist(), rows.shape
        ([True, True, True], (2, 3))
    """
    rows = [
        [zlib.crc32(value.encode("utf-8", "surrogatepass")) for value in _values(form, surface)]
        for form in forms
    ]
    hashed = np.array(rows, dtype=np.int64).reshape(len(rows), surface.traits)
    offsets = np.arange(surface.traits, dtype=np.int64) * surface.buckets
    return hashed % surface.buckets + offsets


def shape_of(form: str) -> str:
    """The shape of a written form.

    An upper-case letter becomes X, a lower-case letter x, a digit d; any other character stays.
    Runs of more than two of the same are cut to two.

    Example:
        >>> shape_of("McDonald's"), shape_of("1,000-fold")
        ("XxXxx'x", 'd,dd-xx')
    """
    marks = "".join(
        "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in form
    )
    return _RUN.sub(r"\1\1", marks)


def _values(form: str, surface: Surface) -> list[str]:
    low = form.lower()
    return [
        *(low[:length] for length in surface.prefixes),
        *(low[-length:] for length in surface.suffixes),
        shape_of(form),
    ]
