"""Figures of measured numbers, in one house style.

Each function takes numbers and returns a `matplotlib.figure.Figure`; none takes a model and none
keeps state. Forward, backward and both always have the same colours (`READERS`), which people
with a colour vision deficiency tell apart (Okabe and Ito, "Color Universal Design", 2008).

Bars and points carry their numbers as hover texts: an artist whose group id starts with `TIP`
gets the rest of it as its title in the report.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec

from birnn.errors import DataError, nearest, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Reader:
    """How one way of reading a sequence is named and drawn everywhere."""

    name: str
    colour: str
    marker: str


READERS = {
    "forward": Reader("one direction, left to right", "#0072B2", "o"),
    "backward": Reader("one direction, right to left", "#D55E00", "s"),
    "both": Reader("two directions", "#009E73", "D"),
}

INK, GRID = "#24292f", "#d8dee4"  # the report maps both to its own, light or dark
TIP = "tip: "
BOUND = "the best that one direction can do"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (5.2, 3.2),  # inches; small, so that its text is readable on a phone
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": GRID,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "savefig.transparent": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
}


def in_house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a drawing function run under `STYLE`, and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with require("matplotlib", extra="plots").rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


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
    readers = _readers(accuracy)
    names = list(next(iter(accuracy.values())))
    if any(list(values) != names for values in accuracy.values()):
        raise DataError("every reader needs the same groups in the same order")
    figure, axes = _canvas()
    width = 0.8 / len(readers)
    for number, (key, reader) in enumerate(readers.items()):
        places = [index + (number - (len(readers) - 1) / 2) * width for index in range(len(names))]
        heights = [100 * accuracy[key][name] for name in names]
        bars = axes.bar(places, heights, 0.94 * width, color=reader.colour, label=reader.name)
        for bar, name, height in zip(bars, names, heights, strict=True):
            bar.set_gid(f"{TIP}{name}, {reader.name}: {height:.1f} %")
        axes.bar_label(bars, fmt="%.0f", padding=2, color=INK)
    if bound is not None:
        for index, name in enumerate(names):
            label = BOUND if index == 0 else None
            ends = (index - 0.45, index + 0.45)
            height = 100 * bound[name]
            axes.plot(ends, (height, height), "--", color=INK, linewidth=1.2, label=label)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(groups)
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 25))
    axes.set_ylabel("accuracy, %")
    _legend(figure, axes, bounded=bound is not None)
    return figure


@in_house_style
def accuracy_by_position(
    accuracy: Mapping[str, Sequence[float]],
    *,
    bound: Sequence[float] | None = None,
) -> Figure:
    """Accuracy of each reader at each position of sequences of one length.

    Args:
        accuracy: Reader (a key of `READERS`) to the accuracy at each position, between 0 and 1.
        bound: The accuracy that one direction cannot exceed in expectation, at each position.

    Raises:
        DataError: No reader, a reader that is not known, or different numbers of positions.

    Example:
        >>> figure = accuracy_by_position({"forward": [1.0, 0.9], "both": [1.0, 1.0]})
        >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
        [[100.0, 90.0], [100.0, 100.0]]
    """
    readers = _readers(accuracy)
    lengths = {len(values) for values in (*accuracy.values(), *([bound] if bound else []))}
    if len(lengths) != 1:
        raise DataError(f"readers have different numbers of positions: {sorted(lengths)}")
    figure, axes = _canvas()
    positions = range(1, lengths.pop() + 1)
    if bound is not None:
        values = [100 * value for value in bound]
        axes.plot(positions, values, "--", color=INK, linewidth=1.2, label=BOUND)
    for key, reader in readers.items():
        _line(axes, positions, accuracy[key], reader, "position")
    axes.set_xlabel("position in the sequence")
    axes.set_xticks(positions if len(positions) <= 20 else positions[:: len(positions) // 10])
    _percent(axes)
    _legend(figure, axes, bounded=bound is not None)
    return figure


@in_house_style
def learning_curves(curves: Mapping[str, Sequence[float]], *, metric: str = "accuracy") -> Figure:
    """A metric of each reader on held-out data after each epoch of training.

    Args:
        curves: Reader (a key of `READERS`) to the metric after each epoch, between 0 and 1.
        metric: What is measured, for the axis.

    Raises:
        DataError: No reader, or a reader that is not known.

    Example:
        >>> figure = learning_curves({"both": [0.25, 0.5, 1.0]})
        >>> figure.axes[0].lines[0].get_xdata().tolist()
        [1, 2, 3]
    """
    readers = _readers(curves)
    figure, axes = _canvas()
    for key, reader in readers.items():
        _line(axes, range(1, len(curves[key]) + 1), curves[key], reader, "epoch")
    axes.set_xlabel("epoch")
    whole = require("matplotlib.ticker", extra="plots").MaxNLocator(integer=True)
    axes.xaxis.set_major_locator(whole)
    _percent(axes, metric)
    _legend(figure, axes, bounded=False)
    return figure


def describe(values: Mapping[str, Mapping[str, float]]) -> str:
    """Numbers between 0 and 1 as a sentence for each reader: a figure for who cannot see it.

    Example:
        >>> describe({"both": {"left": 1.0, "right": 0.998}})
        'Two directions: left 100.0 %, right 99.8 %.'
    """
    sentences = []
    for key, reader in _readers(values).items():
        numbers = ", ".join(f"{name} {100 * value:.1f} %" for name, value in values[key].items())
        sentences.append(f"{reader.name[0].upper()}{reader.name[1:]}: {numbers}.")
    return " ".join(sentences)


def _readers(values: Mapping[str, object]) -> dict[str, Reader]:
    if not values:
        raise DataError("nothing to draw: give the numbers of at least one reader")
    for key in values:
        if key not in READERS:
            raise DataError(f"{key!r} is no way of reading: {nearest(key, READERS)}")
    return {key: READERS[key] for key in values}


def _canvas() -> tuple[Figure, Axes]:
    figure = require("matplotlib.figure", extra="plots").Figure(layout="constrained")
    return figure, figure.subplots()


def _line(
    axes: Axes, places: Sequence[int], values: Sequence[float], reader: Reader, unit: str
) -> None:
    percents = [100 * value for value in values]
    axes.plot(places, percents, marker=reader.marker, color=reader.colour, label=reader.name)
    for place, percent in zip(places, percents, strict=True):
        # an unseen target for the pointer, wider than the marker
        target = axes.scatter([place], [percent], s=120, alpha=0)
        target.set_gid(f"{TIP}{unit} {place}, {reader.name}: {percent:.1f} %")


def _percent(axes: Axes, metric: str = "accuracy") -> None:
    """Show the part of the scale that is used, with room above 100 for markers."""
    lowest = min(float(min(line.get_ydata())) for line in axes.lines)  # type: ignore[type-var, arg-type]
    floor = max(0.0, lowest - 0.15 * (100 - lowest) - 0.5)
    axes.set_ylim(floor, 100 + 0.06 * (100 - floor))
    axes.set_ylabel(f"{metric}, %")


def _legend(figure: Figure, axes: Axes, *, bounded: bool) -> None:
    """Readers in one row above the axes, the bound below them."""
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    bound = [BOUND] if bounded else []
    first, *rest = [label for label in labels if label not in bound]
    order = [first, *bound, *rest]  # legends fill column by column
    figure.legend(
        [entries[label] for label in order],
        order,
        loc="outside upper left",
        ncols=1 + len(rest),
        labelcolor=INK,
    )
