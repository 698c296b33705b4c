"""The house style: colours, markers, canvas, legend, tooltips and alt text of every figure.

Forward, backward and the other ways of reading always have the same colours (`READERS`), which
people with a colour vision deficiency tell apart (Okabe and Ito, "Color Universal Design", 2008;
the fifth is Paul Tol's wine). What speaks for something and what against it has two more
(`PLUS`, `MINUS`), so that a sign is never taken for a direction.

Bars and points carry their numbers as tooltips: an artist whose group id starts with `TOOLTIP`
gets the rest of it as its title on the page. A figure's label is its alt text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn.errors import DataError, nearest, require

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

P = ParamSpec("P")
FloatArray = NDArray[np.float64]


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
    "half": Reader("two directions, half width", "#CC79A7", "^"),
    "equal": Reader("two directions, equal parameters", "#882255", "v"),
}

# the halves of one bidirectional model: the colours of the readers, but not their names
HALVES = {"forward": "forward half", "backward": "backward half", "both": "both halves"}

INK, GRID = "#24292f", "#d8dee4"  # the report maps these to its own, light or dark
PAPER = "#fefefe"  # behind a label that a line would go through
WRONG = "#b42318"
PLUS, MINUS = "#5e3c99", "#a87900"
TOOLTIP = "tip: "

SPREAD = 50  # the greatest over the least from which on a scale is logarithmic
WIDTH = 5.2  # inches of every figure; small, so that its text is readable on a phone

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.figsize": (WIDTH, 3.2),
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": GRID,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "savefig.transparent": True,
    "text.color": INK,
    "text.parse_math": False,  # words of a text may well have dollars in them
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


def alt_text(figure: Figure) -> str:
    """What a figure shows, in words, for who cannot see it; its numbers are those drawn.

    Example:
        >>> from birnn.report import figures
        >>> figures.alt_text(figures.learning_curves({"both": [0.25, 1.0]}))
        'Accuracy after each epoch. Two directions: first 25.0 %, last 100.0 %.'
    """
    return str(figure.get_label())


def with_alt_text(figure: Figure, *sentences: str) -> Figure:
    """The figure, with these sentences as its alt text."""
    figure.set_label(" ".join(sentence for sentence in sentences if sentence))
    return figure


def describe(values: Mapping[str, Mapping[str, float]]) -> str:
    """Numbers between 0 and 1 as a sentence for each reader.

    Example:
        >>> describe({"both": {"left": 1.0, "right": 0.998}})
        'Two directions: left 100.0 %, right 99.8 %.'
    """
    return " ".join(
        sentence(reader.name, ((name, f"{100 * value:.1f} %") for name, value in numbers.items()))
        for reader, numbers in zip(readers_of(values).values(), values.values(), strict=True)
    )


def sentence(subject: str, facts: Iterable[tuple[str, str]]) -> str:
    """A sentence of names and numbers.

    Example:
        >>> sentence("both halves", [("first", "1"), ("last", "2")])
        'Both halves: first 1, last 2.'
    """
    return f"{capital(subject)}: {', '.join(f'{name} {value}' for name, value in facts)}."


def capital(text: str) -> str:
    """The text with its first letter large, all others as they are."""
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """A number as figures show it.

    Example:
        >>> number(365568), number(0.01234), number(-2.5), number(0.0)
        ('365,568', '0.0123', '-2.5', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def readers_of(values: Mapping[str, object]) -> dict[str, Reader]:
    """The readers that have values.

    Raises:
        DataError: There is none, or one that is not known.
    """
    if not values:
        raise DataError("nothing to draw: give the numbers of at least one reader")
    for key in values:
        if key not in READERS:
            raise DataError(f"{key!r} is no way of reading: {nearest(key, READERS)}")
    return {key: READERS[key] for key in values}


def halves_of(forward: ArrayLike, backward: ArrayLike | None) -> dict[str, FloatArray]:
    """The halves that there are, forward first."""
    halves = {"forward": forward} | ({} if backward is None else {"backward": backward})
    return {half: np.asarray(values, dtype=float) for half, values in halves.items()}


def same_length(what: str, **sized: ArrayLike | None) -> int:
    """The length that all have.

    Raises:
        DataError: They differ, or are empty.
    """
    lengths = {name: len(values) for name, values in sized.items() if values is not None}  # type: ignore[arg-type]
    if len(set(lengths.values())) != 1:
        each = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"not one number for each {what}: {each}")
    length = next(iter(lengths.values()))
    if length == 0:
        raise DataError(f"nothing to draw: there is no {what}")
    return length


# ---------------------------------------------------------------------- canvas, axes, legend


def blank(height: float = 3.2) -> Figure:
    """An empty figure of the house's width."""
    matplotlib = require("matplotlib.figure", extra="plots")
    figure: Figure = matplotlib.Figure(figsize=(WIDTH, height), layout="constrained")
    return figure


def canvas(height: float = 3.2) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes."""
    figure = blank(height)
    return figure, figure.subplots()


def tooltip(artist: Artist, text: str) -> None:
    """Give an artist a text that is shown under the pointer."""
    artist.set_gid(TOOLTIP + text)


def hover_target(axes: Axes, x: float, y: float, text: str) -> None:
    """A tooltip at a point: unseen, and wider than a marker."""
    tooltip(axes.scatter([x], [y], s=120, alpha=0), text)


def tint(colour: str, alpha: float) -> tuple[float, float, float, float]:
    """A colour that is as strong as ``alpha``, for a face whose edge is at full strength."""
    red, green, blue = require("matplotlib.colors", extra="plots").to_rgb(colour)
    return red, green, blue, alpha


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, **style: Any
) -> None:
    """An arrow with an open head."""
    properties = {"arrowstyle": "->", "color": colour, "shrinkA": 0, "shrinkB": 0,
                  "mutation_scale": 9}  # fmt: skip
    axes.annotate("", end, start, arrowprops=properties | style)


def whole_ticks(axis: Axis, most: int = 8) -> None:
    """Ticks at whole numbers, about so many at most."""
    ticker = require("matplotlib.ticker", extra="plots")
    axis.set_major_locator(ticker.MaxNLocator(nbins=most, integer=True))


def swatch(colour: str, alpha: float = 1) -> Artist:
    """A patch of colour for a legend."""
    patch: Artist = require("matplotlib.patches", extra="plots").Patch(color=colour, alpha=alpha)
    return patch


def legend(figure: Figure, entries: Mapping[str, Artist] | None = None, *, last: str = "") -> None:
    """Entries above the axes, two in a row.

    Args:
        figure: The figure.
        entries: Label to what it explains; by default all that has a label.
        last: The one that has a row of its own where there is one.
    """
    if entries is None:
        found = [axes.get_legend_handles_labels() for axes in figure.axes]
        entries = {label: one for handles, labels in found
                   for one, label in zip(handles, labels, strict=True)}  # fmt: skip
    labels = [label for label in entries if label != last]
    columns = len(labels) if last and len(labels) <= 2 else 2
    if last in entries:
        labels.insert(1 if len(labels) <= 2 else len(labels), last)  # column by column
    figure.legend(
        [entries[label] for label in labels], labels, loc="outside upper left", ncols=columns,
        columnspacing=1.2, labelcolor=INK,
    )  # fmt: skip
