"""Halves that are made for a merge to fail: what each merge leaves of them, by the equations.

- `opposed_halves`: b = -f at every step. The sum is 0, whatever was read.
- `vanishing_half`: the backward half ever smaller. The product vanishes with it, and so does the
  gradient that would have taught the other half.
"""

# N rows of all sequences, W width of a merged row

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from birnn.ragged import Ragged
from birnn.reference import MERGES, MergeName, Stack, gradients, run_saving
from birnn.reference.cells import Array
from birnn.report.parts import Table

SCALES = (1.0, 0.1, 0.01, 0.0)  # of the half that vanishes


class MadeCase(NamedTuple):
    """A case that is made to show what a choice can lose.

    Args:
        name: A word or two.
        about: What is made, and what to see in it.
        table: The numbers in words.
        rows: The numbers.
    """

    name: str
    about: str
    table: Table
    rows: Sequence[Opposed | Vanishing]


class Opposed(NamedTuple):
    """What a merge leaves of halves that cancel each other.

    Args:
        merge: Which.
        largest: The largest value of all rows, without sign.
        rank: How many independent numbers the rows hold: the rank of the matrix of rows.
        of: How many the forward half held.
    """

    merge: MergeName
    largest: float
    rank: int
    of: int


class Vanishing(NamedTuple):
    """What a merge leaves where the backward half is small.

    Args:
        merge: Which.
        scale: Size of the backward half, as a multiple of its first.
        row: Norm of all rows, of the half that is whole alone as 1.
        d_forward: Norm of the gradient of the forward half's weights, for a gradient of the rows
            of norm 1; at scale 1 it is 1.
        d_backward: The same of the backward half's weights.
    """

    merge: MergeName
    scale: float
    row: float
    d_forward: float
    d_backward: float


def _case(merge: MergeName, hidden: int = 3) -> tuple[Stack, dict[str, Array], Ragged[Array]]:
    """A layer without recurrent weights or biases, and a ragged batch: a state is tanh(W x)."""
    stack = Stack("rnn_tanh", 2, hidden, merge=merge)
    random = np.random.default_rng(0)
    drawn = {name: random.normal(size=shape) for name, shape in stack.shapes().items()}
    parameters = {
        name: np.zeros_like(array) if "_hh_" in name or "bias" in name else array
        for name, array in drawn.items()
    }
    return stack, parameters, Ragged(random.normal(size=(12, 2)), np.array([5, 0, 7]))


def opposed_halves() -> list[Opposed]:
    """What each merge leaves where the backward half says the opposite of the forward half.

    The backward half's weights are those of the forward half with the other sign; tanh is odd, so
    b = -f to the last bit, at every step and for every input.

    Example:
        >>> {row.merge: (row.largest, row.rank) for row in opposed_halves()}["sum"]
        (0.0, 0)
    """
    found = []
    for merge in MERGES:
        stack, parameters, x = _case(merge)
        parameters["weight_ih_l0_reverse"] = -parameters["weight_ih_l0"]
        outcome, _ = run_saving(x, parameters, stack)
        rank, of = (
            int(np.linalg.matrix_rank(rows))
            for rows in (outcome.output.values, outcome.forward.values)
        )
        found.append(Opposed(merge, float(np.abs(outcome.output.values).max()), rank, of))
    return found


def vanishing_half(scales: Sequence[float] = SCALES) -> list[Vanishing]:
    """Rows and gradients of each merge where the backward half gets smaller.

    Args:
        scales: What the backward half's weights are multiplied with.

    Example:
        >>> product = [row for row in vanishing_half() if row.merge == "product"]
        >>> product[-1].scale, product[-1].row, product[-1].d_forward
        (0.0, 0.0, 0.0)
    """
    found = []
    for merge in MERGES:
        stack, parameters, x = _case(merge)
        # Small weights, so that tanh is all but linear and the half is as small as its weights.
        parameters["weight_ih_l0_reverse"] *= 0.01
        first: tuple[float, ...] = ()
        for scale in scales:
            scaled = parameters | {
                "weight_ih_l0_reverse": scale * parameters["weight_ih_l0_reverse"]
            }
            outcome, saved = run_saving(x, scaled, stack)
            d_NW = np.ones_like(outcome.output.values)
            _, d, _ = gradients(saved, d_NW / np.linalg.norm(d_NW))
            norms = tuple(
                float(np.linalg.norm(array))
                for array in (outcome.output.values, d["weight_ih_l0"], d["weight_ih_l0_reverse"])
            )
            first = first or norms
            found.append(
                Vanishing(merge, scale, *(n / of for n, of in zip(norms, first, strict=True)))
            )
    return found


def opposed_table(rows: Sequence[Opposed]) -> Table:
    """`opposed_halves` in words."""
    return Table(
        ["merge", "largest value", "independent numbers"],
        [[row.merge, f"{row.largest:.3g}", f"{row.rank} of {row.of}"] for row in rows],
        "where b = -f at every step",
    )


def vanishing_table(rows: Sequence[Vanishing]) -> Table:
    """The gradients of the forward half's weights of `vanishing_half`, a column for each scale."""
    scales = list(dict.fromkeys(row.scale for row in rows))
    gradient = {(row.merge, row.scale): row.d_forward for row in rows}
    return Table(
        ["backward half", *(f"{scale:g}" for scale in scales)],
        [
            [merge, *(f"{gradient[merge, scale]:.2g}" for scale in scales)]
            for merge in dict.fromkeys(row.merge for row in rows)
        ],
        "gradient of the forward half's weights where the backward half is so small",
    )


def merge_cases() -> list[MadeCase]:
    """The cases of all merges."""
    opposed, vanishing = opposed_halves(), vanishing_half()
    return [
        MadeCase(
            "opposed halves",
            "The backward half is made to say the opposite of the forward half. Side by side both "
            "are there; their sum is 0, whatever was read.",
            opposed_table(opposed),
            opposed,
        ),
        MadeCase(
            "vanishing half",
            "The backward half is made smaller and smaller. A product vanishes with it and so does "
            "the gradient that the forward half would learn from.",
            vanishing_table(vanishing),
            vanishing,
        ),
    ]
