"""A contest's numbers against counting by hand, over seeds and groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Encoder, Spec, Symbols, Tags
from birnn.metrics.significance import percent
from birnn.studies.compare.comparison import Comparison
from birnn.studies.compare.contest import Contest
from birnn.studies.compare.groups import by_step
from birnn.studies.compare.trials import Trial

SPEC = Spec(inputs=Symbols(size=5, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2))


@st.composite
def contests(draw: st.DrawFn) -> Contest:
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    tags = st.sampled_from("xy")

    def answers() -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(draw(tags) for _ in range(length)) for length in lengths)

    seeds = range(draw(st.integers(1, 3)))
    trials = {
        way: [
            Trial(way, seed, SPEC, answers(), {"accuracy": 0.0}, (0.5,), (0.7,), 1.0, 0.1)
            for seed in seeds
        ]
        for way in ("forward", "both")
    }
    marks = [np.array([draw(st.integers(0, 1)) for _ in range(length)]) for length in lengths]
    groups = {name: members for name, members in by_step(marks, ["a", "b"]).items() if members}
    bound = (
        {name: draw(st.floats(0, 1, allow_subnormal=False)) for name in groups}
        if draw(st.booleans())
        else {}
    )
    comparison = Comparison("tagger", answers(), lengths, trials)
    inputs = [("s",) * length for length in lengths]
    return Contest("drawn", "steps", "group", groups, bound, inputs, comparison)


@given(contest=contests())
def test_groups_are_counted_over_all_seeds(contest: Contest) -> None:
    for way in contest.ways:
        for group, (right, total) in contest.counts(way).items():
            marks = [
                trial.answers[number][at] == contest.comparison.golds[number][at]
                for trial in contest.comparison.trials[way]
                for number, at in contest.groups[group]
            ]
            assert (right, total) == (sum(marks), len(marks))
            assert contest.by_group(way)[group] == pytest.approx(np.mean(marks))


@given(contest=contests())
def test_the_whole_is_all_groups_seed_by_seed(contest: Contest) -> None:
    for way in contest.ways:
        shares = []
        for trial in contest.comparison.trials[way]:
            pairs = [
                (answer, gold)
                for mine, right in zip(trial.answers, contest.comparison.golds, strict=True)
                for answer, gold in zip(mine, right, strict=True)
            ]
            shares.append(np.mean([answer == gold for answer, gold in pairs]))
        spread = contest.spread(way)
        assert spread.median == pytest.approx(np.median(shares))
        assert (spread.least, spread.most) == pytest.approx((min(shares), max(shares)))


@given(contest=contests())
def test_limit_weighs_groups_by_their_size(contest: Contest) -> None:
    if not contest.bound:
        assert contest.limit() is None
        return
    members = [group for group, them in contest.groups.items() for _ in them]
    assert contest.limit() == pytest.approx(np.mean([contest.bound[group] for group in members]))


@given(contest=contests())
def test_table_and_dictionary_agree(contest: Contest) -> None:
    told = json.loads(json.dumps(contest.to_dict()))
    table = contest.table()
    for column, way in enumerate(contest.ways, start=1):
        shown = [row[column] for row in table.rows]
        assert shown[: len(contest.groups)] == list(map(percent, told[way]["by_group"].values()))
        assert shown[len(contest.groups)] == percent(told[way]["accuracy_median"])
        if len(contest.comparison.seeds) > 1:
            ends = [percent(told[way][f"accuracy_{end}"]) for end in ("min", "max")]
            assert shown[len(contest.groups) + 1 :] == ends
    assert told["limit_of_one_direction"] == contest.limit()


def test_right_is_of_the_first_seed() -> None:
    trials = {
        "both": [
            Trial("both", seed, SPEC, ((tag,),), {"accuracy": 0.0}, (0.5,), (0.7,), 1.0, 0.1)
            for seed, tag in ((1, "x"), (2, "y"))
        ]
    }
    comparison = Comparison("tagger", [("x",)], [1], trials)
    contest = Contest("one", "steps", "group", {"all": [(0, 0)]}, {}, [("s",)], comparison)
    assert contest.right("both", (0, 0))
    assert contest.counts("both") == {"all": (1, 2)}
