"""Features of a word's written form: its characters; its prefixes, suffixes and shape.

Bundles call the vocabulary of the latter ``traits``, and the table of their vectors ``surface``.
"""

# F distinct written forms, K features that one may have: prefixes, suffixes, shape

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from birnn.inputs.vocabulary import Vocabulary, normalise
from birnn.ragged import Ragged
from birnn.reference.stack import Stack
from birnn.schema import Frozen, Size

AffixLengths = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(max_length=64)]

LONGEST_SPELLING = 64

_RUN = re.compile(r"(.)\1{2,}", re.DOTALL)


class Characters(Frozen):
    """A word's characters, read by a bidirectional LSTM once for each distinct word.

    The word's vector is the forward half's state after the last character concatenated with the
    backward half's state after the first: 2 * hidden_size wide.
    """

    size: Size = Field(description="known characters, the unknown one included")
    dim: Size = Field(description="width of a character's vector")
    hidden_size: Size = Field(description="hidden units of each direction")

    @property
    def stack(self) -> Stack:
        """The recurrent network over characters."""
        return Stack("lstm", self.dim, self.hidden_size)

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.stack.output_size


class Surface(Frozen):
    """Affix and shape features of words.

    Each known feature has a vector; a word's vector is the sum of those that it has.
    """

    size: Size = Field(description="known features, the unknown one included")
    dim: Size = Field(description="width of a feature's vector")
    prefixes: AffixLengths = Field(description="lengths of the prefixes")
    suffixes: AffixLengths = Field(description="lengths of the suffixes")

    @property
    def features(self) -> int:
        """Number of features that a word may have: the prefixes, the suffixes and the shape."""
        return len(self.prefixes) + len(self.suffixes) + 1

    @property
    def width(self) -> int:
        """Width of a word's vector."""
        return self.dim


def spellings(forms: Sequence[str], characters: Vocabulary) -> Ragged[npt.NDArray[np.int64]]:
    """Numbers of the characters of each form, forms over 64 characters cut to 32 at each end.

    Example:
        >>> spellings(["cab", "a"], Vocabulary("abc")).values.tolist()
        [3, 1, 2, 1]
    """
    half = LONGEST_SPELLING // 2
    cut = [form if len(form) <= LONGEST_SPELLING else form[:half] + form[-half:] for form in forms]
    points = np.frombuffer("".join(cut).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    distinct_points, inverse = np.unique(points, return_inverse=True)
    numbers = characters.ids(map(chr, distinct_points.tolist()))
    return Ragged(numbers[inverse], np.array([len(form) for form in cut], dtype=np.int64))


def features_of(form: str, prefixes: Sequence[int], suffixes: Sequence[int]) -> list[str]:
    """The names of a form's features, K of them; "" where a form is too short to have one.

    Prefixes and suffixes are those of the form in lower case with every digit as 0.

    Example:
        >>> features_of("McDo1", prefixes=(1, 9), suffixes=(2,))
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


def learn_features(
    forms: Iterable[str], prefixes: Sequence[int], suffixes: Sequence[int], *, min_count: int = 2
) -> Vocabulary:
    """The features that enough distinct forms have.

    A feature that only one form has would identify that word, and not help with new ones.

    Args:
        forms: Distinct written forms of training.
        prefixes: Lengths of the prefixes.
        suffixes: Lengths of the suffixes.
        min_count: Least number of forms that have a known feature.

    Example:
        >>> learn_features(["running", "reading"], prefixes=(1,), suffixes=(3,)).items
        ('<unk>', 'p1=r', 's3=ing', 'shape=xx')
    """
    return Vocabulary.count(
        (feature for form in forms for feature in features_of(form, prefixes, suffixes) if feature),
        min_count,
    )


def feature_ids(
    forms: Sequence[str], prefixes: Sequence[int], suffixes: Sequence[int], known: Vocabulary
) -> npt.NDArray[np.int64]:
    """Number of each feature of each form, (F, K); 0 for one that is unknown or not there.

    Example:
        >>> known = learn_features(["running", "reading"], prefixes=(1,), suffixes=(3,))
        >>> feature_ids(["Ring", "so"], (1,), (3,), known).tolist()
        [[1, 2, 0], [0, 0, 3]]
    """
    width = len(prefixes) + len(suffixes) + 1
    ids = known.ids(feature for form in forms for feature in features_of(form, prefixes, suffixes))
    return ids.reshape(len(forms), width)
