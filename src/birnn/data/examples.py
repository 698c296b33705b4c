"""What every reader yields and every codec takes: one labelled sequence."""

# T steps of a sequence, D channels of a step, K target values of a sequence

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from birnn.data.numeric import Reals

TargetKind = Literal["tags", "label", "labels", "values", "sequence", "gaps"]
"""Kind of target of a sequence: a tag for each step, a label, any number of labels, K numbers,
another sequence; or the words of its gaps, which raw text has none of until some are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One sequence, and what is to be learnt of it.

    Args:
        inputs: Tokens or symbols, one string for each step; or vectors of shape (T, D), in the
            precision they came with (float32 or float64).
        target: By its `TargetKind` tags (one string for each step), a label, labels (each once,
            maybe none), values of shape (K,), the symbols of a target sequence of any length, or a
            word for each gap; ``None`` where there is none.
        where: ``file:line`` of its start, for messages.
        id: Its name in the file, where the file names sequences.
        text: The text that ``inputs`` are the tokens of, where it was one.
        lines: The line of each step, where the steps of a file have lines.
        references: Other target sequences that are right, too.
        offsets: Start and end (exclusive) of each token in ``text``, where a file tells them.

    Example:
        >>> Example(("the", "bank"), ("DET", "NOUN")) == Example(("the", "bank"), ("DET", "NOUN"))
        True
        >>> len(Example(()))
        0
    """

    inputs: tuple[str, ...] | Reals
    target: str | tuple[str, ...] | Reals | None = None
    where: str = ""
    id: str | None = None
    text: str | None = None
    lines: Sequence[int] | None = None
    references: tuple[tuple[str, ...], ...] = ()
    offsets: tuple[tuple[int, int], ...] | None = None

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.inputs)

    def place(self, step: int) -> str:
        """Where one step of it stands: ``file:line`` of the step, where steps have lines."""
        if self.lines is not None:
            return f"{self.where.rpartition(':')[0]}:{self.lines[step]}"
        return f"{self.where or 'a sequence'}, step {step}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Example):
            return NotImplemented
        return (
            _same(self.inputs, other.inputs)
            and _same(self.target, other.target)
            and self.references == other.references
            and self.where == other.where
        )

    # Arrays have no hash.
    __hash__ = None  # type: ignore[assignment]


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return False
    return one == other
