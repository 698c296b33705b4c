"""Sounds that colour their neighbours: the law behind `birnn.demos.frames`.

Each frame of a sound is a vector of `CHANNELS`. A sound moves away from where the one before it
has left off and towards where the next begins (`means`), so frames at its edges lie between the
two. Two pairs of consonants are told apart by nothing else: `RELEASED` and `APPROACHED`.

Source:
    Delattre, Liberman and Cooper 1955, Acoustic loci and transitional cues for consonants,
    Journal of the Acoustical Society of America 27 (the places of b and d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# T frames, D channels

Floats = npt.NDArray[np.float64]

CHANNELS = ("first formant, kHz", "second formant, kHz", "voicing", "friction")
NOISE = (0.05, 0.08, 0.08, 0.08)  # standard deviation of each channel


@dataclass(frozen=True, slots=True)
class Phone:
    """A sound.

    Args:
        target: What its frames are like, away from its edges.
        entered: Where the sound before it heads for.
        left: Where the sound after it sets out from.
        durations: Numbers of frames it may last, all equally likely.
    """

    target: tuple[float, ...]
    entered: tuple[float, ...]
    left: tuple[float, ...]
    durations: tuple[int, ...]


def _vowel(*target: float) -> Phone:
    return Phone(target, target, target, durations=(3, 4, 5))


_SILENCE, _MURMUR, _HISS = (0.2, 1.4, 0.3, 0.0), (0.25, 1.2, 0.9, 0.0), (0.2, 1.7, 0.0, 1.0)
_CONSONANT = (2, 3, 4)
VOWELS: dict[str, Phone] = {
    "a": _vowel(0.75, 1.3, 1.0, 0.0),
    "i": _vowel(0.3, 2.2, 1.0, 0.0),
    "u": _vowel(0.35, 0.9, 1.0, 0.0),
}
CONSONANTS: dict[str, Phone] = {
    "b": Phone(_SILENCE, _SILENCE, (0.2, 0.7, 0.3, 0.0), _CONSONANT),
    "d": Phone(_SILENCE, _SILENCE, (0.2, 1.9, 0.3, 0.0), _CONSONANT),
    "m": Phone(_MURMUR, (0.25, 0.7, 0.9, 0.0), _MURMUR, _CONSONANT),
    "n": Phone(_MURMUR, (0.25, 1.9, 0.9, 0.0), _MURMUR, _CONSONANT),
    "s": Phone(_HISS, _HISS, _HISS, _CONSONANT),
}
PHONES = VOWELS | CONSONANTS
EDGE = "#"  # what stands before the first sound and after the last: it colours nothing
RELEASED, APPROACHED = ("b", "d"), ("m", "n")

PULL = 0.55  # how far the outermost frame of a sound is drawn towards its neighbour
FADE = 0.5  # how much less each frame further in
ENDS = 0.2  # chance that a vowel is the last sound


def means(before: str, sound: str, after: str, duration: int) -> Floats:
    """The frames of a sound between two others, before noise is added.

    Frame t of T is target + PULL FADE^t (left(before) - target)
    + PULL FADE^(T - 1 - t) (entered(after) - target); an edge of the word adds nothing.

    Args:
        before: The sound before it, or `EDGE`.
        sound: The sound.
        after: The sound after it, or `EDGE`.
        duration: Its number of frames.

    Returns:
        Frames, (duration, 4).

    Example:
        >>> same = means("a", "b", "i", 3) == means("a", "d", "i", 3)
        >>> other = means("b", "i", EDGE, 3) == means("d", "i", EDGE, 3)
        >>> bool(same.all()), bool(other.all())
        (True, False)
    """
    target_D = np.array(PHONES[sound].target)
    mean_TD = np.tile(target_D, (duration, 1))
    fade_T = PULL * FADE ** np.arange(duration)
    if before != EDGE:
        mean_TD += np.outer(fade_T, np.array(PHONES[before].left) - target_D)
    if after != EDGE:
        mean_TD += np.outer(fade_T[::-1], np.array(PHONES[after].entered) - target_D)
    return mean_TD
