"""Why a bidirectional model cannot generate: half of it would have to read what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from birnn.errors import ConfigError, require
from birnn.report.figures.style import (
    INK,
    READERS,
    arrow,
    canvas,
    in_house_style,
    tint,
    tooltip,
    with_alt_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LEVELS = {"forward": 2.0, "input": 1.0, "backward": 0.0}
SIDE = 0.62  # of a box, where boxes stand 1 apart


def needs(half: str, step: int, steps: int) -> range:
    """The inputs that a state depends on.

    Example:
        >>> list(needs("forward", 3, 5)), list(needs("backward", 3, 5)), list(needs("input", 3, 5))
        ([1, 2, 3], [3, 4, 5], [3])
    """
    return {
        "input": range(step, step + 1),
        "forward": range(1, step + 1),
        "backward": range(step, steps + 1),
    }[half]


@in_house_style
def no_generation(*, steps: int = 6, now: int = 3) -> Figure:
    """Generation at work: the inputs so far, and which states can be computed from them.

    A box is drawn solid if all that it depends on exists. No backward box does, because each
    waits for the end of a text that is still to be written.

    Args:
        steps: Length of the text when it will be done.
        now: How much of it is written.

    Raises:
        ConfigError: ``now`` is not from 1 to ``steps - 1``.

    Example:
        >>> from birnn.report.figures import alt_text
        >>> alt_text(no_generation(steps=4, now=2)).split(". ")[1]
        'Forward states 1 to 2 exist: they need nothing else'
    """
    if not 1 <= now < steps:
        raise ConfigError(f"now is {now}, it must be from 1 to {steps - 1}, before the end")
    figure, axes = canvas(3.3)
    for level, height in LEVELS.items():
        for step in range(1, steps + 1):
            missing = [need for need in needs(level, step, steps) if need > now]
            _box(axes, level, step, height, missing)
            if level != "input":
                up = 1 if height > LEVELS["input"] else -1
                start = (step, LEVELS["input"] + up * SIDE / 2)
                _arrow(axes, start, (step, height - up * SIDE / 2), level, gone=step > now)
            ahead = step + 1 if level == "forward" else step - 1
            if level != "input" and 1 <= ahead <= steps:
                side = SIDE / 2 if ahead > step else -SIDE / 2
                gone = bool(missing) or (level == "forward" and ahead > now)
                _arrow(axes, (step + side, height), (ahead - side, height), level, gone=gone)
    axes.axvline(now + 0.5, color=INK, linestyle=":", linewidth=1.4)
    axes.text(now + 0.42, 2.62, "written", ha="right", va="center")
    axes.text(now + 0.58, 2.62, "still to be written", ha="left", va="center")
    names = {"input": "inputs", "forward": "forward\nhalf", "backward": "backward\nhalf"}
    for level, height in LEVELS.items():
        colour = READERS[level].colour if level in READERS else INK
        axes.text(0.45, height, names[level], ha="right", va="center", color=colour,
                  fontweight="bold")  # fmt: skip
    axes.set_xlim(-0.62, steps + 0.45)
    axes.set_ylim(-0.45, 2.85)
    axes.set_axis_off()
    return with_alt_text(
        figure,
        f"Inputs 1 to {now} of {steps} are written, input {now + 1} is to be predicted.",
        f"Forward states 1 to {now} exist: they need nothing else.",
        f"No backward state exists: each needs the inputs from its own to {steps}, and those from "
        f"{now + 1} on are not written yet.",
    )


def _box(axes: Axes, level: str, step: int, height: float, missing: list[int]) -> None:
    patches = require("matplotlib.patches", extra="plots")
    colour = READERS[level].colour if level in READERS else INK
    exists = not missing
    patch = patches.FancyBboxPatch(
        (step - SIDE / 2, height - SIDE / 2), SIDE, SIDE, boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=tint(colour, 0.2 if exists else 0.0), edgecolor=colour, linewidth=1.4,
        linestyle="-" if exists else (0, (2.5, 2)),
    )  # fmt: skip
    index = str(step).translate(SMALL)
    waits = f"needs x{', x'.join(str(need).translate(SMALL) for need in missing)}, not written yet"
    name = "input" if level == "input" else f"{level} state"
    tooltip(axes.add_patch(patch), f"{name} {step}: {'is there' if exists else waits}")
    letter, unknown = ("x", "?") if level == "input" else ("h", "–")
    text = f"{letter}{index}" if exists else unknown
    axes.text(step, height, text, ha="center", va="center", alpha=1 if exists else 0.7)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], half: str, *, gone: bool
) -> None:
    gap = {"linestyle": (0, (2, 2)), "alpha": 0.55} if gone else {}
    arrow(axes, start, end, READERS[half].colour, linewidth=1.4, shrinkA=1, shrinkB=1, **gap)
