"""Traits of written forms: prefixes, suffixes and shape."""

# F distinct written forms, K traits that one may have: prefixes, suffixes, shape

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from birnn.inputs.vocabulary import Vocabulary, normalise

_RUN = re.compile(r"(.)\1{2,}", re.DOTALL)


def traits_of(form: str, prefixes: Sequence[int], suffixes: Sequence[int]) -> list[str]:
    """The names of a form's traits, K of them; "" where a form is too short to have one.

    Prefixes and suffixes are those of the form in lower case with every digit as 0.

    Example:
        >>> traits_of("McDo1", prefixes=(1, 9), suffixes=(2,))
        ['p1=m', '', 's2=o0', 'shape=XxXxd']
    """
    plain = normalise(form, lowercase=True, digits=True)
    return [
        *(f"p{n}={plain[:n]}" if len(plain) >= n else "" for n in prefixes),
        *(f"s{n}={plain[-n:]}" if len(plain) >= n else "" for n in suffixes),
        f"shape={shape_of(form)}",
    ]


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


def learn_traits(
    forms: Iterable[str], prefixes: Sequence[int], suffixes: Sequence[int], *, min_count: int = 2
) -> Vocabulary:
    """The traits that enough distinct forms have.

    A trait of a single form would be that word by another name: learnt by heart, of no use for
    the words to come.

    Args:
        forms: Distinct written forms of training.
        prefixes: Lengths of the prefixes.
        suffixes: Lengths of the suffixes.
        min_count: Forms that a known trait has, at least.

    Example:
        >>> learn_traits(["running", "reading"], prefixes=(1,), suffixes=(3,)).items
        ('<unk>', 'p1=r', 's3=ing', 'shape=xx')
    """
    return Vocabulary.count(
        (trait for form in forms for trait in traits_of(form, prefixes, suffixes) if trait),
        min_count,
    )


def trait_ids(
    forms: Sequence[str], prefixes: Sequence[int], suffixes: Sequence[int], known: Vocabulary
) -> npt.NDArray[np.int64]:
    """Number of each trait of each form, (F, K); 0 for one that is unknown or not there.

    Example:
        >>> known = learn_traits(["running", "reading"], prefixes=(1,), suffixes=(3,))
        >>> trait_ids(["Ring", "so"], (1,), (3,), known).tolist()
        [[1, 2, 0], [0, 0, 3]]
    """
    width = len(prefixes) + len(suffixes) + 1
    ids = known.ids(trait for form in forms for trait in traits_of(form, prefixes, suffixes))
    return ids.reshape(len(forms), width)
