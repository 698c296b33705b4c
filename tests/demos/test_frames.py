"""The words in frames: what each sound takes from its neighbours, and how often each comes."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, product

import numpy as np
import pytest

from birnn.demos import frames, frames_ideal
from birnn.demos.demo import ALL, LATER, SO_FAR, Sample, SplitName
from birnn.demos.phones import (
    APPROACHED,
    CHANNELS,
    CONSONANTS,
    EDGE,
    ENDS,
    NOISE,
    PHONES,
    RELEASED,
    VOWELS,
    means,
)
from birnn.errors import ConfigError
from grids import sampled

SPLITS: tuple[SplitName, ...] = ("train", "test")


def segments(case: Sample) -> list[tuple[str, int]]:
    """The sounds of a word and their numbers of frames; no sound stands beside itself."""
    return [(str(sound), len(list(run))) for sound, run in groupby(case.example.target or ())]


@pytest.mark.parametrize("split", SPLITS)
def test_words_are_made_as_they_should_be(split: SplitName) -> None:
    for case in frames.generate(100, 1, split=split):
        sounds = segments(case)
        assert "".join(sound for sound, _ in sounds) == case.kind
        assert all(sound in (VOWELS, CONSONANTS)[n % 2] for n, (sound, _) in enumerate(sounds))
        assert len(sounds) % 2 == 1
        assert all(lasts in PHONES[sound].durations for sound, lasts in sounds)
        tags = case.example.target or ()
        assert case.decided_later == tuple(tag in RELEASED for tag in tags)
        assert isinstance(case.example.inputs, np.ndarray)
        assert case.example.inputs.dtype == np.float32
        assert case.example.inputs.shape == (len(tags), len(CHANNELS))


def test_frames_are_their_means_and_noise() -> None:
    rest = []
    for case in frames.generate(300, 2):
        sounds = segments(case)
        names = [EDGE, *(sound for sound, _ in sounds), EDGE]
        mean_TD = np.concatenate(
            [means(names[n], names[n + 1], names[n + 2], t) for n, (_, t) in enumerate(sounds)]
        )
        rest.append(case.example.inputs - mean_TD)  # type: ignore[operator]
    rest_ND = np.concatenate(rest)
    error = 1 / np.sqrt(len(rest_ND))  # of a mean and, at most, of a spread, in units of NOISE
    np.testing.assert_allclose(rest_ND.mean(axis=0) / NOISE, 0, atol=4 * error)
    np.testing.assert_allclose(rest_ND.std(axis=0) / NOISE, 1, atol=4 * error)


def test_a_released_pair_differs_in_what_comes_after_and_nowhere_else() -> None:
    one, other = RELEASED
    for before, after, lasts in product(VOWELS, VOWELS, (2, 3, 4)):
        np.testing.assert_array_equal(
            means(before, one, after, lasts), means(before, other, after, lasts)
        )
        np.testing.assert_array_equal(means(EDGE, before, one, 4), means(EDGE, before, other, 4))
        gap = np.abs(means(one, after, EDGE, 4) - means(other, after, EDGE, 4)) / NOISE
        assert gap[0].max() > 4  # noise seldom hides it
        assert (np.diff(gap.max(axis=1)) < 0).all()  # and it fades


def test_an_approached_pair_differs_in_what_comes_before_and_nowhere_else() -> None:
    one, other = APPROACHED
    for before, after, lasts in product(VOWELS, VOWELS, (2, 3, 4)):
        np.testing.assert_array_equal(
            means(before, one, after, lasts), means(before, other, after, lasts)
        )
        np.testing.assert_array_equal(means(one, after, EDGE, 4), means(other, after, EDGE, 4))
        gap = np.abs(means(EDGE, before, one, 4) - means(EDGE, before, other, 4)) / NOISE
        assert gap[-1].max() > 4
        assert (np.diff(gap.max(axis=1)) > 0).all()


def test_means_start_halfway_to_the_neighbour_and_fade_to_the_target() -> None:
    # between a sound and itself there is nothing to move towards
    np.testing.assert_allclose(means("a", "a", "a", 5), np.tile(VOWELS["a"].target, (5, 1)))
    # reversing the neighbours of a sound reverses its frames where they act alike
    np.testing.assert_allclose(means("i", "s", "u", 4), means("u", "s", "i", 4)[::-1])


def test_sounds_come_as_often_as_they_should() -> None:
    words = [case.kind for case in frames.generate(3000, 3)]
    every = Counter("".join(words))
    for group in (VOWELS, CONSONANTS):
        total = sum(every[sound] for sound in group)
        expected = 1 / len(group)
        error = np.sqrt(expected * (1 - expected) / total)
        assert all(
            every[sound] / total == pytest.approx(expected, abs=4 * error) for sound in group
        )
    # a word ends after each of its vowels with the same chance
    vowels = sum(every[sound] for sound in VOWELS)
    error = np.sqrt(ENDS * (1 - ENDS) / vowels)
    assert len(words) / vowels == pytest.approx(ENDS, abs=4 * error)


@pytest.mark.parametrize("both", sampled([False, True], [True]))
def test_ceiling_is_what_the_best_reader_reaches(both: bool) -> None:
    cases = frames.generate(300, 4)
    expected = frames.ceiling(cases, both=both)
    right: dict[str, list[float]] = {LATER: [], SO_FAR: [], ALL: []}
    counts: dict[str, list[int]] = {LATER: [], SO_FAR: [], ALL: []}
    for case in cases:
        chance_TP = frames_ideal.sounds_given(case.example.inputs, both=both)
        told = np.array(list(PHONES))[chance_TP.argmax(axis=1)]
        is_right_T = told == np.array(case.example.target)
        later_T = np.array(case.decided_later)
        for group, mine_T in ((LATER, later_T), (SO_FAR, ~later_T), (ALL, later_T | True)):
            right[group].append(float(is_right_T[mine_T].sum()))
            counts[group].append(int(mine_T.sum()))
    for group, share in expected.items():
        # the frames of a word are right or wrong together, words are independent; and where errors
        # are next to none, a single sound of 5 frames makes the difference
        total = sum(counts[group])
        error = np.sqrt(
            sum((r - share * n) ** 2 for r, n in zip(right[group], counts[group], strict=True))
        )
        assert abs(sum(right[group]) - share * total) < 4 * error + 5


def test_one_direction_is_right_at_half_of_what_is_decided_later() -> None:
    cases = frames.generate(100, 5)
    one, two = frames.ceiling(cases), frames.ceiling(cases, both=True)
    assert 0.45 < one[LATER] <= 0.5
    assert two[LATER] > 0.98
    assert two[SO_FAR] > one[SO_FAR] > 0.95


def test_seeds_repeat() -> None:
    assert frames.generate(5, 5) == frames.generate(5, 5)
    assert frames.generate(5, 5) != frames.generate(5, 6)
    assert frames.generate(5, 5) != frames.generate(5, 5, split="test")
    assert frames.generate(0, 5) == []


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        frames.generate(-1, 0)
