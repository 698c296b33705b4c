"""The bootstrap: sums of resamples against scorers that count each resample's sequences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from birnn.errors import ShapeError, UsageError
from birnn.metrics import (
    LabelScorer,
    LabelSetScorer,
    SequenceScorer,
    Statistics,
    TagScorer,
    ValueScorer,
)
from birnn.metrics.resampling import difference_intervals, drawn, intervals
from birnn.tasks.gap_scores import GapScorer, ScoredGaps

Pairs = list[tuple[Any, Any]]


def tags(labels: Sequence[str], seed: int) -> Pairs:
    """Sequences of tags and answers, some of length 0, one label never said, one never gold."""
    draw = np.random.default_rng(seed)
    rows = []
    for length in (0, 1, 2, 5, 9, 3, 0, 7):
        gold = draw.choice(list(labels[:-1]), length).tolist()
        kept = draw.random(length) < 0.5
        said = np.where(kept, gold, draw.choice(list(labels[1:]), length)).tolist()
        rows.append((gold, said))
    return rows


def values(seed: int) -> Pairs:
    draw = np.random.default_rng(seed)
    golds = draw.normal(1e6, 3.0, (9, 2))
    golds[:, 1] = 4.0  # one that does not vary
    return list(zip(golds, golds + draw.normal(0, 1, (9, 2)) * [1, 0], strict=True))


def targets(seed: int) -> Pairs:
    draw = np.random.default_rng(seed)

    def symbols() -> list[str]:
        return draw.choice(list("abc"), draw.integers(0, 5)).tolist()

    return [([symbols(), symbols()][: 1 + n % 2], symbols()) for n in range(8)] + [([[]], [])]


def gaps(seed: int) -> Pairs:
    draw = np.random.default_rng(seed)
    rows = []
    for length in (0, 1, 4, 2):
        losses = draw.exponential(2.0, length)
        losses[1:2] = np.nan
        words = ["a"] * length
        if length > 2:
            words[2] = "___"
        rows.append((words, ScoredGaps(losses, draw.integers(0, 7, length))))
    return rows


IOB2 = ("B-X", "O", "I-X", "B-Y", "I-Y")
CASES = {
    "labels": (lambda: LabelScorer("abcd"), [(g, s) for gs, ss in tags("abcd", 1)
                                             for g, s in zip(gs, ss, strict=True)]),
    "label sets": (lambda: LabelSetScorer("abcd"), [(set(g[:2]), set(s[:3]))
                                                    for g, s in tags("abcd", 1)]),
    "tags": (lambda: TagScorer("abcd"), tags("abcd", 2)),
    "spans": (lambda: TagScorer(IOB2, "iob2"), tags(IOB2, 3)),
    "values": (ValueScorer, values(4)),
    "targets": (SequenceScorer, targets(5)),
    "gaps": (lambda: GapScorer("abcdefg", "___"), gaps(6)),
}  # fmt: skip


def statistics(scorer: Any, pairs: Pairs) -> Statistics:
    found: Statistics = scorer.statistics(*map(list, zip(*pairs, strict=True)))
    return found


@pytest.mark.parametrize("name", CASES)
def test_resampled_scores_are_those_of_the_scorer_on_the_resample(name: str) -> None:
    make, pairs = CASES[name]
    found = statistics(make(), pairs)
    weights = np.concatenate([np.ones((1, len(pairs)), np.int64), *drawn(len(pairs), 30, 7)])
    resampled = found.resampled(weights)
    assert {"accuracy", "exact_match", "mse", "token_error_rate"} & set(resampled)
    for row, counts in enumerate(weights):
        scorer = make()
        for number, (gold, answer) in enumerate(pairs):
            for _ in range(counts[number]):
                scorer.update(gold, answer)
        result = scorer.result()
        for score, each in resampled.items():
            assert each[row] == pytest.approx(result[score], rel=1e-6, abs=1e-9), score
            if not row:
                assert found.scores()[score] == pytest.approx(result[score], rel=1e-6, abs=1e-9)


def test_intervals_are_percentiles_of_brute_force() -> None:
    make, pairs = CASES["spans"]
    found = statistics(make(), pairs)
    scores = []
    for counts in np.concatenate(list(drawn(len(pairs), 200, 3))):
        scorer = make()
        for number, times in enumerate(counts):
            for _ in range(times):
                scorer.update(*pairs[number])
        scores.append(scorer.result()["f1"])
    ends = intervals(found, level=0.9, resamples=200, seed=3)["f1"]
    assert ends == pytest.approx(np.quantile(scores, [0.05, 0.95]))
    assert ends == intervals(found, level=0.9, resamples=200, seed=3)["f1"]
    assert ends != intervals(found, level=0.9, resamples=200, seed=4)["f1"]
    wide = intervals(found, level=0.99, resamples=200, seed=3)["f1"]
    assert wide[0] <= ends[0] < ends[1] <= wide[1]


def test_an_interval_of_independent_answers_is_that_of_the_binomial() -> None:
    scipy = pytest.importorskip("scipy.stats")
    right = np.arange(400) < 300
    ends = intervals(
        Statistics(right[:, None] * 1, lambda sums: {"accuracy": sums[:, 0] / 400}),
        resamples=4000,
    )["accuracy"]
    expected = scipy.binom(400, 0.75).ppf([0.025, 0.975]) / 400
    assert ends == pytest.approx(expected, abs=0.004)


def test_draws_hold_as_many_sequences_each_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(drawn(40, 300, 1)))
    assert whole.shape == (300, 40)
    assert (whole.sum(axis=1) == 40).all()
    # The mean of 300 counts of mean 1 and variance near 1.
    assert abs(whole.mean(axis=0) - 1).max() < 5 / 300**0.5
    monkeypatch.setattr("birnn.metrics.resampling.DRAWN", 100)
    parts = list(drawn(40, 300, 1))
    assert len(parts) == 150
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_difference_is_taken_on_the_same_resamples() -> None:
    make, pairs = CASES["tags"]
    one = statistics(make(), pairs)
    assert difference_intervals(one, one)["accuracy"] == (0.0, 0.0)
    perfect = statistics(make(), [(gold, gold) for gold, _ in pairs])
    low, high = difference_intervals(one, perfect, resamples=300)["accuracy"]
    weights = np.concatenate(list(drawn(len(pairs), 300, 1)))
    errors = 1 - one.resampled(weights)["accuracy"]
    assert (low, high) == pytest.approx(tuple(np.quantile(errors, [0.025, 0.975])))
    with pytest.raises(ShapeError, match="8 sequences of the first model, 7"):
        difference_intervals(one, statistics(make(), pairs[1:]))


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_a_level_is_a_share(level: float) -> None:
    make, pairs = CASES["tags"]
    with pytest.raises(UsageError, match=r"between 0 and 1"):
        intervals(statistics(make(), pairs), level=level)


def test_a_thousand_resamples_cost_less_than_scoring_fifty_times() -> None:
    labels = [f"{mark}-{n}" for n in range(20) for mark in "BI"]
    draw = np.random.default_rng(0)
    rows = [(draw.choice(labels, 20).tolist(), draw.choice(labels, 20).tolist())
            for _ in range(1000)]  # fmt: skip
    once, resampled = [], []
    for _ in range(2):
        started = time.process_time()
        found = statistics(TagScorer(labels), rows)
        scored = time.process_time()
        intervals(found)
        once.append(scored - started)
        resampled.append(time.process_time() - scored)
    assert min(resampled) < 50 * min(once), (once, resampled)
