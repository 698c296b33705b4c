"""Matrices as tiles: how strongly a tile is inked is its value, its colour is the sign or the half.

A value of zero is left clear, so that the same drawing stands on light and on dark paper.
"""

# R rows, C columns of a matrix

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from birnn.errors import require
from birnn.report.figures.style import GRID, INK, MINUS, PITCH, TOKENS, WIDTH, shown, tip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

FloatArray = NDArray[np.float64]

TILES = 625  # a matrix of more cells, 25 by 25, is an embedded image
PIXELS = 256  # rows and columns of an image at most
SHADES = 24  # of a scale


def tiles(
    axes: Axes,
    share_RC: FloatArray,
    colour: str,
    told: Callable[[int, int], str],
    *,
    minus: str = MINUS,
) -> None:
    """Draw a matrix; row 0 is at the top.

    Args:
        axes: Where.
        share_RC: How strongly each cell is inked, from -1 to 1; NaN is left clear.
        colour: Of values above 0.
        told: Row and column to the cell's hover text.
        minus: Colour of values below 0.
    """
    patches = require("matplotlib.patches", extra="plots")
    rows, columns = share_RC.shape
    share_RC = np.nan_to_num(np.clip(share_RC, -1, 1))
    ground = patches.Rectangle((-0.5, -0.5), columns, rows, color=GRID, alpha=0.35, linewidth=0)
    axes.add_patch(ground)
    if share_RC.size > TILES:
        _image(axes, share_RC, colour, minus)
    else:
        for row, column in zip(*np.nonzero(share_RC), strict=True):
            share = float(share_RC[row, column])
            tile = patches.Rectangle(
                (column - 0.47, row - 0.47), 0.94, 0.94, linewidth=0, alpha=abs(share),
                facecolor=colour if share > 0 else minus,
            )  # fmt: skip
            tip(axes.add_patch(tile), told(int(row), int(column)))
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)


def extremes(values_RC: FloatArray, most: int = PIXELS) -> FloatArray:
    """A matrix of at most ``most`` rows and columns: of each block the value farthest from 0.

    Example:
        >>> extremes(np.array([[1.0, -3.0, 0.0], [2.0, 0.0, 0.5]]), most=2)
        array([[-3. ,  0. ],
               [ 2. ,  0.5]])
    """
    for axis, size in enumerate(values_RC.shape):
        if size > most:
            step = -(-size // most)
            starts = np.arange(0, size, step)
            high = np.maximum.reduceat(values_RC, starts, axis=axis)
            low = np.minimum.reduceat(values_RC, starts, axis=axis)
            values_RC = np.where(high >= -low, high, low)
    return values_RC


def _image(axes: Axes, share_RC: FloatArray, colour: str, minus: str) -> None:
    to_rgb = require("matplotlib.colors", extra="plots").to_rgb
    rows, columns = share_RC.shape
    share_RC = extremes(share_RC)
    image = np.empty((*share_RC.shape, 4))
    image[..., :3] = np.where(share_RC[..., None] >= 0, to_rgb(colour), to_rgb(minus))
    image[..., 3] = np.round(np.abs(share_RC) * 63) / 63  # fewer shades make a smaller file
    axes.imshow(
        image, interpolation="none", aspect="auto", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5)
    )


def scale(
    axes: Axes,
    shares: Sequence[float],
    labels: Sequence[str],
    title: str,
    *,
    colour: str = INK,
    signed: bool = False,
) -> None:
    """Draw the scale of a matrix into narrow axes, with labels at some shares."""
    patches = require("matplotlib.patches", extra="plots")
    low = -1.0 if signed else 0.0
    shades = 2 * SHADES if signed else SHADES
    ground = patches.Rectangle((0, low), 1, 1 - low, color=GRID, alpha=0.35, linewidth=0)
    axes.add_patch(ground)
    edges = np.linspace(low, 1, shades + 1)
    for bottom, top in itertools.pairwise(edges):
        share = (bottom + top) / 2
        strip = patches.Rectangle(
            (0, bottom), 1, top - bottom, linewidth=0, alpha=abs(share),
            facecolor=colour if share > 0 else MINUS,
        )  # fmt: skip
        axes.add_patch(strip)
    axes.set_xlim(0, 1)
    axes.set_ylim(low, 1)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks(shares, labels, fontsize=9)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.yaxis.set_label_position("right")
    axes.set_ylabel(title, fontsize=9)


def name_tokens(
    axis: Axis,
    tokens: Sequence[str],
    inches: float = WIDTH - 1.2,
    *,
    upright: bool = False,
    first: int = 0,
) -> bool:
    """Write tokens beside an axis where they fit, every so many positions where not.

    Steps that have no name but their number count as such that do not fit.

    Args:
        axis: The axis, on which token ``n`` stands at ``n``.
        tokens: The tokens.
        inches: How long the axis is.
        upright: Whether the axis stands upright, and its labels read across.
        first: Where the first of them stands in the whole text.

    Returns:
        Whether the tokens are written.
    """
    count = len(tokens)
    fits = _fit(tokens, inches)
    if fits:
        names = [shown(token) for token in tokens]
        turn = 0 if upright or _across(tokens, inches) else 90
        axis.set_ticks(range(count), names, fontsize=9, rotation=turn)
    else:
        most = max(2, int(inches / 0.4))
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, count) if count / s <= most)
        places = [place for place in range(count) if place == 0 or (place + 1) % step == 0]
        if step > 1 and len(places) > 1 and places[1] <= step / 2:
            places = places[1:]
        axis.set_ticks(places, [str(first + place + 1) for place in places], fontsize=9)
    return fits


def below(tokens: Sequence[str], inches: float = WIDTH - 1.2) -> float:
    """Inches that tokens take under an axis when they stand on end there.

    Example:
        >>> below(["it", "was"]), below(["word"] * 25) > 0.2
        (0.0, True)
    """
    if not _fit(tokens, inches) or _across(tokens, inches):
        return 0.0
    return 0.08 * max(len(shown(token)) for token in tokens)


def _fit(tokens: Sequence[str], inches: float) -> bool:
    return len(tokens) <= TOKENS and len(tokens) * PITCH <= inches and not _numbered(tokens)


def _numbered(tokens: Sequence[str], first: int = 0) -> bool:
    """Whether steps have no name but their number."""
    return all(str(token) == str(first + at) for at, token in enumerate(tokens, start=1))


def _across(tokens: Sequence[str], inches: float) -> bool:
    widest = max((len(shown(token)) for token in tokens), default=0)
    return (widest * 0.08 + 0.08) * len(tokens) < inches


def place(tokens: Sequence[str], index: int, first: int = 0) -> str:
    """A token and where it stands, counted from 1; the first of them stands at ``first``.

    Example:
        >>> place(["the", "bank"], 1), place(["1", "2"], 1)
        ("'bank' (2)", 'step 2')
    """
    if str(tokens[index]) == str(first + index + 1):
        return f"step {first + index + 1}"
    return f"'{shown(tokens[index])}' ({first + index + 1})"
