"""Figures of what stands above the states: attention over words, marginals of a CRF."""

# T steps of a sequence, L labels

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError
from birnn.report.figures.decisions import strongest
from birnn.report.figures.heatmap import below, name_tokens, place, scale, tiles
from birnn.report.figures.style import (
    INK,
    READERS,
    WIDTH,
    blank,
    canvas,
    in_house_style,
    same_length,
    sentence,
    shown,
    tip,
    told,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEN = 0.005  # a label that is nowhere more probable than this has no row
ROWS = 24  # labels at most
WINDOW = 60  # words at most: of a longer text those around the word that is least sure


@in_house_style
def attention_weights(tokens: Sequence[str], weights_T: ArrayLike, *, unit: str = "word") -> Figure:
    """How much of the attention each word gets, and what each would get of an even one.

    Args:
        tokens: The words.
        weights_T: Their weights, which sum to 1, (steps,).
        unit: What they are: word, symbol or step.

    Raises:
        DataError: Not one weight for each word, or no word.

    Example:
        >>> figure = attention_weights(["so", "bad"], [0.25, 0.75])
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [25.0, 75.0]
    """
    weights = np.asarray(weights_T, dtype=float)
    steps = same_length("word", tokens=tokens, weights_T=weights.tolist())
    kept = strongest(weights)
    figure, axes = canvas(0.85 + 0.2 * len(kept))
    for row, index in enumerate(kept):
        percent = 100 * float(weights[index])
        (bar,) = axes.barh(row, percent, 0.72, color=READERS["both"].colour)
        tip(bar, f"{place(tokens, index)}: {percent:.1f} %")
    few = len(kept) < steps
    names = [
        f"{shown(tokens[i])} ({i + 1})" if few and unit != "step" else shown(tokens[i])
        for i in kept
    ]
    axes.set_yticks(range(len(kept)), names, fontsize=9)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.axvline(100 / steps, color=INK, linestyle="--", linewidth=1.2, label=f"all {unit}s alike")
    some = f" of the {len(kept)} strongest of {steps} {unit}s" if few else ""
    axes.set_xlabel(f"weight{some}, %")
    figure.legend(loc="outside upper left", labelcolor=INK)
    ranked = sorted(kept, key=lambda index: -weights[index])[:10]
    facts = [(place(tokens, index), f"{100 * weights[index]:.1f} %") for index in ranked]
    return told(
        figure,
        sentence(f"attention over {steps} {unit}s, strongest first", facts),
        f"All {unit}s alike would be {100 / steps:.1f} %.",
    )


@in_house_style
def tag_marginals(
    tokens: Sequence[str],
    labels: Sequence[str],
    marginals_TL: ArrayLike,
    best: Sequence[int],
    runner_up: Sequence[int] | None = None,
    *,
    unit: str = "word",
) -> Figure:
    """How probable each label is at each word, the best path, and where the second best differs.

    Labels that are nowhere probable, and on neither path, are left out; of a text of more than
    60 words the 60 around the word whose label is least sure are drawn.

    Args:
        tokens: The words.
        labels: Names of the labels.
        marginals_TL: Probability of each label at each word, (steps, labels).
        best: Number of each word's label on the best path.
        runner_up: The same on the second best path, or None.
        unit: What the tokens are: word, symbol or step.

    Raises:
        ShapeError: Marginals that are not (steps, labels).
        DataError: Paths that are not as long as the text or leave the labels, or no word.

    Example:
        >>> figure = tag_marginals(["a", "b"], "XY", [[0.9, 0.1], [0.4, 0.6]], [0, 1], [0, 0])
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[-1]
        "The second best path differs at 'b' (2): X (40.0 %) instead of Y (60.0 %)."
    """
    marginals = np.asarray(marginals_TL, dtype=float)
    steps = same_length("word", tokens=tokens, best=best, runner_up=runner_up)
    if marginals.shape != (steps, len(labels)):
        raise ShapeError(f"marginals are {marginals.shape}, expected ({steps}, {len(labels)})")
    whole = steps
    second = list(best if runner_up is None else runner_up)
    walked = {*best, *second}
    if any(not 0 <= label < len(labels) for label in walked):
        raise DataError(f"a path has label {max(walked)}, there are {len(labels)}")
    told_paths = _paths(tokens, labels, marginals, best, second, runner_up is not None)
    sure = marginals[np.arange(steps), np.asarray(best)]
    first = int(np.clip(sure.argmin() - WINDOW // 2, 0, max(0, steps - WINDOW)))
    window = slice(first, first + WINDOW)
    tokens, best, second, marginals = (
        tokens[window],
        best[window],
        second[window],
        marginals[window],
    )
    walked, steps = {*best, *second}, len(tokens)
    highest = marginals.max(axis=0)
    ranked = sorted(range(len(labels)), key=lambda n: (n not in walked, -highest[n], n))
    kept = sorted(n for n in ranked[: max(ROWS, len(walked))] if n in walked or highest[n] > SEEN)
    row_of = {label: row for row, label in enumerate(kept)}

    figure = blank(1.05 + below(tokens, WIDTH - 1.6) + max(0.2 * len(kept), 1.0))
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.035])
    axes = figure.add_subplot(grid[0])

    def tell(row: int, step: int) -> str:
        share = 100 * marginals[step, kept[row]]
        return f"{labels[kept[row]]} at {place(tokens, step, first)}: {share:.1f} %"

    tiles(axes, marginals[:, kept].T, READERS["both"].colour, tell)
    small = 4 if steps <= 40 else 0
    axes.plot(
        range(steps), [row_of[label] for label in best], "o-", color=INK, linewidth=1.2,
        markersize=small, label="best path",
    )  # fmt: skip
    places = [step for step in range(steps) if second[step] != best[step]]
    if places:
        axes.plot(
            places, [row_of[second[step]] for step in places], "D", color=INK, markersize=7,
            markerfacecolor="none", label="where the second best differs",
        )  # fmt: skip
    axes.set_yticks(range(len(kept)), [shown(labels[n]) for n in kept], fontsize=9)
    written = name_tokens(axes.xaxis, tokens, WIDTH - 1.6, first=first)
    left = len(labels) - len(kept)
    note = f"; {left} improbable labels left out" if left else ""
    axes.set_xlabel((unit if written else "step") + note)
    scale(
        figure.add_subplot(grid[1]), (0, 0.5, 1), ("0", "50", "100"), "probability, %",
        colour=READERS["both"].colour,
    )  # fmt: skip
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)
    drawn = f"Drawn are {unit}s {first + 1} to {first + steps}, around the least sure."
    return told(figure, *told_paths, drawn if first or whole > steps else "")


def _paths(
    tokens: Sequence[str],
    labels: Sequence[str],
    marginals: np.ndarray,
    best: Sequence[int],
    second: Sequence[int],
    asked: bool,
) -> list[str]:
    steps = range(len(tokens))

    def of(step: int, label: int) -> str:
        return f"{labels[label]} ({100 * marginals[step, label]:.1f} %)"

    unsure = sorted(steps, key=lambda step: marginals[step, best[step]])[:12]
    words = [
        sentence(
            "the best path" if len(steps) <= 12 else "the best path, where it is least sure",
            ((place(tokens, step), of(step, best[step])) for step in sorted(unsure)),
        )
    ]
    if asked:
        differs = [
            f"at {place(tokens, step)}: {of(step, second[step])} instead of {of(step, best[step])}"
            for step in steps
            if second[step] != best[step]
        ]
        words.append(f"The second best path differs {', '.join(differs) or 'nowhere'}.")
    return words
