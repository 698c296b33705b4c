"""Figures of a time series: its channels as lines, and what is said of its steps."""

# T steps, C channels

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn.errors import DataError, ShapeError, require
from birnn.report.figures.heatmap import TILES, extremes
from birnn.report.figures.style import (
    GRID,
    INK,
    MINUS,
    PLUS,
    READERS,
    WIDTH,
    WRONG,
    blank,
    canvas,
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

MOST_CHANNELS = 8  # that are drawn
TALL = 0.5  # inches of a channel
SIDE = 1.3  # inches beside the steps that names and numbers take
FEW = 60  # steps up to which each has a marker of its own
MANY = 200  # steps from which on none has a hover text


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
        same_length("step", values_TC=values[:, 0].tolist(), gold=gold, **{row.name: row.tags})
    kept = _kept(values, adds)
    place = np.arange(first + 1, first + steps + 1)
    tags_tall = 0.3 * len(rows)
    figure = blank(0.95 + TALL * len(kept) + tags_tall)
    grid = figure.add_gridspec(
        len(kept) + bool(rows), 1, height_ratios=[TALL] * len(kept) + [tags_tall] * bool(rows)
    )
    most = 1.0 if adds is None else float(np.abs(adds).max()) or 1.0
    every = [figure.add_subplot(grid[row]) for row in range(len(kept) + bool(rows))]
    for axes, channel in zip(every, kept, strict=False):
        shares = None if adds is None else adds[:, channel] / most
        _channel(axes, place, values[:, channel], shares, f"channel {channel + 1}")
        if adds is not None and values.size <= TILES:
            for step, value, add in zip(place, values[:, channel], adds[:, channel], strict=True):
                text = f"step {step}, channel {channel + 1}: {number(value)}, adds {number(add)}"
                target(axes, step, value, text)
    if rows:
        _tags(every[-1], place, rows, gold, marked)
    for axes in every:
        axes.set_xlim(first + 0.5, first + steps + 0.5)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(axes is every[-1] and not rows)
        axes.tick_params(axis="x", length=0)
        if axes is not every[-1]:
            axes.set_xticks([])
        if position is not None:
            axes.axvline(place[position], color=INK, linestyle=":", linewidth=1.2)
    locator = require("matplotlib.ticker", extra="plots").MaxNLocator(nbins=8, integer=True)
    every[-1].xaxis.set_major_locator(locator)
    every[-1].tick_params(axis="x", labelsize=9)
    figure.align_ylabels(every[: len(kept)])
    left = channels - len(kept)
    every[-1].set_xlabel(
        "step" + (f"; {left} more channels are not drawn" if left else ""), fontsize=9
    )
    _legend(figure, adds is not None, label, marked if rows else ())
    facts = [_words(values, adds, channel, label) for channel in kept]
    of = f"{channels} channel{'' if channels == 1 else 's'}"
    return told(figure, f"A series of {steps} steps and {of}.", *facts)


@in_house_style
def attribution_over_time(
    gradients_T: ArrayLike, occlusion_T: ArrayLike | None, label: str, *, of: str = "logit"
) -> Figure:
    """What each step of a series speaks for or against an answer: a bar up or down.

    Args:
        gradients_T: Integrated gradients of each step, (steps,).
        occlusion_T: What is lost when the step is hidden, as diamonds; or None.
        label: The answer.
        of: What the numbers add to: the ``logit`` of a label, or a ``value``.

    Raises:
        DataError: No step, or not a number for each.

    Example:
        >>> figure = attribution_over_time([0.75, -0.25], None, "up")
        >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
        [0.75, -0.25]
    """
    gradients = np.asarray(gradients_T, dtype=float)
    occlusion = None if occlusion_T is None else np.asarray(occlusion_T, dtype=float)
    steps = same_length(
        "step", gradients_T=gradients.tolist(),
        occlusion_T=None if occlusion is None else occlusion.tolist(),
    )  # fmt: skip
    figure, axes = canvas(2.6)
    place = np.arange(1, steps + 1)
    if steps <= MANY:
        colours = np.where(gradients >= 0, PLUS, MINUS).tolist()
        bars = axes.bar(place, gradients, 0.9, color=colours, linewidth=0)
        for step, bar, value in zip(place, bars, gradients, strict=True):
            tip(bar, f"step {step}, integrated gradients: {number(value)}")
    else:
        for part, colour in ((gradients.clip(min=0), PLUS), (gradients.clip(max=0), MINUS)):
            axes.fill_between(place, part, step="mid", color=colour, linewidth=0)
    patches = require("matplotlib.patches", extra="plots")
    entries = {"integrated gradients": patches.Patch(color=PLUS)}
    if occlusion is not None:
        (drawn,) = axes.plot(
            place, occlusion, "D" if steps <= FEW else "-", color=INK, markersize=4,
            markerfacecolor=GRID, linewidth=1,
        )  # fmt: skip
        entries["occlusion"] = drawn
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0.4, steps + 0.6)
    locator = require("matplotlib.ticker", extra="plots").MaxNLocator(nbins=8, integer=True)
    axes.xaxis.set_major_locator(locator)
    axes.set_xlabel("step")
    axes.set_ylabel(f"adds to {of_label(label, of)}")
    figure.legend(entries.values(), entries, loc="outside upper left", ncols=2, labelcolor=INK)
    ranked = np.argsort(-np.abs(gradients), kind="stable")[:10].tolist()
    facts = [(f"step {at + 1}", f"{gradients[at]:+.3g}") for at in ranked]
    return told(
        figure,
        f"Attribution to '{label}' by integrated gradients, strongest first.",
        sentence("steps", facts),
        f"All steps in sum: {gradients.sum():+.3g}.",
    )


# ---------------------------------------------------------------------- parts of a series


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
    axes: Axes, place: NDArray[np.int_], values_T: FloatArray, shares: FloatArray | None, name: str
) -> None:
    """One channel: its line, the least and the most of it, and the colour behind."""
    finite = values_T[np.isfinite(values_T)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    room = 0.12 * (high - low) or 0.5 * abs(high) or 0.5
    axes.set_ylim(low - room, high + room)
    if shares is not None:
        _behind(axes, place, shares)
    marker = "o" if len(place) <= FEW else ""
    axes.plot(place, values_T, color=INK, linewidth=1.4, marker=marker, markersize=2)
    ends = [low, high] if high > low else [low]
    axes.set_yticks(ends, [number(end) for end in ends], fontsize=8.5)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)


def _behind(axes: Axes, place: NDArray[np.int_], shares: FloatArray) -> None:
    """What each step adds, as the strength of a colour over the height of its channel."""
    to_rgb = require("matplotlib.colors", extra="plots").to_rgb
    shares = extremes(shares[None, :])[0]
    image = np.empty((1, len(shares), 4))
    image[..., :3] = np.where(shares[:, None] >= 0, to_rgb(PLUS), to_rgb(MINUS))
    image[..., 3] = np.round(np.abs(shares) * 40) / 63  # the line stays the darkest
    low, high = axes.get_ylim()
    axes.imshow(
        image, interpolation="none", aspect="auto",
        extent=(place[0] - 0.5, place[-1] + 0.5, low, high),
    )  # fmt: skip


def _tags(
    axes: Axes,
    place: NDArray[np.int_],
    rows: Sequence[TagRow],
    gold: Sequence[str] | None,
    marked: Collection[str],
) -> None:
    """A row of boxes for each who tags, a box for each run of equal tags, right or wrong."""
    patches = require("matplotlib.patches", extra="plots")
    inches = (WIDTH - SIDE) / len(place)
    for at, row in enumerate(rows):
        colour = READERS[row.reader].colour if row.reader else INK
        right = [True] * len(place) if gold is None else [
            tag == best for tag, best in zip(row.tags, gold, strict=True)
        ]  # fmt: skip
        begun = 0
        for (tag, good), run in groupby(zip(row.tags, right, strict=True)):
            steps = len(list(run))
            filled = tag in marked
            box = patches.Rectangle(
                (place[begun] - 0.46, at - 0.36), steps - 0.08, 0.72,
                facecolor=colour if filled or not marked else GRID,
                alpha=0.8 if filled else 0.3, edgecolor="none",
            )  # fmt: skip
            which = f"steps {place[begun]} to {place[begun] + steps - 1}" if steps > 1 else (
                f"step {place[begun]}"
            )  # fmt: skip
            tip(axes.add_patch(box), f"{row.name}, {which}: {tag}{'' if good else ', wrong'}")
            if not good:
                axes.add_patch(
                    patches.Rectangle(
                        (place[begun] - 0.42, at - 0.34),
                        steps - 0.16,
                        0.68,
                        facecolor="none",
                        edgecolor=WRONG,
                        linewidth=1.6,
                    )
                )
            written = "" if marked else shown(tag)
            if written and 0.085 * len(written) + 0.02 < inches * steps:
                axes.text(
                    place[begun] + (steps - 1) / 2, at, written, ha="center", va="center",
                    fontsize=8.5, color=INK,
                )  # fmt: skip
            begun += steps
    axes.set_ylim(len(rows) - 0.5, -0.5)
    names = [row.name.replace(", ", ",\n") for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8.5)
    axes.tick_params(axis="y", length=0)


def _legend(figure: Figure, coloured: bool, label: str, marked: Collection[str]) -> None:
    patches = require("matplotlib.patches", extra="plots")
    entries = {}
    if coloured:
        entries[f"for {shown(label)}"] = patches.Patch(color=PLUS, alpha=0.6)
        entries["against"] = patches.Patch(color=MINUS, alpha=0.6)
    if marked:
        entries[f"filled: {', '.join(marked)}"] = patches.Patch(color=INK, alpha=0.8)
    if entries:
        figure.legend(entries.values(), entries, loc="outside upper left", ncols=3, labelcolor=INK)


def _words(values: FloatArray, adds: FloatArray | None, channel: int, label: str) -> str:
    of = values[:, channel]
    finite = of[np.isfinite(of)]
    ends = f"from {number(finite.min())} to {number(finite.max())}" if finite.size else "no number"
    more = "" if adds is None else f", adds {adds[:, channel].sum():.3g} to '{label}'"
    return f"Channel {channel + 1}: {ends}{more}."
