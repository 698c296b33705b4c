"""A comparison's numbers against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Encoder, Label, Spec, Symbols, Tags
from birnn.errors import UsageError
from birnn.experiments import brackets
from birnn.experiments.compare.comparison import FEWEST, Comparison, compare, groups_of
from birnn.experiments.compare.trials import Trial
from birnn.metrics import TagScorer

SPEC = Spec(inputs=Symbols(size=5, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2))


def trial(way: str, seed: int, answers: Any, score: float, spec: Spec = SPEC) -> Trial:
    return Trial(way, seed, spec, tuple(answers), {"accuracy": score}, (0.5, score), 2.0, 0.01)


def of_tags(draw: np.random.Generator, lengths: list[int], seeds: int = 2) -> Comparison:
    golds = [tuple(draw.choice(["x", "y"], n)) for n in lengths]
    trials: dict[str, list[Trial]] = {"forward": [], "both": []}
    for way, noise in (("forward", 0.4), ("both", 0.1)):
        for seed in range(seeds):
            answers = [
                tuple("?" if draw.random() < noise else tag for tag in gold) for gold in golds
            ]
            scorer = TagScorer(["x", "y"])
            for gold, answer in zip(golds, answers, strict=True):
                scorer.update(gold, answer)
            trials[way].append(trial(way, seed, answers, scorer.result()["accuracy"]))
    return Comparison("tagger", golds, lengths, trials)


@given(places=st.lists(st.integers(0, 200), max_size=300))
def test_groups_hold_every_position_once_and_none_is_nearly_empty(places: list[int]) -> None:
    edges = groups_of(np.array(places, int))
    held = [place for first, last in edges for place in range(first, last + 1)]
    assert held == sorted(set(held))
    assert set(places) <= set(held)
    if len(edges) > 1:
        for first, last in edges:
            assert sum(first <= place <= last for place in places) >= FEWEST


def test_accuracy_by_position_is_counted_over_sequences_and_seeds() -> None:
    found = of_tags(np.random.default_rng(0), [30] * 25 + [4, 0])
    names, accuracy = found.by_position()
    assert names[:4] == ["1", "2", "3", "4"]
    assert names[-1] == "21-30"
    for way, trials in found.trials.items():
        for name, measured in zip(names, accuracy[way], strict=True):
            first, _, last = name.partition("-")
            right = [
                answer[place] == gold[place]
                for one in trials
                for gold, answer in zip(found.golds, one.answers, strict=True)
                for place in range(int(first) - 1, int(last or first))
                if place < len(gold)
            ]
            assert measured == pytest.approx(np.mean(right))


def test_tests_count_steps_and_whole_sequences() -> None:
    found = of_tags(np.random.default_rng(1), [3, 5, 0, 8])
    for unit, tests in found.tests().items():
        for number, test in enumerate(tests):
            one, two = (found.trials[way][number].answers for way in ("forward", "both"))
            if unit == "steps":
                triples = [
                    triple
                    for gold, a, b in zip(found.golds, one, two, strict=True)
                    for triple in zip(gold, a, b, strict=True)
                ]
            else:
                triples = list(zip(found.golds, one, two, strict=True))
            assert test.only_first == sum(a == gold != b for gold, a, b in triples)
            assert test.only_second == sum(b == gold != a for gold, a, b in triples)
    assert set(found.tests()) == {"steps", "sequences"}


def test_labels_are_grouped_by_length_and_tested_as_sequences() -> None:
    spec = SPEC.model_copy(update={"head": Label(size=2)})
    golds, lengths = ["a", "b"] * 30, [1, 2, 2] * 20
    right = {way: trial(way, 1, golds, 1.0, spec) for way in ("forward", "both")}
    wrong = trial("forward", 1, ["b"] * 60, 0.5, spec)
    found = Comparison("classifier", golds, lengths, {"forward": [wrong], "both": [right["both"]]})
    names, accuracy = found.by_position()
    assert names == ["1", "2"]
    assert accuracy["both"] == [1.0, 1.0]
    of_length = [
        np.mean([g == "b" for g, n in zip(golds, lengths, strict=True) if n == size])
        for size in (1, 2)
    ]
    assert accuracy["forward"] == pytest.approx(of_length)
    assert list(found.tests()) == ["sequences"]
    assert found.tests()["sequences"][0].only_second == 30
    assert "beyond chance" in found.verdicts()[0]


def test_one_way_alone_has_no_test() -> None:
    found = of_tags(np.random.default_rng(2), [3, 4])
    alone = Comparison("tagger", found.golds, found.lengths, {"both": found.trials["both"]})
    assert alone.tests() == {}
    assert alone.verdicts() == []
    assert alone.to_dict()["mcnemar"] == {}


def test_the_table_and_the_dictionary_tell_the_same() -> None:
    found = of_tags(np.random.default_rng(3), [6] * 10, seeds=3)
    told = found.to_dict()
    for row, way in zip(found.tables()[0].rows, found.ways, strict=True):
        spread = found.spread(way)
        assert [float(cell) for cell in row[3:]] == [round(v, 4) for v in spread.values()]
        scores = [one.scores["accuracy"] for one in found.trials[way]]
        assert told[way]["accuracy_median"] == spread.median == sorted(scores)[1]
        assert (told[way]["accuracy_min"], told[way]["accuracy_max"]) == (min(scores), max(scores))
    assert told["seeds"] == [0, 1, 2]


def test_what_cannot_be_compared_is_refused() -> None:
    data = brackets.generate(10, 1)
    with pytest.raises(UsageError, match="compare takes tagger or classifier, got 'regressor'"):
        compare("regressor", train=data, test=data)
    with pytest.raises(UsageError, match="'two' is no way of reading"):
        compare("tagger", train=data, test=data, ways=("two",))
