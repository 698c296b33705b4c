"""The tokens of a sequence beside an axis, in tooltips and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from birnn.report.figures.style import WIDTH

if TYPE_CHECKING:
    from matplotlib.axis import Axis

PITCH = 0.15  # inches that a line of small text needs
MOST = 25  # tokens that are written beside an axis
WINDOW = 60  # tokens that have a place of their own: of a longer text those around one of them
LETTERS = 14  # of a token at most
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def abbreviated(token: object) -> str:
    r"""A token as it is written beside an axis: short, and nothing that cannot be seen.

    Example:
        >>> abbreviated("bank"), abbreviated("Donaudampfschifffahrt"), abbreviated("a\tb")
        ('bank', 'Donaudampfsch…', 'a·b')
    """
    text = "".join(letter if letter.isprintable() else "·" for letter in str(token))
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def measured(label: str, of: str) -> str:
    """What is measured of an answer: the logit of a label, or a value itself.

    Args:
        label: The answer.
        of: What is measured of it: its ``logit``, its ``log-probability``; or ``value``.

    Example:
        >>> measured("positive", "logit"), measured("value 0", "value")
        ('the logit of positive', 'value 0')
    """
    return abbreviated(label) if of == "value" else f"the {of} of {abbreviated(label)}"


def named(tokens: Sequence[str], index: int, first: int = 0) -> str:
    """A token and its number, counted from 1; the first of them is number ``first``, from 0 on.

    Example:
        >>> named(["the", "bank"], 1), named(["1", "2"], 1), named(["4", "2"], 1)
        ("'bank' (2)", 'step 2', "'2' (2)")
    """
    position = first + index + 1
    # Digits may stand at their own places: steps of a series do from the first to the last.
    if all(str(tokens[at]) == str(first + 1 + at % len(tokens)) for at in (0, index, -1)):
        return f"step {position}"
    return f"'{abbreviated(tokens[index])}' ({position})"


def around(position: int, steps: int) -> slice:
    """The tokens around one of them, as many as a figure has room for.

    Example:
        >>> around(2, 40), around(100, 200), around(199, 200)
        (slice(0, 60, None), slice(70, 130, None), slice(140, 200, None))
    """
    first = min(max(position - WINDOW // 2, 0), max(0, steps - WINDOW))
    return slice(first, first + WINDOW)


def token_ticks(
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
        first: Number of the first of them in the whole text, from 0 on.

    Returns:
        Whether the tokens are written.
    """
    count = len(tokens)
    if _fit(tokens, inches):
        turn = 0 if upright or _fit_across(tokens, inches) else 90
        names = [abbreviated(token) for token in tokens]
        axis.set_ticks(range(count), names, fontsize=9, rotation=turn)
        return True
    most = max(2, int(inches / 0.4))
    step = next(s for s in (*STEPS, count) if count / s <= most)
    places = [place for place in range(count) if place == 0 or (place + 1) % step == 0]
    if step > 1 and len(places) > 1 and places[1] <= step / 2:
        places = places[1:]
    axis.set_ticks(places, [str(first + place + 1) for place in places], fontsize=9)
    return False


def height_below(tokens: Sequence[str], inches: float = WIDTH - 1.2) -> float:
    """Inches that tokens take under an axis when they stand on end there.

    Example:
        >>> height_below(["it", "was"]), height_below(["word"] * 25) > 0.2
        (0.0, True)
    """
    if not _fit(tokens, inches) or _fit_across(tokens, inches):
        return 0.0
    return 0.08 * max(len(abbreviated(token)) for token in tokens)


def _fit(tokens: Sequence[str], inches: float) -> bool:
    numbers = all(str(token) == str(at) for at, token in enumerate(tokens, start=1))
    return len(tokens) <= MOST and len(tokens) * PITCH <= inches and not numbers


def _fit_across(tokens: Sequence[str], inches: float) -> bool:
    widest = max((len(abbreviated(token)) for token in tokens), default=0)
    return (widest * 0.08 + 0.08) * len(tokens) < inches
