"""The series read back from their values, and the ceiling against enumeration."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from birnn.demos import anomaly
from birnn.demos.anomaly import (
    ANOMALOUS,
    CHANNELS,
    EVENT,
    HEIGHTS,
    LONGEST,
    NORMAL,
    PASSING,
    QUIET,
)
from birnn.demos.demo import ALL, LATER, SO_FAR, Sample, SplitName
from birnn.errors import ConfigError

SPLITS: tuple[SplitName, ...] = ("train", "test")


def jumps(case: Sample) -> list[int]:
    """Steps at which a channel is far from where it was a step before."""
    values_TD = case.example.inputs
    assert isinstance(values_TD, np.ndarray)
    change_T = np.abs(np.diff(values_TD, axis=0)).max(axis=1)
    return [int(step) + 1 for step in np.flatnonzero(change_T > HEIGHTS[0] / 2)]


@pytest.mark.parametrize("split", SPLITS)
def test_tags_can_be_read_off_the_values(split: SplitName) -> None:
    for case in anomaly.generate(200, 1, split=split):
        values_TD = case.example.inputs
        assert isinstance(values_TD, np.ndarray)
        assert values_TD.dtype == np.float32
        assert values_TD.shape[1] == CHANNELS
        tags, later, kind = [NORMAL] * len(values_TD), [False] * len(values_TD), ""
        left = jumps(case)
        while left:
            start = left.pop(0)
            returned = bool(left) and left[0] <= start + LONGEST
            end = left.pop(0) if returned else start + LONGEST
            later[start:end] = [True] * (end - start)
            if returned:
                tags[start:end] = [ANOMALOUS] * (end - start)
            kind += "P" if returned else "L"
        assert case.example.target == tuple(tags)
        assert case.decided_later == tuple(later)
        assert case.kind == kind


def test_a_passing_jump_comes_back_to_where_it_was() -> None:
    for case in anomaly.generate(100, 2):
        values_TD = case.example.inputs
        assert isinstance(values_TD, np.ndarray)
        tags = case.example.target or ()
        for step in range(1, len(tags)):
            if tags[step] == ANOMALOUS != tags[step - 1]:
                back = step + tags[step:].index(NORMAL)  # type: ignore[arg-type]
                change_D = np.abs(values_TD[back] - values_TD[step - 1])
                assert change_D.max() < HEIGHTS[0] / 2


def test_ceiling_is_what_the_best_rule_on_what_was_read_reaches() -> None:
    # every event with its probability: at which of its steps the channel is at the jumped level
    events = [
        ("1" * lasts + "0" * (EVENT - lasts), PASSING / LONGEST, True)
        for lasts in range(1, LONGEST + 1)
    ]
    events.append(("1" * EVENT, 1 - PASSING, False))
    votes: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for levels, probability, passes in events:
        for step in range(EVENT):
            odd = passes and levels[step] == "1"
            votes[levels[: step + 1]][odd] += probability
    open_votes = [vote for vote in votes.values() if min(vote) > 0]
    later = sum(map(sum, open_votes))
    right = sum(map(max, open_votes))
    ceiling = anomaly.ceiling()
    assert ceiling[LATER] == pytest.approx(right / later)
    assert ceiling[SO_FAR] == 1
    # how much of a series is decided later, as drawn
    cases = anomaly.generate(3000, 3)
    share = sum(sum(case.decided_later) for case in cases) / sum(len(c.example) for c in cases)
    assert ceiling[ALL] == pytest.approx(1 - share + share * ceiling[LATER], abs=0.003)


def test_what_is_seen_of_a_jump_does_not_tell_whether_it_passes() -> None:
    seen: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for case in anomaly.generate(2000, 4):
        values_TD = case.example.inputs
        assert isinstance(values_TD, np.ndarray)
        start = jumps(case)[0]
        passes = (case.example.target or ())[start] == ANOMALOUS
        change_D = values_TD[start] - values_TD[start - 1]
        channel = int(np.abs(change_D).argmax())
        for name, feature in (
            ("height", abs(change_D[channel])),
            ("sign", np.sign(change_D[channel])),
            ("channel", channel),
            ("from", values_TD[start - 1, channel]),
            ("when", start),
        ):
            seen[name].append((float(feature), passes))
    for pairs in seen.values():
        feature_N, passes_N = np.array(pairs).T
        assert passes_N.mean() == pytest.approx(PASSING, abs=4 * np.sqrt(0.25 / len(pairs)))
        assert abs(np.corrcoef(feature_N, passes_N)[0, 1]) < 4 / np.sqrt(len(pairs))


def test_every_return_is_seen() -> None:
    assert EVENT > LONGEST
    assert QUIET[0] > 0
    for case in anomaly.generate(100, 5):
        assert (case.example.target or ())[-1] == NORMAL
        assert not case.decided_later[-1]


def test_seeds_repeat() -> None:
    first, again, other = (anomaly.generate(5, seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert anomaly.generate(5, 5, split="test") != first
    assert anomaly.generate(0, 5) == []


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        anomaly.generate(-1, 0)
