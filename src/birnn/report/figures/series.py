"""A time series: its channels as lines, what each value adds, and the tags of its steps."""

# T steps, C channels

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn.errors import DataError, ShapeError, require
from birnn.report.figures.heatmap import CELLS, heat_image
from birnn.report.figures.lines import line
from birnn.report.figures.style import (
    GRID,
    INK,
    MINUS,
    PLUS,
    READERS,
    WIDTH,
    WRONG,
    FloatArray,
    blank,
    hover_target,
    in_house_style,
    legend,
    number,
    same_length,
    swatch,
    tooltip,
    whole_ticks,
    with_alt_text,
)
from birnn.report.figures.tokens import abbreviated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CHANNELS = 8  # that are drawn
TALL = 0.5  # inches of a channel
SIDE = 1.3  # inches beside the steps that names and numbers take


@dataclass(frozen=True, slots=True)
class TagRow:
    """What somebody says of each step: a name, a key of `READERS` or "", and the tags."""

    name: str
    reader: str
    tags: Sequence[str]


@in_house_style
def series(
    values_TC: ArrayLike,
    *,
    adds_TC: ArrayLike | None = None,
    label: str = "",
    position: int | None = None,
    rows: Sequence[TagRow] = (),
    gold: Sequence[str] | None = None,
    marked: Collection[str] = (),
    first: int = 0,
) -> Figure:
    """The channels of a series as lines over its steps, each on a scale of its own.

    Of more than `MOST_CHANNELS` those are drawn to which most is attributed, or else those that
    vary most for their size. Tags stand beneath, a box for each run of equal ones.

    Args:
        values_TC: The series, (steps, channels).
        adds_TC: What each value adds to an answer: the colour behind it.
        label: That answer.
        position: Index of the step that is explained, marked.
        rows: Tags of the steps.
        gold: The right tags: boxes of others are framed as wrong.
        marked: Tags whose boxes are filled, all others being empty; where there are none, the tag
            is written in its box where there is room.
        first: How many steps of the series come before these.

    Raises:
        ShapeError: A series that is not a matrix, or attributions of another shape.
        DataError: No step, no channel, or not a tag for each step.

    Example:
        >>> figure = series([[0.5, 2.0], [1.5, 4.0]], adds_TC=[[0.1, 0.0], [0.2, -1.0]], label="up")
        >>> [line.get_ydata().tolist() for axes in figure.axes for line in axes.lines]
        [[0.5, 1.5], [2.0, 4.0]]
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[-1]
        "Channel 2: from 2 to 4, adds -1 to 'up'."
    """
    values = np.asarray(values_TC, dtype=float)
    if values.ndim != 2:
        raise ShapeError(f"values_TC is {values.shape}, expected (steps, channels)")
    steps, channels = values.shape
    if 0 in values.shape:
        raise DataError(f"nothing to draw: {steps} steps of {channels} channels")
    adds = None if adds_TC is None else np.asarray(adds_TC, dtype=float)
    if adds is not None and adds.shape != values.shape:
        raise ShapeError(f"adds_TC is {adds.shape}, values_TC {values.shape}")
    for row in rows:
        same_length("step", values_TC=values, gold=gold, **{row.name: row.tags})
    kept = _kept(values, adds)
    heights = [TALL] * len(kept) + [0.3 * len(rows)] * bool(rows)
    figure = blank(0.95 + sum(heights))
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = [figure.add_subplot(grid[row]) for row in range(len(heights))]
    places = np.arange(first + 1, first + steps + 1)
    most = 1.0 if adds is None else float(np.abs(adds).max()) or 1.0
    for axes, channel in zip(panels, kept, strict=False):
        shares = None if adds is None else adds[:, channel] / most
        _channel(axes, places, values[:, channel], shares, f"channel {channel + 1}")
        if adds is not None and values.size <= CELLS:
            for step, value, add in zip(places, values[:, channel], adds[:, channel], strict=True):
                text = f"step {step}, channel {channel + 1}: {number(value)}, adds {number(add)}"
                hover_target(axes, step, value, text)
    if rows:
        _tags(panels[-1], places, rows, gold, marked)
    for axes in panels:
        axes.set_xlim(first + 0.5, first + steps + 0.5)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(axes is panels[-1] and not rows)
        axes.tick_params(axis="x", length=0, labelsize=9)
        if axes is not panels[-1]:
            axes.set_xticks([])
        if position is not None:
            axes.axvline(places[position], color=INK, linestyle=":", linewidth=1.2)
    whole_ticks(panels[-1].xaxis)
    figure.align_ylabels(panels[: len(kept)])
    left = channels - len(kept)
    more = f"; {left} more channels are not drawn" if left else ""
    panels[-1].set_xlabel(f"step{more}", fontsize=9)
    entries = {}
    if adds is not None:
        entries = {f"for {abbreviated(label)}": swatch(PLUS, 0.6), "against": swatch(MINUS, 0.6)}
    if rows and marked:
        entries[f"filled: {', '.join(marked)}"] = swatch(INK, 0.8)
    if entries:
        legend(figure, entries)
    facts = [_words(values, adds, channel, label) for channel in kept]
    of = f"{channels} channel{'' if channels == 1 else 's'}"
    return with_alt_text(figure, f"A series of {steps} steps and {of}.", *facts)


def _kept(values: FloatArray, adds: FloatArray | None) -> list[int]:
    """Numbers of the channels that are drawn, in their order."""
    if values.shape[1] <= MOST_CHANNELS:
        return list(range(values.shape[1]))
    if adds is not None:
        weight = np.abs(adds).sum(axis=0)
    else:
        weight = np.nanstd(values, axis=0) / (np.nanmax(np.abs(values), axis=0) + 1e-300)
    return sorted(np.argsort(-weight, kind="stable")[:MOST_CHANNELS].tolist())


def _channel(
    axes: Axes, places: NDArray[np.int_], values_T: FloatArray, shares_T: FloatArray | None,
    name: str,
) -> None:  # fmt: skip
    """One channel: its line, the least and the most of it, and the colour behind."""
    finite = values_T[np.isfinite(values_T)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    room = 0.12 * (high - low) or 0.5 * abs(high) or 0.5
    axes.set_ylim(low - room, high + room)
    if shares_T is not None:
        extent = (places[0] - 0.5, places[-1] + 0.5, low - room, high + room)
        # the line stays the darkest
        heat_image(axes, shares_T[None, :], PLUS, extent, full=40 / 63)
    line(axes, places, values_T, INK, marker="o", linewidth=1.4, markersize=2)
    ends = [low, high] if high > low else [low]
    axes.set_yticks(ends, [number(end) for end in ends], fontsize=8.5)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def _tags(
    axes: Axes,
    places: NDArray[np.int_],
    rows: Sequence[TagRow],
    gold: Sequence[str] | None,
    marked: Collection[str],
) -> None:
    """A row of boxes for each who tags, a box for each run of equal tags, right or wrong."""
    box = require("matplotlib.patches", extra="plots").Rectangle
    inches = (WIDTH - SIDE) / len(places)
    for at, row in enumerate(rows):
        colour = READERS[row.reader].colour if row.reader else INK
        answers = row.tags if gold is None else gold
        right = [tag == best for tag, best in zip(row.tags, answers, strict=True)]
        begin = int(places[0])
        for (tag, good), run in groupby(zip(row.tags, right, strict=True)):
            steps = len(list(run))
            filled = tag in marked
            drawn = box(
                (begin - 0.46, at - 0.36), steps - 0.08, 0.72,
                facecolor=colour if filled or not marked else GRID,
                alpha=0.8 if filled else 0.3, edgecolor="none",
            )  # fmt: skip
            which = f"steps {begin} to {begin + steps - 1}" if steps > 1 else f"step {begin}"
            wrong = "" if good else ", wrong"
            tooltip(axes.add_patch(drawn), f"{row.name}, {which}: {tag}{wrong}")
            if not good:
                frame = box((begin - 0.42, at - 0.34), steps - 0.16, 0.68, facecolor="none",
                            edgecolor=WRONG, linewidth=1.6)  # fmt: skip
                axes.add_patch(frame)
            written = "" if marked else abbreviated(tag)
            if written and 0.085 * len(written) + 0.02 < inches * steps:
                axes.text(begin + (steps - 1) / 2, at, written, ha="center", va="center",
                          fontsize=8.5)  # fmt: skip
            begin += steps
    axes.set_ylim(len(rows) - 0.5, -0.5)
    names = [row.name.replace(", ", ",\n") for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8.5)
    axes.tick_params(axis="y", length=0)


def _words(values: FloatArray, adds: FloatArray | None, channel: int, label: str) -> str:
    of = values[:, channel]
    finite = of[np.isfinite(of)]
    ends = f"from {number(finite.min())} to {number(finite.max())}" if finite.size else "no number"
    more = "" if adds is None else f", adds {adds[:, channel].sum():.3g} to '{label}'"
    return f"Channel {channel + 1}: {ends}{more}."
