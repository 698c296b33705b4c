"""The best reader of frames against the enumeration of every word and every timing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from birnn.demos import frames, frames_ideal
from birnn.demos.phones import (
    CONSONANTS,
    EDGE,
    ENDS,
    NOISE,
    PHONES,
    RELEASED,
    VOWELS,
    means,
)
from birnn.errors import DataError

Word = list[tuple[str, int]]


def beginnings(steps: int) -> Iterator[tuple[float, Word, str]]:
    """Chance, sounds with durations and the sound after, of all that covers so many frames."""

    def goes_on(word: Word, sound: str, chance: float) -> Iterator[tuple[float, Word, str]]:
        following = (
            {EDGE: ENDS} | dict.fromkeys(CONSONANTS, (1 - ENDS) / len(CONSONANTS))
            if sound in VOWELS
            else dict.fromkeys(VOWELS, 1 / len(VOWELS))
        )
        for duration in PHONES[sound].durations:
            longer = [*word, (sound, duration)]
            for after, share in following.items():
                weight = chance * share / len(PHONES[sound].durations)
                if sum(lasts for _, lasts in longer) >= steps:
                    yield weight, longer, after
                elif after != EDGE:
                    yield from goes_on(longer, after, weight)

    for sound in VOWELS:
        yield from goes_on([], sound, 1 / len(VOWELS))


def chances(values_TD: npt.NDArray[np.float32], *, ended: bool) -> npt.NDArray[np.float64]:
    """Chance of each sound at the last frame, or at all frames of a word that ends with them."""
    steps = len(values_TD)
    votes = np.zeros((steps, len(PHONES)))
    for weight, word, after in beginnings(steps):
        names = [EDGE, *(sound for sound, _ in word), after]
        tags = [sound for sound, lasts in word for _ in range(lasts)]
        if ended and (after != EDGE or len(tags) != steps):
            continue
        mean_TD = np.concatenate(
            [means(names[n], names[n + 1], names[n + 2], t) for n, (_, t) in enumerate(word)]
        )[:steps]
        density = np.exp(-0.5 * (((values_TD - mean_TD) / NOISE) ** 2).sum())
        for step, tag in enumerate(tags[:steps]):
            votes[step, list(PHONES).index(tag)] += weight * density
    return votes / votes.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def short() -> npt.NDArray[np.float32]:
    """Nine frames of a vowel, a consonant and a vowel, too noisy to be plain."""
    case = next(
        case
        for case in frames.generate(500, 0)
        if len(case.kind) == 3 and len(case.example) == 9 and any(case.decided_later)
    )
    assert isinstance(case.example.inputs, np.ndarray)
    noise = np.random.default_rng(0).normal(size=case.example.inputs.shape) * NOISE * 2
    return (case.example.inputs + noise).astype(np.float32)


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 7])
def test_filtering_is_the_sum_over_all_words(short: npt.NDArray[np.float32], steps: int) -> None:
    found = frames_ideal.sounds_given(short, both=False)[steps - 1]
    np.testing.assert_allclose(found, chances(short[:steps], ended=False)[-1], atol=1e-9)


@pytest.mark.parametrize("steps", [3, 5, 8, 9])
def test_smoothing_is_the_sum_over_all_words(short: npt.NDArray[np.float32], steps: int) -> None:
    found = frames_ideal.sounds_given(short[:steps], both=True)
    np.testing.assert_allclose(found, chances(short[:steps], ended=True), atol=1e-9)


def test_nothing_so_far_tells_the_released_pair_apart() -> None:
    one, other = (list(PHONES).index(sound) for sound in RELEASED)
    for case in frames.generate(50, 1):
        assert isinstance(case.example.inputs, np.ndarray)
        chance_TP = frames_ideal.sounds_given(case.example.inputs, both=False)
        np.testing.assert_allclose(chance_TP[:, one], chance_TP[:, other], atol=1e-9)


def test_what_is_no_word_is_refused() -> None:
    with pytest.raises(DataError, match="3 channels"):
        frames_ideal.sounds_given(np.zeros((5, 3), np.float32), both=True)
    with pytest.raises(DataError, match="no word has 2 frames"):
        frames_ideal.sounds_given(np.zeros((2, 4), np.float32), both=True)
    assert frames_ideal.sounds_given(np.zeros((0, 4), np.float32), both=True).shape == (0, 8)
