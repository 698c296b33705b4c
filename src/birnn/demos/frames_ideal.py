"""The Bayes-optimal reader of `birnn.demos.frames`.

Whoever knows how the words are made can weigh every word and every timing by how well it fits
the frames. The state of a frame is its sound, the sounds on both sides, the sound's duration and
the place in it; the frames are then a hidden Markov chain, and the chance of each sound at each
frame follows exactly: from the frames so far (filtering) for a reader from the left, from all of
them (smoothing) for a reader in both directions. No reader names frames better in expectation.

Source:
    Rabiner 1989, A tutorial on hidden Markov models, Proceedings of the IEEE 77, equations 19-27.
"""

# T frames, D channels, S states of the chain, P sounds

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.demos.phones import (
    CONSONANTS,
    EDGE,
    ENDS,
    NOISE,
    PHONES,
    VOWELS,
    means,
)
from birnn.errors import DataError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_NAMES = tuple(PHONES)
_EDGE = len(_NAMES)  # the number that stands for the edge of the word


@dataclass(frozen=True, slots=True)
class _Chain:
    """The states: those of one sound between the same two, with one duration, are neighbours.

    Args:
        mean: Frame of each state, before noise, (S, D); all others are (S,).
        sound: Number of its sound.
        begin: Chance to begin a word there.
        enter: Chance to come there, given the sound before it and its own; 0 but for first
            frames.
        left: What has to be left for it: number of the pair (sound before, sound).
        next: What is left for: number of the pair (sound, sound after).
        is_last: Whether it is the last frame of its sound.
        ends: Whether it is the last frame of a word.
    """

    mean: Floats
    sound: Integers
    begin: Floats
    enter: Floats
    left: Integers
    next: Integers
    is_last: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]


def sounds_given(frames_TD: npt.NDArray[np.floating[Any]], *, both: bool) -> Floats:
    """Chance of each sound at each frame, given the frames up to it or all of them.

    Args:
        frames_TD: The frames of a word, (T, 4).
        both: Whether the frames after it are known too.

    Returns:
        (T, 8): the sounds in the order of `birnn.demos.phones.PHONES`; each row sums to 1.

    Raises:
        DataError: No word has so many frames, or frames of other than four channels.

    Example:
        >>> word_TD = np.concatenate([means("#", "a", "d", 3), means("a", "d", "i", 2)])
        >>> list(PHONES), sounds_given(word_TD, both=False)[-1].round(2).tolist()
        (['a', 'i', 'u', 'b', 'd', 'm', 'n', 's'], [0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0])
    """
    chain = _chain()
    steps, channels = frames_TD.shape
    if channels != len(NOISE):
        raise DataError(f"frames have {channels} channels, words are made of {len(NOISE)}")
    likelihood_TS = _likelihood(chain, frames_TD)
    forward_TS = np.empty_like(likelihood_TS)
    state_S = chain.begin
    for t in range(steps):
        state_S = state_S * likelihood_TS[t]
        state_S = state_S / state_S.sum()
        forward_TS[t] = state_S
        state_S = _onward(chain, state_S)
    weight_TS = forward_TS
    if both and steps:
        if not forward_TS[-1] @ chain.ends > 0:
            raise DataError(f"no word has {steps} frames")
        weight_TS = np.empty_like(forward_TS)
        rest_S = chain.ends.astype(np.float64)
        for t in reversed(range(steps)):
            weight_TS[t] = forward_TS[t] * rest_S
            rest_S = _backward(chain, rest_S * likelihood_TS[t])
            rest_S = rest_S / rest_S.max()
        weight_TS /= weight_TS.sum(axis=1, keepdims=True)
    chance_TP = np.zeros((steps, len(_NAMES)))
    np.add.at(chance_TP.T, chain.sound, weight_TS.T)
    return chance_TP


@cache
def _chain() -> _Chain:
    columns: list[tuple[Floats, int, float, float, int, int, bool, bool]] = []
    for before, sound, after, chance in _contexts():
        durations = PHONES[sound].durations
        for duration in durations:
            mean_TD = means(before, sound, after, duration)
            for t in range(duration):
                entering = chance / len(durations) if t == 0 else 0.0
                begins = before == EDGE
                columns.append(
                    (
                        mean_TD[t],
                        _number(sound),
                        entering / len(VOWELS) if begins else 0.0,
                        0.0 if begins else entering,
                        _pair(before, sound),
                        _pair(sound, after),
                        t == duration - 1,
                        t == duration - 1 and after == EDGE,
                    )
                )
    return _Chain(*(np.array(column) for column in zip(*columns, strict=True)))


def _contexts() -> list[tuple[str, str, str, float]]:
    """Every sound between every two, with the chance of the third given the first two."""
    goes_on = (1 - ENDS) / len(CONSONANTS)
    vowels = [
        (before, sound, after, ENDS if after == EDGE else goes_on)
        for before in (EDGE, *CONSONANTS)
        for sound in VOWELS
        for after in (EDGE, *CONSONANTS)
    ]
    consonants = [
        (before, sound, after, 1 / len(VOWELS))
        for before in VOWELS
        for sound in CONSONANTS
        for after in VOWELS
    ]
    return vowels + consonants


def _number(sound: str) -> int:
    return _EDGE if sound == EDGE else _NAMES.index(sound)


def _pair(first: str, second: str) -> int:
    return _number(first) * (_EDGE + 1) + _number(second)


_PAIRS = (_EDGE + 1) ** 2


def _likelihood(chain: _Chain, frames_TD: npt.NDArray[np.floating[Any]]) -> Floats:
    """How likely each frame is in each state, as a share of the likeliest."""
    z_TSD = (frames_TD[:, None, :].astype(np.float64) - chain.mean) / np.array(NOISE)
    log_TS = -0.5 * np.einsum("tsd,tsd->ts", z_TSD, z_TSD)
    likelihood_TS: Floats = np.exp(log_TS - log_TS.max(axis=1, keepdims=True))
    return likelihood_TS


def _onward(chain: _Chain, state_S: Floats) -> Floats:
    """Chances of the states one frame later."""
    inside_S = np.where(chain.is_last, 0.0, state_S)
    leaving = np.bincount(chain.next, np.where(chain.is_last, state_S, 0.0), minlength=_PAIRS)
    return np.concatenate([[0.0], inside_S[:-1]]) + leaving[chain.left] * chain.enter


def _backward(chain: _Chain, weight_S: Floats) -> Floats:
    """How likely the frames from the next one on are, from each state."""
    entering = np.bincount(chain.left, weight_S * chain.enter, minlength=_PAIRS)
    inside_S = np.concatenate([weight_S[1:], [0.0]])
    return np.where(chain.is_last, entering[chain.next], inside_S)
