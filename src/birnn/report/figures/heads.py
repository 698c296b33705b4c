"""Figures of the head: attention over words, marginals of tags and the paths through them."""

# T steps of a sequence, L labels

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, ShapeError
from birnn.report.figures.bars import bars, rows, strongest
from birnn.report.figures.heatmap import colour_scale, heatmap
from birnn.report.figures.lines import line
from birnn.report.figures.style import (
    INK,
    READERS,
    WIDTH,
    FloatArray,
    blank,
    canvas,
    in_house_style,
    legend,
    same_length,
    sentence,
    with_alt_text,
)
from birnn.report.figures.tokens import abbreviated, around, height_below, named, token_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEN = 0.005  # a label that is nowhere more probable than this has no row
ROWS = 24  # labels at most
COLOUR = READERS["both"].colour


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
    percents = 100 * np.asarray(weights_T, dtype=float)
    steps = same_length("word", tokens=tokens, weights_T=percents)
    kept = strongest(percents)
    few = len(kept) < steps
    figure, axes = canvas(0.85 + 0.2 * len(kept))
    facts = [(named(tokens, at), f"{percents[at]:.1f} %") for at in kept]
    bars(axes, {"": percents[kept]}, [COLOUR], lambda _, row: ": ".join(facts[row]))
    numbers = [f" ({at + 1})" if few and unit != "step" else "" for at in kept]
    rows(axes, [abbreviated(tokens[at]) + n for at, n in zip(kept, numbers, strict=True)])
    even = 100 / steps
    axes.axvline(even, color=INK, linestyle="--", linewidth=1.2, label=f"all {unit}s alike")
    some = f" of the {len(kept)} strongest of {steps} {unit}s" if few else ""
    axes.set_xlabel(f"weight{some}, %")
    legend(figure)
    ranked = np.argsort(-percents[kept], kind="stable")[:10]
    return with_alt_text(
        figure,
        sentence(
            f"attention over {steps} {unit}s, strongest first", [facts[row] for row in ranked]
        ),
        f"All {unit}s alike would be {even:.1f} %.",
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
    whole = same_length("word", tokens=tokens, best=best, runner_up=runner_up)
    if marginals.shape != (whole, len(labels)):
        raise ShapeError(f"marginals are {marginals.shape}, expected ({whole}, {len(labels)})")
    second = best if runner_up is None else runner_up
    if any(not 0 <= label < len(labels) for label in {*best, *second}):
        raise DataError(f"a path has label {max(*best, *second)}, there are {len(labels)}")
    facts = _facts(tokens, labels, marginals, best, runner_up)
    sure = marginals[np.arange(whole), np.asarray(best)]
    window = around(int(sure.argmin()), whole)
    first = window.start
    tokens, best, second, marginals = (
        tokens[window], best[window], second[window], marginals[window]
    )  # fmt: skip
    walked, steps, highest = {*best, *second}, len(tokens), marginals.max(axis=0)
    ranked = sorted(range(len(labels)), key=lambda n: (n not in walked, -highest[n], n))
    kept = sorted(n for n in ranked[: max(ROWS, len(walked))] if n in walked or highest[n] > SEEN)

    figure = blank(1.05 + height_below(tokens, WIDTH - 1.6) + max(0.2 * len(kept), 1.0))
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 0.035])
    axes = figure.add_subplot(grid[0])

    def text(row: int, step: int) -> str:
        share = 100 * marginals[step, kept[row]]
        return f"{labels[kept[row]]} at {named(tokens, step, first)}: {share:.1f} %"

    heatmap(axes, marginals[:, kept].T, COLOUR, text)
    line(axes, range(steps), [kept.index(label) for label in best], INK, name="best path",
         marker="o", linewidth=1.2, markersize=4 if steps <= 40 else 0)  # fmt: skip
    places = [step for step in range(steps) if second[step] != best[step]]
    if places:
        line(axes, places, [kept.index(second[step]) for step in places], INK, joined=False,
             marker="D", name="where the second best differs", markersize=7,
             markerfacecolor="none")  # fmt: skip
    axes.set_yticks(range(len(kept)), [abbreviated(labels[n]) for n in kept], fontsize=9)
    written = token_ticks(axes.xaxis, tokens, WIDTH - 1.6, first=first)
    left = len(labels) - len(kept)
    note = f"; {left} improbable labels left out" if left else ""
    axes.set_xlabel((unit if written else "step") + note)
    colour_scale(figure.add_subplot(grid[1]), {0.0: "0", 0.5: "50", 1.0: "100"}, "probability, %",
                 colour=COLOUR)  # fmt: skip
    legend(figure)
    drawn = f"Drawn are {unit}s {first + 1} to {first + steps}, around the least sure."
    return with_alt_text(figure, *facts, drawn if whole > steps else "")


def _facts(
    tokens: Sequence[str],
    labels: Sequence[str],
    marginals: FloatArray,
    best: Sequence[int],
    second: Sequence[int] | None,
) -> list[str]:
    """The paths in words: where the best is least sure, and where the second best differs."""
    steps = range(len(tokens))

    def of(step: int, label: int) -> str:
        return f"{labels[label]} ({100 * marginals[step, label]:.1f} %)"

    unsure = sorted(steps, key=lambda step: marginals[step, best[step]])[:12]
    where = "" if len(steps) <= 12 else ", where it is least sure"
    path = ((named(tokens, step), of(step, best[step])) for step in sorted(unsure))
    facts = [sentence(f"the best path{where}", path)]
    if second is not None:
        differs = ", ".join(
            f"at {named(tokens, step)}: {of(step, second[step])} instead of {of(step, best[step])}"
            for step in steps
            if second[step] != best[step]
        )
        facts.append(f"The second best path differs {differs or 'nowhere'}.")
    return facts
