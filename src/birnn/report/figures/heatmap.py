"""Heat maps: how strongly a cell is inked is its value, its colour is the sign or the half.

A value of zero is left clear, so that the same drawing stands on light and on dark paper.
"""

# R rows, C columns of a matrix

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from birnn.errors import require
from birnn.report.figures.style import GRID, INK, MINUS, FloatArray, tooltip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = 625  # a matrix of more, 25 by 25, is an embedded image
PIXELS = 256  # rows and columns of an image at most
SHADES = 24  # of a scale


def heatmap(
    axes: Axes,
    share_RC: FloatArray,
    colour: str,
    tooltips: Callable[[int, int], str],
) -> None:
    """Draw a matrix; row 0 is at the top, values below 0 have the colour of `MINUS`.

    Args:
        axes: Where.
        share_RC: How strongly each cell is inked, from -1 to 1; NaN is left clear.
        colour: Of values above 0.
        tooltips: Row and column to the cell's tooltip.
    """
    patches = require("matplotlib.patches", extra="plots")
    rows, columns = share_RC.shape
    share_RC = np.nan_to_num(np.clip(share_RC, -1, 1))
    ground = patches.Rectangle((-0.5, -0.5), columns, rows, color=GRID, alpha=0.35, linewidth=0)
    axes.add_patch(ground)
    if share_RC.size > CELLS:
        heat_image(axes, share_RC, colour, (-0.5, columns - 0.5, rows - 0.5, -0.5))
    else:
        for row, column in zip(*np.nonzero(share_RC), strict=True):
            share = float(share_RC[row, column])
            cell = patches.Rectangle(
                (column - 0.47, row - 0.47), 0.94, 0.94, linewidth=0, alpha=abs(share),
                facecolor=colour if share > 0 else MINUS,
            )  # fmt: skip
            tooltip(axes.add_patch(cell), tooltips(int(row), int(column)))
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)


def heat_image(
    axes: Axes,
    share_RC: FloatArray,
    colour: str,
    extent: tuple[float, float, float, float],
    full: float = 1.0,
) -> None:
    """Draw a matrix as an image over an area of the axes, without tooltips.

    Args:
        axes: Where.
        share_RC: As `heatmap` takes it.
        colour: Of values above 0.
        extent: Left, right, bottom and top.
        full: How strong the ink of a share of 1 is.
    """
    to_rgb = require("matplotlib.colors", extra="plots").to_rgb
    share_RC = extremes(share_RC)
    image = np.empty((*share_RC.shape, 4))
    image[..., :3] = np.where(share_RC[..., None] >= 0, to_rgb(colour), to_rgb(MINUS))
    image[..., 3] = np.round(np.abs(share_RC) * full * 63) / 63  # few shades, a small file
    axes.imshow(image, interpolation="none", aspect="auto", extent=extent)


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


def colour_scale(axes: Axes, labels: Mapping[float, str], title: str, *, colour: str = INK) -> None:
    """Draw the scale of a heat map into narrow axes.

    Args:
        axes: Where.
        labels: Share of the ink to its label; below 0 where the matrix has a sign.
        title: What the numbers are.
        colour: Of values above 0.
    """
    patches = require("matplotlib.patches", extra="plots")
    low = min(0.0, *labels)
    axes.add_patch(patches.Rectangle((0, low), 1, 1 - low, color=GRID, alpha=0.35, linewidth=0))
    for bottom, top in itertools.pairwise(np.linspace(low, 1, round((1 - low) * SHADES) + 1)):
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
    axes.set_yticks(list(labels), list(labels.values()), fontsize=9)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.yaxis.set_label_position("right")
    axes.set_ylabel(title, fontsize=9)
