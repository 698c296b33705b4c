"""Batches as a model reads them: numbers for each row, and what is computed once for a form."""

# N rows of all sequences, B sequences, F distinct written forms, D channels, K target values

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.ragged import Ragged

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class WordRows:
    """Words.

    Args:
        words: Number of each row's word in the vocabulary, (N,).
        forms: Which of the F distinct written forms each row is, (N,).
        written: The distinct forms, strings, (F,).
        characters: Numbers of the forms' characters, one sequence for each form; or ``None``.
        traits: Rows of the forms' traits in ``surface.weight``, (F, traits); or ``None``.
    """

    words: Integers
    forms: Integers
    written: npt.NDArray[np.object_]
    characters: Ragged[Integers] | None = None
    traits: Integers | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.words)

    def take(self, rows: Integers) -> WordRows:
        """These rows alone, with the forms that occur in them."""
        present, forms = np.unique(self.forms[rows], return_inverse=True)
        return WordRows(
            self.words[rows],
            forms.astype(np.int64, copy=False),
            self.written[present],
            None if self.characters is None else self.characters.select(present),
            None if self.traits is None else self.traits[present],
        )


@dataclass(frozen=True, slots=True, eq=False)
class SymbolRows:
    """Symbols: the number of each row's symbol, (N,)."""

    symbols: Integers

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.symbols)

    def take(self, rows: Integers) -> SymbolRows:
        """These rows alone."""
        return SymbolRows(self.symbols[rows])


@dataclass(frozen=True, slots=True, eq=False)
class VectorRows:
    """Vectors less the offset of the model's inputs, float32, (N, D)."""

    vectors: Floats

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.vectors)

    def take(self, rows: Integers) -> VectorRows:
        """These rows alone."""
        return VectorRows(self.vectors[rows])


Rows = WordRows | SymbolRows | VectorRows


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some sequences, ready for a model.

    Args:
        inputs: Their N rows.
        lengths: Length of each, (B,).
        targets: Tags, int64 (N,); labels, int64 (B,); values less their offset, float32
            (B, K); or ``None``.
            A label that the vocabulary does not know is -1.
    """

    inputs: Rows
    lengths: Integers
    targets: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)
