"""Figures of training: a score and the loss, epoch by epoch."""

# S runs, E epochs

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from birnn.errors import DataError
from birnn.report.figures.lines import line, percent_scale
from birnn.report.figures.style import (
    SPREAD,
    FloatArray,
    Reader,
    blank,
    canvas,
    capital,
    in_house_style,
    legend,
    number,
    readers_of,
    sentence,
    whole_ticks,
    with_alt_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# reader to a number after each epoch, or to such numbers for each of several runs
Curves = Mapping[str, Sequence[float] | Sequence[Sequence[float]]]


@in_house_style
def learning_curves(
    curves: Curves,
    losses: Curves | None = None,
    *,
    metric: str = "accuracy",
    lower_is_better: bool = False,
    share: bool = True,
) -> Figure:
    """A metric of each reader on held-out data after each epoch, and its loss under it.

    Several runs of one reader are drawn as the line of their medians in the band between the
    least and the most; a run that stopped early counts as long as it lasted. The scale of the
    losses is logarithmic where the greatest is more than 50 times the least.

    Args:
        curves: Reader (a key of `READERS`) to the metric after each epoch; or
            to such numbers for each of several runs.
        losses: Reader to the mean training loss in each epoch, likewise; no second panel by
            default.
        metric: What is measured, for the axis.
        lower_is_better: Whether it counts errors: its scale begins at 0.
        share: Whether it is between 0 and 1, and drawn in percent.

    Raises:
        DataError: No reader, a reader that is not known, no epoch, or losses of other readers.

    Example:
        >>> figure = learning_curves({"both": [[0.25, 0.5, 1.0], [0.5, 0.5, 0.9], [0.0, 0.75]]})
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [25.0, 50.0, 95.0]
        >>> from birnn.report.figures import alt_text
        >>> alt_text(learning_curves({"both": [0.5, 1.0]}, {"both": [0.7, 0.04]})).split(". ")[-1]
        'Two directions: first 0.7, last 0.04.'
    """
    readers = readers_of(curves)
    if losses is not None and list(losses) != list(curves):
        raise DataError(f"losses are of {', '.join(losses)}, the metric of {', '.join(curves)}")
    figure = blank(3.2 if losses is None else 4.9)
    axes, *under = figure.subplots(1 if losses is None else 2, sharex=True, squeeze=False)[:, 0]
    facts, extremes = [f"{capital(metric)} after each epoch."], []
    factor, written = (100, "{:.1f} %") if share else (1, "{:.1f}")
    for key, reader in readers.items():
        low, middle, high = _median_and_range(axes, curves[key], reader, factor, written)
        extremes += [low, high]
        ends = {"first": written.format(middle[0]), "last": written.format(middle[-1])}
        facts.append(sentence(reader.name, ends.items()))
    if share:
        percent_scale(axes, metric, *extremes, lower_is_better=lower_is_better)
    else:
        axes.set_ylabel(metric)
    if losses is not None:
        facts += ["Training loss in each epoch.", *_losses(under[0], losses, readers)]
    _epochs(figure.axes[-1])
    legend(figure)
    return with_alt_text(figure, *facts)


@in_house_style
def training_losses(losses: Curves) -> Figure:
    """The training loss of each reader in each epoch, where there is no metric beside it.

    Args:
        losses: As for `learning_curves`.

    Raises:
        DataError: No reader, a reader that is not known, or no epoch.

    Example:
        >>> training_losses({"both": [0.5, 0.25]}).axes[0].lines[0].get_ydata().tolist()
        [0.5, 0.25]
    """
    readers = readers_of(losses)
    figure, axes = canvas(2.9)
    facts = list(_losses(axes, losses, readers))
    _epochs(axes)
    legend(figure)
    return with_alt_text(figure, "Training loss in each epoch.", *facts)


def _epochs(axes: Axes) -> None:
    """A scale of whole epochs from 1 on."""
    last = max(float(np.max(one.get_xdata())) for one in axes.lines)
    pad = min(0.9, max(0.1, 0.04 * last))
    axes.set_xlim(1 - pad, last + pad)
    axes.set_xlabel("epoch")
    whole_ticks(axes.xaxis)
    if last == 1:  # of a single one matplotlib shows fractions
        axes.set_xticks([1])


def _median_and_range(
    axes: Axes, curves: Sequence[float] | Sequence[Sequence[float]], reader: Reader, scale: float,
    written: str,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Draw a reader's runs, and give least, median and most of each epoch as they are drawn."""
    at_SE = scale * _runs(curves, reader)
    low, middle, high = (pick(at_SE, axis=0) for pick in (np.nanmin, np.nanmedian, np.nanmax))
    epochs = range(1, at_SE.shape[1] + 1)
    if len(at_SE) > 1:
        axes.fill_between(epochs, low, high, color=reader.colour, alpha=0.18, linewidth=0)
    line(
        axes, epochs, middle, reader.colour, name=reader.name, marker=reader.marker,
        tooltips=lambda at: f"epoch {at + 1}, {reader.name}: {written.format(middle[at])}",
    )  # fmt: skip
    return low, middle, high


def _losses(axes: Axes, losses: Curves, readers: Mapping[str, Reader]) -> Iterator[str]:
    """The panel of losses, and a sentence for each reader."""
    drawn = []
    for key, reader in readers.items():
        low, middle, _ = _median_and_range(axes, losses[key], reader, 1, "{:.3g}")
        drawn += [low, middle]
        yield sentence(reader.name, [("first", number(middle[0])), ("last", number(middle[-1]))])
    every = np.concatenate(drawn)
    wide = every.min() > 0 and every.max() > SPREAD * every.min()
    if wide:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda loss, _: number(loss))
        axes.minorticks_off()
    else:
        axes.set_ylim(bottom=min(0.0, float(every.min())))
    axes.set_ylabel("training loss (log scale)" if wide else "training loss")


def _runs(curves: Sequence[float] | Sequence[Sequence[float]], reader: Reader) -> FloatArray:
    """One run or several as a matrix (runs, epochs), NaN after a run's end."""
    runs = [np.atleast_1d(np.asarray(run, dtype=float)) for run in curves]
    single = all(np.ndim(run) == 0 for run in curves)
    runs = [np.concatenate(runs)] if single and runs else runs
    epochs = max((len(run) for run in runs), default=0)
    if epochs == 0:
        raise DataError(f"nothing to draw: {reader.name} has no epoch")
    at_SE = np.full((len(runs), epochs), np.nan)
    for row, run in zip(at_SE, runs, strict=True):
        row[: len(run)] = run
    return at_SE
