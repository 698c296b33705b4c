"""Figures of decisions: which half decided, and what each step speaks for."""

# T steps of a sequence

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from birnn.errors import DataError, nearest
from birnn.report.figures.bars import bars, number_beside, rows, signed_scale, strongest
from birnn.report.figures.lines import FEW, MANY, line
from birnn.report.figures.style import (
    GRID,
    HALVES,
    INK,
    MINUS,
    PLUS,
    READERS,
    FloatArray,
    canvas,
    capital,
    halves_of,
    in_house_style,
    legend,
    number,
    same_length,
    sentence,
    swatch,
    tint,
    whole_ticks,
    with_alt_text,
)
from birnn.report.figures.tokens import abbreviated, measured, named

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 30  # words of a long text that are drawn

# what is left of a model, to what it is called and the half that gives the colour
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
    """The logit of a label with both halves, with one of them ablated, and with both.

    Mean ablation: a half is replaced by its mean over data. What is left gives a bar its colour.

    Args:
        logits: ``full``, ``without forward``, ``without backward``, ``without both`` (or some of
            them: a model of one direction has no backward half to lose) to the logit.
        label: The label.
        of: What is measured: the ``logit`` or ``log-probability`` of a label, or a ``value``.

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
    called = ONE_DIRECTION if kept.keys() == ONE_DIRECTION.keys() else LEFT
    names, halves = zip(*(called[key] for key in kept), strict=True)
    values = list(kept.values())
    figure, axes = canvas(0.75 + 0.38 * len(kept))
    colours = [READERS[half].colour if half else tint(INK, 0.55) for half in halves]
    bars(axes, {"": values}, [colours], lambda _, row: f"{names[row]}: {number(values[row])}")
    for row, value in enumerate(values):
        number_beside(axes, value, row)
    rows(axes, names, grid=False)  # every bar has its number, which a line would go through
    signed_scale(axes, values)
    axes.set_xlabel(measured(label, of))
    facts = ", ".join(f"{name} {number(value)}" for name, value in zip(names, values, strict=True))
    what = capital(label) if of == "value" else f"{capital(of)} of '{label}'"
    return with_alt_text(figure, f"{what}.", f"{capital(facts)}.")


@in_house_style
def deciding_by_position(
    forward_T: ArrayLike,
    backward_T: ArrayLike | None,
    tokens: Sequence[str],
    *,
    unit: str = "word",
    of: str = "logit",
) -> Figure:
    """What each half adds at each word to the logit of the label that the word got.

    Words in rows, or lines over the positions of a text of more than 30, and of a series.

    Args:
        forward_T: What the forward half adds, (steps,).
        backward_T: What the backward half adds, or None where there is none.
        tokens: The words.
        unit: What they are: word, symbol or step.
        of: What it adds to: the ``logit`` of each word's label, or the ``log-probability`` of the
            word itself, which was answered.

    Raises:
        DataError: Not one number for each word, or no word.

    Example:
        >>> figure = deciding_by_position([0.5, 0.1], [0.0, 2.0], ["the", "bank"])
        >>> from birnn.report.figures import alt_text
        >>> alt_text(figure).split(". ")[2]
        "Backward half: in sum 2, most 2 at 'bank' (2), least 0 at 'the' (1)."
    """
    adds = halves_of(forward_T, backward_T)
    steps = same_length("word", tokens=tokens, **{f"{key}_T": adds[key] for key in adds})
    called = {HALVES[key]: values for key, values in adds.items()}

    def text(name: str, at: int) -> str:
        return f"{named(tokens, at)}, {name}: {number(called[name][at])}"

    whose, plural = f"the {unit}'s label", "logits"
    if of != "logit":
        whose, plural = f"the {unit}", of
    if steps <= MOST and unit != "step":
        figure, axes = canvas(1.05 + 0.25 * steps)
        bars(axes, called, [READERS[key].colour for key in adds], text)
        rows(axes, [abbreviated(token) for token in tokens])
        signed_scale(axes, [*adds.values()])
        axes.set_xlabel(f"adds to the {of} of {whose}")
    else:
        figure, axes = canvas()
        wide = 1.2 if steps <= 100 else 0.8
        for key, values in adds.items():
            line(axes, range(1, steps + 1), values, READERS[key].colour, name=HALVES[key],
                 tooltips=partial(text, HALVES[key]), linewidth=wide)  # fmt: skip
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"{unit}, counted from 1")
        axes.set_ylabel(f"adds to the {unit}'s {of}")
    legend(figure)
    facts = [
        f"{capital(name)}: in sum {number(values.sum())}, most {number(values.max())} at "
        f"{named(tokens, int(values.argmax()))}, least {number(values.min())} at "
        f"{named(tokens, int(values.argmin()))}."
        for name, values in called.items()
    ]
    return with_alt_text(figure, f"What each half adds at each {unit}, in {plural}.", *facts)


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
    gradients, occlusion = _attributions(gradients_T, occlusion_T, "word", tokens=tokens)
    steps = len(gradients)
    kept = strongest(gradients, MOST)
    figure, axes = canvas(0.95 + 0.2 * len(kept))

    def text(way: str, values: FloatArray, row: int) -> str:
        return f"{named(tokens, kept[row])}, {way}: {number(values[kept[row]])}"

    bars(axes, {"": gradients[kept]}, [_by_sign(gradients[kept])],
         lambda _, row: text("integrated gradients", gradients, row))  # fmt: skip
    drawn = gradients[kept]
    if occlusion is not None:
        drawn = np.append(drawn, occlusion[kept])
        diamonds = _diamonds(axes, occlusion[kept], range(len(kept)),
                             lambda row: text("occlusion", occlusion, row))  # fmt: skip
        legend(figure, {"integrated gradients": swatch(PLUS), "occlusion": diamonds})
    few = f"the {len(kept)} strongest of {steps} {unit}s" if len(kept) < steps else ""
    numbers = [f" ({at + 1})" if few else "" for at in kept]
    rows(axes, [abbreviated(tokens[at]) + n for at, n in zip(kept, numbers, strict=True)])
    signed_scale(axes, drawn)
    low, high = ("against", "for") if of == "logit" else ("lower", "higher")
    axes.set_xlabel(f"← {low} · {measured(label, of)} · {high} →" + (f"\n{few}" if few else ""))
    hidden = ""
    if occlusion is not None:
        ranked = np.argsort(-np.abs(gradients), kind="stable")[:3].tolist()
        hidden = sentence("by occlusion", ((named(tokens, at), f"{occlusion[at]:+.3g}")
                                           for at in ranked))  # fmt: skip
    facts = _facts(label, gradients, [named(tokens, at) for at in range(steps)], unit, few)
    return with_alt_text(figure, *facts, hidden)


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
    gradients, occlusion = _attributions(gradients_T, occlusion_T, "step")
    steps = len(gradients)
    figure, axes = canvas(2.6)
    places = np.arange(1, steps + 1)
    if steps <= MANY:
        bars(
            axes, {"": gradients}, [_by_sign(gradients)],
            lambda _, at: f"step {at + 1}, integrated gradients: {number(gradients[at])}",
            upright=True, start=1, share=1,
        )  # fmt: skip
    else:
        for part, colour in ((gradients.clip(min=0), PLUS), (gradients.clip(max=0), MINUS)):
            axes.fill_between(places, part, step="mid", color=colour, linewidth=0)
    entries = {"integrated gradients": swatch(PLUS)}
    if occlusion is not None:
        entries["occlusion"] = _diamonds(axes, places, occlusion)
    legend(figure, entries)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0.4, steps + 0.6)
    whole_ticks(axes.xaxis)
    axes.set_xlabel("step")
    axes.set_ylabel(f"adds to {measured(label, of)}")
    names = [f"step {at}" for at in places]
    return with_alt_text(figure, *_facts(label, gradients, names, "step"))


def _attributions(
    gradients: ArrayLike, occlusion: ArrayLike | None, unit: str, **sized: Sequence[str]
) -> tuple[FloatArray, FloatArray | None]:
    gradients_T = np.asarray(gradients, dtype=float)
    occlusion_T = None if occlusion is None else np.asarray(occlusion, dtype=float)
    same_length(unit, **sized, gradients_T=gradients_T, occlusion_T=occlusion_T)
    return gradients_T, occlusion_T


def _by_sign(values: FloatArray) -> list[str]:
    return [PLUS if value >= 0 else MINUS for value in values]


def _diamonds(
    axes: Axes, x: ArrayLike, y: ArrayLike, tooltips: Callable[[int], str] | None = None
) -> Artist:
    """What is lost by occlusion; of many steps a line."""
    many = len(np.asarray(x)) > FEW
    return line(axes, x, y, INK, marker="D", tooltips=tooltips, joined=many, markersize=4.5,
                markerfacecolor=GRID, linewidth=1)  # fmt: skip


def _facts(
    label: str, gradients: FloatArray, names: Sequence[str], unit: str, few: str = ""
) -> tuple[str, ...]:
    ranked = np.argsort(-np.abs(gradients), kind="stable")[:10].tolist()
    return (
        f"Attribution to '{label}' by integrated gradients, strongest first"
        + (f"; {few}." if few else "."),
        sentence(f"{unit}s", ((names[at], f"{gradients[at]:+.3g}") for at in ranked)),
        f"All {unit}s in sum: {gradients.sum():+.3g}.",
    )
