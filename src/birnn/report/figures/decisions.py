"""Figures of decisions: which half decided, and which words."""

# T steps of a sequence

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn.errors import DataError, nearest, require
from birnn.report.figures.heatmap import place
from birnn.report.figures.style import (
    GRID,
    HALVES,
    INK,
    MINUS,
    PLUS,
    READERS,
    canvas,
    capital,
    in_house_style,
    number,
    of_label,
    same_length,
    sentence,
    shown,
    target,
    tip,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

MOST = 30  # words of a long text that are drawn

# what is left of a model, to the half that is left: its colour
LEFT = {
    "full": ("both halves at work", "both"),
    "without backward": ("forward half alone", "forward"),
    "without forward": ("backward half alone", "backward"),
    "without both": ("neither half", ""),
}
ONE_DIRECTION = {
    "full": ("as it is", "forward"),
    "without forward": ("without its states", ""),
}


@in_house_style
def deciding_direction(logits: Mapping[str, float], label: str, *, of: str = "logit") -> Figure:
    """The logit of a label with both halves, with one of them silenced, and with none.

    A silenced half is replaced by its mean over data. What is left gives a bar its colour.

    Args:
        logits: ``full``, ``without forward``, ``without backward``, ``without both`` (or some of
            them: a model of one direction has no backward half to lose) to the logit.
        label: The label.
        of: What is measured: the ``logit`` of a label, or a ``value``.

    Raises:
        DataError: No logit, or a key that is not one of the four.

    Example:
        >>> figure = deciding_direction({"full": 3.0, "without backward": 2.5}, "positive")
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure)
        "Logit of 'positive'. Both halves at work 3, forward half alone 2.5."
    """
    if not logits:
        raise DataError("nothing to draw: give at least one logit")
    for key in logits:
        if key not in LEFT:
            raise DataError(f"{key!r} says nothing of a half: {nearest(key, LEFT)}")
    kept = {key: float(logits[key]) for key in LEFT if key in logits}
    names = ONE_DIRECTION if kept.keys() == ONE_DIRECTION.keys() else LEFT
    figure, axes = canvas(0.75 + 0.38 * len(kept))
    for row, (key, logit) in enumerate(kept.items()):
        name, half = names[key]
        colour = READERS[half].colour if half else INK
        (bar,) = axes.barh(row, logit, 0.68, color=colour, alpha=1 if half else 0.55)
        tip(bar, f"{name}: {number(logit)}")
        _value(axes, logit, row)
    axes.set_yticks(range(len(kept)), [names[key][0] for key in kept])
    _signed(axes, list(kept.values()), len(kept))
    axes.grid(visible=False)  # every bar has its number, which a line would go through
    axes.set_xlabel(of_label(label, of))
    facts = ", ".join(f"{names[key][0]} {number(logit)}" for key, logit in kept.items())
    what = f"Logit of '{label}'" if of == "logit" else capital(label)
    return told(figure, f"{what}.", f"{capital(facts)}.")


@in_house_style
def deciding_by_position(
    forward_T: ArrayLike, backward_T: ArrayLike | None, tokens: Sequence[str], *, unit: str = "word"
) -> Figure:
    """What each half adds at each word to the logit of the label that the word got.

    Words in rows, or lines over the positions of a text of more than 30, and of a series.

    Args:
        forward_T: What the forward half adds, (steps,).
        backward_T: What the backward half adds, or None where there is none.
        tokens: The words.
        unit: What they are: word, symbol or step.

    Raises:
        DataError: Not one number for each word, or no word.

    Example:
        >>> figure = deciding_by_position([0.5, 0.1], [0.0, 2.0], ["the", "bank"])
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[2]
        "Backward half: in sum 2, most 2 at 'bank' (2), least 0 at 'the' (1)."
    """
    adds = {"forward": np.asarray(forward_T, dtype=float)}
    if backward_T is not None:
        adds["backward"] = np.asarray(backward_T, dtype=float)
    steps = same_length("word", tokens=tokens, **{f"{k}_T": v.tolist() for k, v in adds.items()})
    draw = _paired_bars if steps <= MOST and unit != "step" else _lines
    figure = draw(adds, tokens, unit)
    facts = []
    for key, values in adds.items():
        high, low = int(values.argmax()), int(values.argmin())
        facts.append(
            f"{capital(HALVES[key])}: in sum {number(values.sum())}, most {number(values[high])} "
            f"at {place(tokens, high)}, least {number(values[low])} at {place(tokens, low)}."
        )
    return told(figure, f"What each half adds at each {unit}, in logits.", *facts)


@in_house_style
def attribution(
    tokens: Sequence[str],
    gradients_T: ArrayLike,
    occlusion_T: ArrayLike | None,
    label: str,
    *,
    of: str = "logit",
    unit: str = "word",
) -> Figure:
    """What each word speaks for or against a label: a bar to the right or to the left.

    Args:
        tokens: The words.
        gradients_T: Integrated gradients of each word, in logits, (steps,).
        occlusion_T: Loss of the logit when the word is hidden, as diamonds; or None.
        label: The label.
        of: What the numbers add to: the ``logit`` of a label, or a ``value``.
        unit: What the tokens are: word or symbol; of steps see `attribution_over_time`.

    Raises:
        DataError: Not one number for each word, or no word.

    Example:
        >>> figure = attribution(["not", "bad"], [0.75, -0.25], None, "positive")
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [0.75, -0.25]
    """
    gradients = np.asarray(gradients_T, dtype=float)
    occlusion = None if occlusion_T is None else np.asarray(occlusion_T, dtype=float)
    steps = same_length(
        "word", tokens=tokens, gradients_T=gradients.tolist(),
        occlusion_T=None if occlusion is None else occlusion.tolist(),
    )  # fmt: skip
    kept = strongest(gradients)
    figure, axes = canvas(0.95 + 0.2 * len(kept))
    for row, index in enumerate(kept):
        value = float(gradients[index])
        (bar,) = axes.barh(row, value, 0.72, color=PLUS if value >= 0 else MINUS)
        tip(bar, f"{place(tokens, index)}, integrated gradients: {number(value)}")
        if occlusion is not None:
            hidden = float(occlusion[index])
            axes.plot(hidden, row, "D", color=INK, markersize=5, markerfacecolor=GRID)
            target(axes, hidden, row, f"{place(tokens, index)}, occlusion: {number(hidden)}")
    _rows(axes, tokens, kept)
    drawn = gradients[kept].tolist() + ([] if occlusion is None else occlusion[kept].tolist())
    _signed(axes, drawn, len(kept))
    few = f"the {len(kept)} strongest of {steps} {unit}s" if len(kept) < steps else ""
    low, high = ("against", "for") if of == "logit" else ("lower", "higher")
    axes.set_xlabel(f"← {low} · {of_label(label, of)} · {high} →" + (f"\n{few}" if few else ""))
    if occlusion is not None:
        _key(figure, axes)
    ranked = sorted(kept, key=lambda index: -abs(gradients[index]))[:10]
    facts = [(place(tokens, index), f"{gradients[index]:+.3g}") for index in ranked]
    words = f"Attribution to '{label}' by integrated gradients, strongest first" + (
        f"; {few}." if few else "."
    )
    more = [(place(tokens, index), f"{occlusion[index]:+.3g}") for index in ranked[:3]] if (
        occlusion is not None
    ) else []  # fmt: skip
    return told(
        figure,
        words,
        sentence(f"{unit}s", facts),
        f"All {unit}s in sum: {gradients.sum():+.3g}.",
        sentence("by occlusion", more) if more else "",
    )


def strongest(values: FloatArray, most: int = MOST) -> list[int]:
    """Indices of the values farthest from 0, in the order they stand in.

    Example:
        >>> strongest(np.array([0.1, -3.0, 2.0]), most=2)
        [1, 2]
    """
    ranked = np.argsort(-np.abs(values), kind="stable")[:most]
    return sorted(ranked.tolist())


def _paired_bars(adds: Mapping[str, FloatArray], tokens: Sequence[str], unit: str) -> Figure:
    figure, axes = canvas(1.05 + 0.25 * len(tokens))
    width = 0.8 / len(adds)
    for number_, (key, values) in enumerate(adds.items()):
        places = np.arange(len(tokens)) + (number_ - (len(adds) - 1) / 2) * width
        bars = axes.barh(places, values, 0.92 * width, color=READERS[key].colour, label=HALVES[key])
        for index, bar in enumerate(bars):
            tip(bar, f"{place(tokens, index)}, {HALVES[key]}: {number(values[index])}")
    _rows(axes, tokens, list(range(len(tokens))))
    _signed(axes, [value for values in adds.values() for value in values], len(tokens))
    axes.set_xlabel(f"adds to the logit of the {unit}'s label")
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)
    return figure


def _lines(adds: Mapping[str, FloatArray], tokens: Sequence[str], unit: str) -> Figure:
    figure, axes = canvas()
    for key, values in adds.items():
        places = np.arange(1, len(values) + 1)
        axes.plot(
            places,
            values,
            color=READERS[key].colour,
            label=HALVES[key],
            linewidth=1.2 if len(values) <= 100 else 0.8,
        )
        high = int(values.argmax())
        text = f"{place(tokens, high)}, {HALVES[key]}: {number(values[high])}"
        target(axes, high + 1, float(values[high]), text)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(f"{unit}, counted from 1")
    axes.set_ylabel(f"adds to the {unit}'s logit")
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK)
    return figure


def _rows(axes: Axes, tokens: Sequence[str], kept: Sequence[int]) -> None:
    """Words beside the rows; with their number where some are left out."""
    whole = len(kept) == len(tokens)
    names = [shown(tokens[i]) if whole else f"{shown(tokens[i])} ({i + 1})" for i in kept]
    axes.set_yticks(range(len(kept)), names, fontsize=9)


def _signed(axes: Axes, values: Sequence[float], rows: int) -> None:
    """Rows from the top, a line at 0, room for the values at the ends."""
    axes.set_ylim(rows - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.axvline(0, color=INK, linewidth=0.8)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.22 * ((high - low) or 1.0)
    axes.set_xlim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    ticker = require("matplotlib.ticker", extra="plots")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=5))
    axes.tick_params(axis="y", length=0)


def _value(axes: Axes, value: float, row: float) -> None:
    side = 1 if value >= 0 else -1
    axes.annotate(
        number(value), (value, row), (4 * side, 0), textcoords="offset points", va="center",
        ha="left" if side > 0 else "right", fontsize=9,
    )  # fmt: skip


def _key(figure: Figure, axes: Axes) -> None:
    bar = require("matplotlib.patches", extra="plots").Patch(color=PLUS)
    (diamond,) = axes.plot([], [], "D", color=INK, markersize=5, markerfacecolor=GRID)
    figure.legend(
        [bar, diamond], ["integrated gradients", "occlusion"], loc="outside upper left", ncols=2,
        labelcolor=INK,
    )  # fmt: skip
