"""Figures of ways of reading against each other: by group, position, seed; costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from birnn.errors import DataError
from birnn.report.figures.bars import bars, number_beside, rows
from birnn.report.figures.lines import line, percent_scale
from birnn.report.figures.style import (
    INK,
    PAPER,
    SPREAD,
    FloatArray,
    Reader,
    blank,
    canvas,
    capital,
    describe,
    in_house_style,
    legend,
    number,
    readers_of,
    sentence,
    tooltip,
    with_alt_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BOUND = "the best that one direction can do"


@in_house_style
def accuracy_by_group(
    accuracy: Mapping[str, Mapping[str, float]],
    *,
    groups: str,
    bound: Mapping[str, float] | None = None,
) -> Figure:
    """Accuracy of each reader in each group, as bars side by side.

    Args:
        accuracy: Reader (a key of `READERS`), then group, to accuracy between 0 and 1.
        groups: What the groups are, for the axis.
        bound: Group to the accuracy that one direction cannot exceed in expectation, as dashes.

    Raises:
        DataError: No reader, a reader that is not known, or readers with different groups.

    Example:
        >>> figure = accuracy_by_group(
        ...     {"forward": {"left": 1.0, "right": 0.5}, "both": {"left": 1.0, "right": 1.0}},
        ...     groups="where the evidence stands",
        ... )
        >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
        [100.0, 50.0, 100.0, 100.0]
    """
    readers = readers_of(accuracy)
    names = list(next(iter(accuracy.values())))
    if any(list(values) != names for values in accuracy.values()):
        raise DataError("every reader needs the same groups in the same order")
    figure, axes = canvas()
    percents = {
        readers[key].name: [100 * value for value in values.values()]
        for key, values in accuracy.items()
    }
    bars(
        axes, percents, [reader.colour for reader in readers.values()],
        lambda reader, at: f"{names[at]}, {reader}: {percents[reader][at]:.1f} %",
        upright=True,
    )  # fmt: skip
    bounds = None if bound is None else [100 * bound[name] for name in names]
    for at, height in enumerate(bounds or ()):
        line(axes, (at - 0.45, at + 0.45), (height, height), INK, name=BOUND if at == 0 else "",
             linestyle="--", linewidth=1.2)  # fmt: skip
    axes.set_xticks(range(len(names)), names, rotation=_turn(names, len(names)))
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(groups)
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 25))
    axes.set_ylabel("accuracy, %")
    axes.grid(visible=False)  # every bar has its number, which a line would go through
    legend(figure, last=BOUND)
    _numbers(figure, axes, bounds, size=8.5 if len(readers) * len(names) > 12 else 10)
    return with_alt_text(figure, f"Accuracy by {groups}.", describe(accuracy))


def _numbers(figure: Figure, axes: Axes, bounds: Sequence[float] | None, *, size: float) -> None:
    """The height of each bar over it; over the bound of its group where that would strike it."""
    figure.draw_without_rendering()  # only now it is known how much of the scale a number takes
    low, high = axes.get_ylim()
    points = axes.bbox.height / figure.dpi * 72
    tall = (1.3 * size + 3) * (high - low) / points
    for drawn in axes.containers:
        for at, bar in enumerate(drawn):
            height = foot = float(bar.get_height())
            if bounds is not None and height < bounds[at] < height + tall:
                foot = bounds[at]
            axes.annotate(
                f"{height:.0f}", (bar.get_x() + bar.get_width() / 2, foot), (0, 3),
                textcoords="offset points", ha="center", va="bottom", fontsize=size,
            )  # fmt: skip


@in_house_style
def accuracy_by_position(
    accuracy: Mapping[str, Sequence[float]],
    *,
    positions: Sequence[str] | None = None,
    bound: Sequence[float] | None = None,
    of: str = "position",
) -> Figure:
    """Accuracy of each reader at each position.

    Args:
        accuracy: Reader (a key of `READERS`) to the accuracy at each position, between 0 and 1;
            NaN where there is nothing to count.
        positions: Names of the positions (``"1"``, ``"20-29"``); 1, 2, 3 by default.
        bound: The accuracy that one direction cannot exceed in expectation, at each position.
        of: What the places are: the ``position`` in a sequence, or the ``length`` of one.

    Raises:
        DataError: No reader, a reader that is not known, or different numbers of positions.

    Example:
        >>> figure = accuracy_by_position({"forward": [1.0, 0.9], "both": [1.0, 1.0]})
        >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
        [[100.0, 90.0], [100.0, 100.0]]
    """
    readers = readers_of(accuracy)
    others = [values for values in (bound, positions) if values is not None]
    lengths = {len(values) for values in (*accuracy.values(), *others)}
    if len(lengths) != 1:
        raise DataError(f"readers have different numbers of positions: {sorted(lengths)}")
    length = lengths.pop()
    places = range(1, length + 1)
    names = list(map(str, places)) if positions is None else list(positions)
    figure, axes = canvas()
    if bound is not None:
        heights = [100 * value for value in bound]
        line(axes, places, heights, INK, name=BOUND, linestyle="--", linewidth=1.2)
    for key, reader in readers.items():
        percents = 100 * np.asarray(accuracy[key], dtype=float)

        def text(at: int, name: str = reader.name, percents: FloatArray = percents) -> str:
            return f"{of} {names[at]}, {name}: {percents[at]:.1f} %"

        line(
            axes, places, percents, reader.colour, name=reader.name, marker=reader.marker,
            tooltips=text,
        )  # fmt: skip
    axes.set_xlabel(f"{of} in the sequence" if of == "position" else f"{of} of the sequence, steps")
    every = 1 if length <= 20 else length // 10
    axes.set_xticks(places[::every], names[::every], rotation=_turn(names, length / every))
    percent_scale(axes, "accuracy")
    legend(figure, last=BOUND)
    numbers = {
        key: {f"{of} {name}": value for name, value in zip(names, values, strict=True)}
        for key, values in accuracy.items()
    }
    return with_alt_text(figure, f"Accuracy at each {of}.", describe(numbers))


@in_house_style
def scores_by_seed(
    scores: Mapping[str, Sequence[float]], *, metric: str = "accuracy", share: bool = True
) -> Figure:
    """The score of every seed as a point, and each reader's median as a line across.

    Args:
        scores: Reader (a key of `READERS`) to the score of each seed.
        metric: What is measured, for the axis.
        share: Whether it is between 0 and 1, and drawn in percent.

    Raises:
        DataError: No reader, a reader that is not known, or one without a score.

    Example:
        >>> figure = scores_by_seed({"forward": [0.90, 0.92, 0.91], "both": [0.97, 0.99]})
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[1]
        'One direction, left to right: median 91.0 %, least 90.0 %, most 92.0 %, seeds 3'
    """
    readers = readers_of(scores)
    figure, axes = canvas(0.9 + 0.55 * len(readers))
    facts: list[str] = []
    drawn: list[float] = []
    unit, factor = (" %", 100) if share else ("", 1)
    for row, (key, reader) in enumerate(readers.items()):
        percents = factor * np.asarray(scores[key], dtype=float)
        if percents.size == 0:
            raise DataError(f"nothing to draw: {reader.name} has no score")
        drawn += percents.tolist()
        # side by side, in the order of the seeds: points that coincide stay visible
        offsets = np.linspace(-0.18, 0.18, len(percents)) if len(percents) > 1 else np.zeros(1)

        def text(seed: int, name: str = reader.name, percents: FloatArray = percents) -> str:
            return f"{name}, seed {seed}: {percents[seed]:.2f}{unit}"

        line(axes, percents, row + offsets, reader.colour, marker=reader.marker, tooltips=text,
             joined=False, markersize=6, alpha=0.75, markeredgewidth=0)  # fmt: skip
        middle = float(np.median(percents))
        line(axes, [middle] * 2, [row - 0.34, row + 0.34], INK, linewidth=1.6)
        axes.annotate(
            f"{middle:.1f}", (middle, row - 0.34), (0, 2), textcoords="offset points",
            ha="center", va="bottom", fontsize=9,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
        ends = {"median": middle, "least": percents.min(), "most": percents.max()}
        each = [(name, f"{value:.1f}{unit}") for name, value in ends.items()]
        facts.append(sentence(reader.name, [*each, ("seeds", str(len(percents)))]))
    rows(axes, _in_two_lines(readers))
    axes.set_ylim(len(readers) - 0.5, -0.75)
    axes.set_xlim(*_around(drawn))
    axes.set_xlabel(f"{metric}{',' * share}{unit}: every seed, and the median")
    return with_alt_text(figure, f"{capital(metric)} of each seed.", *facts)


@in_house_style
def cost_bars(values: Mapping[str, Mapping[str, float]]) -> Figure:
    """What each reader costs, a panel for each quantity, the numbers at the bars.

    Bars from 0; where the greatest is more than 50 times the least, points on a logarithmic scale.

    Args:
        values: Reader (a key of `READERS`), then quantity with its unit (``"forward, ms"``), to
            a number from 0 on.

    Raises:
        DataError: No reader, a reader that is not known, no quantity, or readers with different
            quantities.

    Example:
        >>> figure = cost_bars({"forward": {"parameters": 365568}, "both": {"parameters": 731136}})
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [365568.0, 731136.0]
    """
    readers = readers_of(values)
    names = list(next(iter(values.values())))
    if not names:
        raise DataError("nothing to draw: give at least one quantity")
    if any(list(costs) != names for costs in values.values()):
        raise DataError("every reader needs the same quantities in the same order")
    columns = min(2, len(names))
    high = -(-len(names) // columns)
    figure = blank(0.25 + high * (0.6 + 0.36 * len(readers)))
    panels = figure.subplots(high, columns, squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        _costs(panel, name, readers, np.array([values[key][name] for key in readers], dtype=float))
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    facts = (
        sentence(reader.name, ((name, number(values[key][name])) for name in names))
        for key, reader in readers.items()
    )
    return with_alt_text(figure, "Costs.", *facts)


def _costs(panel: Axes, name: str, readers: Mapping[str, Reader], costs: FloatArray) -> None:
    """One quantity: a row for each reader."""
    each = list(readers.values())
    positive, top = costs[costs > 0], costs.max() or 1.0
    wide = positive.size > 1 and positive.max() > SPREAD * positive.min()

    def text(at: int) -> str:
        return f"{each[at].name}, {name}: {number(costs[at])}"

    if wide:
        for row, reader in enumerate(each):
            drawn = panel.scatter(costs[row], row, s=60, color=reader.colour, marker=reader.marker)
            tooltip(drawn, text(row))
        panel.set_xscale("log")
        panel.set_xlim(positive.min() / 2, top * (top / positive.min()) ** 0.6)
    else:
        colours = [reader.colour for reader in each]
        bars(panel, {"": costs}, [colours], lambda _, row: text(row))
        panel.set_xlim(0, 1.6 * top)  # room for the numbers
    for row, cost in enumerate(costs):
        number_beside(panel, cost, row, 7 if wide else 4)
    panel.set_title(f"{name} (log scale)" if wide else name)
    panel.set_xticks([])
    panel.minorticks_off()
    rows(panel, _in_two_lines(readers), grid=False)
    panel.spines["left"].set_visible(not wide)
    panel.spines["bottom"].set_visible(False)


def _in_two_lines(readers: Mapping[str, Reader]) -> list[str]:
    return [reader.name.replace(", ", ",\n") for reader in readers.values()]


def _around(percents: Sequence[float]) -> tuple[float, float]:
    """A scale of at least one percent point around some scores, with room at both ends.

    Example:
        >>> _around([50.0, 60.0]), _around([0.0, 0.0])
        ((49.2, 60.8), (-0.08, 1.08))
    """
    low, high = min(percents), max(percents)
    short = max(0.0, 1 - (high - low))
    low = max(0.0, low - short / 2) if low >= 0 else low - short / 2
    high = max(high, low + 1)
    room = 0.08 * (high - low)
    return low - room, high + room


def _turn(names: Sequence[str], places: float) -> int:
    """Degrees by which names beneath so many places turn, so that they do not meet."""
    inches = max(map(len, names)) * 0.08 + 0.1
    return 90 if inches > 4.4 / places else 0
