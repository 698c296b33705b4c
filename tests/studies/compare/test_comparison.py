"""A comparison's numbers against counting by hand."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Encoder, Label, Spec, Symbols, Tags
from birnn.data import Example
from birnn.data.gaps import GAP
from birnn.demos import brackets
from birnn.errors import UsageError
from birnn.metrics import SequenceScorer, TagScorer
from birnn.studies.compare import page
from birnn.studies.compare.comparison import Comparison, compare
from birnn.studies.compare.groups import FEWEST, groups_of
from birnn.studies.compare.trials import Trial
from birnn.tasks import Gaps, TargetSequence
from birnn.training.recipe import Recipe

SPEC = Spec(inputs=Symbols(size=5, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2))


def trial(way: str, seed: int, answers: Any, score: float, spec: Spec = SPEC) -> Trial:
    return Trial(
        way, seed, spec, tuple(answers), {"accuracy": score}, (0.5, score), (0.7, 0.1), 2.0, 0.01
    )


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


def of_labels(one: int, two: int, both: int, seeds: int = 1) -> Comparison:
    """A classifier's answers: so many that one alone is right on, two alone, and both are."""
    spec = SPEC.model_copy(update={"head": Label(size=2)})
    count = one + two + both
    right = {
        "forward": [True] * one + [False] * two + [True] * both,
        "both": [False] * one + [True] * two + [True] * both,
    }
    trials = {
        way: [
            trial(way, seed, ["a" if r else "b" for r in rights], sum(rights) / count, spec)
            for seed in range(seeds)
        ]
        for way, rights in right.items()
    }
    return Comparison("classifier", ["a"] * count, [1] * count, trials)


# 2 / 2^20 of twenty against none, 42 of 64 of two against four (1 + 6 + 15 and as many more), and
# 1 / 16 of none against five, for which no split could be significant
ANSWERS = {
    (
        0,
        20,
        30,
    ): "Two directions are better than one here: they reach an accuracy of 100.0 % against "
    "60.0 % for one, and they alone are right on 20 of 50 test sequences, one direction alone on "
    "0, a difference beyond chance (McNemar's test, p < 0.0001).",
    (20, 0, 30): "Two directions are worse than one here: they reach an accuracy of 60.0 % against "
    "100.0 % for one, and they alone are right on 0 of 50 test sequences, one direction alone on "
    "20, a difference beyond chance (McNemar's test, p < 0.0001).",
    (
        2,
        4,
        94,
    ): "No difference is shown: two directions reach an accuracy of 98.0 % against 96.0 % for "
    "one; they alone are right on 4 of 100 test sequences, one direction alone on 2 (McNemar's "
    "test, p = 0.69).",
    (
        0,
        5,
        95,
    ): "No difference is shown: two directions reach an accuracy of 100.0 % against 95.0 % for "
    "one; they alone are right on 5 of 100 test sequences, one direction alone on 0 (too few "
    "answers differ for a test).",
    (
        0,
        0,
        10,
    ): "No difference is shown: two directions reach an accuracy of 100.0 % against 100.0 % for "
    "one; they alone are right on 0 of 10 test sequences, one direction alone on 0 (too few "
    "answers differ for a test).",
}


@pytest.mark.parametrize("counts", ANSWERS)
def test_the_answer_is_a_sentence_that_says_what_was_counted(counts: tuple[int, int, int]) -> None:
    found = of_labels(*counts)
    assert found.answer() == ANSWERS[counts] == found.to_dict()["answer"]
    seeds = of_labels(*counts, seeds=3).answer()
    assert seeds == ANSWERS[counts].replace("for one", "for one (medians of 3 seeds)", 1)


def of_sequences(one: list[str], two: list[str], gold: str = "xxxx") -> Comparison:
    trials = {}
    for way, answers in (("forward", one), ("both", two)):
        right = sum(a == g for answer in answers for a, g in zip(answer, gold, strict=True))
        score = right / (len(gold) * len(answers))
        trials[way] = [trial(way, 1, [tuple(answer) for answer in answers], score)]
    return Comparison("tagger", [tuple(gold)] * len(one), [len(gold)] * len(one), trials)


def test_the_answer_says_where_only_steps_differ() -> None:
    # not one sequence is right as a whole, 30 steps are right in two directions alone
    answer = of_sequences(["yyyy"] * 10, ["xxxy"] * 10).answer()
    assert answer.startswith(
        "No difference is shown: two directions reach an accuracy of 75.0 % against"
    )
    assert answer.endswith(
        "Counted by single steps the difference is beyond chance (p < 0.0001), but steps of one "
        "sequence hang together."
    )


def test_the_answer_says_where_the_metric_and_the_test_disagree() -> None:
    # ten whole sequences against none, but 40 right steps against 90
    answer = of_sequences(["yxxx"] * 30, ["xxxx"] * 10 + ["yyyy"] * 20).answer()
    assert answer.startswith(
        "It depends on what counts: two directions reach an accuracy of 33.3 % against 75.0 % for "
        "one, but get more whole sequences right: they alone are right on 10 of 30 test sequences"
    )
    assert "get fewer whole" in of_sequences(["xxxx"] * 10 + ["yyyy"] * 20, ["yxxx"] * 30).answer()


def test_the_page_begins_with_the_answer(tmp_path: Path) -> None:
    for counts in ANSWERS:
        found = of_labels(*counts)
        text = page.write(tmp_path / "page.html", found, name="test.csv").read_text("utf-8")
        lead = re.search(r'<p class="lead">(.*?)</p>', text)
        assert lead
        assert html.unescape(lead[1]) == found.answer()


def test_one_way_alone_has_no_test() -> None:
    found = of_tags(np.random.default_rng(2), [3, 4])
    alone = Comparison("tagger", found.golds, found.lengths, {"both": found.trials["both"]})
    assert alone.tests() == {}
    assert alone.verdicts() == []
    assert alone.answer() == ""
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
        assert told[way]["dev_by_epoch"] == [list(one.curve) for one in found.trials[way]]
        assert told[way]["loss_by_epoch"] == [list(run) for run in found.losses[way]]
    assert told["seeds"] == [0, 1, 2]


def test_what_cannot_be_compared_is_refused() -> None:
    data = brackets.generate(10, 1)
    with pytest.raises(UsageError, match=r"compare takes tagger, classifier, .*, got 'regressor'"):
        compare("regressor", train=data, test=data)
    with pytest.raises(UsageError, match="'two' is no way of reading"):
        compare("tagger", train=data, test=data, ways=("two",))


def of_targets(one: list[str], two: list[str], references: list[tuple[str, ...]]) -> Comparison:
    """Answers to sources whose right answer is ``abc``, or another of its references."""
    head = TargetSequence(size=4, hidden_size=4)
    spec = SPEC.model_copy(update={"head": head})
    golds = ["abc"] * len(one)
    trials = {}
    for way, answers in (("forward", one), ("both", two)):
        scorer = SequenceScorer()
        for answer, others in zip(answers, references, strict=True):
            scorer.update([tuple("abc"), *map(tuple, others)], answer)
        scores = scorer.result()
        curve = (1.0, scores["token_error_rate"])
        said = tuple(map(tuple, answers))
        made = Trial(way, 1, spec, said, scores, curve, (1.0,), 2.0, 0.01, "token_error_rate")
        trials[way] = [made]
    return Comparison(
        "seq2seq",
        list(map(tuple, golds)),
        [3] * len(one),
        trials,
        references=[tuple(map(tuple, others)) for others in references],
    )


def test_of_target_sequences_errors_are_counted_and_fewer_are_better(tmp_path: Path) -> None:
    one = ["xyz"] * 8 + ["abc"] * 2
    two = ["abx"] * 6 + ["abc"] * 2 + ["d", "abc"]
    found = of_targets(one, two, [()] * 8 + [("d",), ()])
    [forward], [both] = (found.trials[way] for way in found.ways)
    assert found.errors(forward) == [3] * 8 + [0, 0]
    assert found.errors(both) == [1] * 6 + [0] * 4  # "d" is right, too
    assert [bool(each.all()) for each in found.right(both)] == [False] * 6 + [True] * 4
    assert found.metric == "token_error_rate"
    tests = found.tests()
    assert list(tests) == ["symbols", "sequences"]
    assert tests["symbols"][0].p == pytest.approx(2 / 2**8)
    assert tests["sequences"][0].only_second == 2
    assert found.answer().startswith(
        "Two directions are better than one here: they reach a token error rate of 21.4 % against "
        "80.0 % for one, and they make fewer errors on 8 of 10 test sequences, one direction on 0"
    )
    told = found.to_dict()
    assert told["permutation"]["symbols"][0]["errors_both"] == 6
    assert list(told["mcnemar"]) == ["sequences"]
    reached = found.tables()[0]
    assert reached.header[3:] == [
        "token error rate", "least", "most", "sequence error rate",
    ]  # fmt: skip
    assert [row[-1] for row in reached.rows] == ["0.8000", "0.6000"]
    text = page.write(tmp_path / "page.html", found, name="test.tsv").read_text("utf-8")
    assert "lower is better" in text
    assert "an exact permutation test" in text
    worse = of_targets(two, one, [()] * 8 + [("d",), ()])
    assert worse.answer().startswith("Two directions are worse than one here")


def test_two_that_write_nothing_right_are_said_to_have_learnt_nothing() -> None:
    answer = of_targets(["xyzxyz"] * 10, ["xyzx"] * 10, [()] * 10).answer()
    assert answer.startswith(
        "Neither has learnt this: two directions reach a token error rate of 133.3 % against 200.0 "
    )
    one_alone = of_targets(["xyzxyz"] * 10, ["abc"] * 10, [()] * 10).answer()
    assert one_alone.startswith("Two directions are better")


def test_ways_of_the_same_width_are_said_to_be_one_model() -> None:
    widths = {"forward": (8, False), "both": (8, True), "half": (4, True), "equal": (4, True)}
    trials = {}
    for way, (hidden_size, both) in widths.items():
        encoder = Encoder(hidden_size=hidden_size, bidirectional=both)
        spec = SPEC.model_copy(update={"encoder": encoder})
        trials[way] = [trial(way, 1, [("x",)], 1.0, spec)]
    line = (
        "Two directions, half width and two directions, equal parameters are the same model here."
    )
    found = Comparison("tagger", [("x",)], [1], trials)
    assert found.verdicts()[-1] == line
    wider = trials["equal"][0].spec.model_copy(update={"encoder": Encoder(hidden_size=5)})
    trials["equal"] = [trial("equal", 1, [("x",)], 1.0, wider)]
    assert line not in Comparison("tagger", [("x",)], [1], trials).verdicts()


def test_fillers_are_compared_by_the_perplexity_of_the_same_masked_words(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    texts = [tuple(draw.choice(list("abcdefg"), n).tolist()) for n in draw.integers(0, 9, 40)]
    small = ["training.epochs=1", "encoder.hidden_size=3", "inputs.word_dim=3", "head.share=0.4"]
    recipe = Recipe.load("filler", overrides=small)
    said: list[str] = []
    found = compare(
        "filler", train=texts, test=texts, recipe=recipe, ways=("forward", "both"), seeds=(1,),
        tell=said.append,
    )  # fmt: skip
    assert found.metric == "perplexity"
    assert not any("several gaps" in line for line in said)
    asked = [Gaps(size=1).question(Example(text), n) for n, text in enumerate(texts)]
    assert list(found.golds) == [example.target for example in asked]
    for example, steps in zip(asked, found.steps, strict=True):
        assert [example.inputs[at - 1] for at in steps] == [GAP] * len(example.target)
    [forward], [both] = found.trials.values()
    for one in (forward, both):
        right = np.concatenate(found.right(one))
        assert one.scores["accuracy"] == pytest.approx(right.mean())
        assert one.scores["gaps"] == len(right)
    cells = found.tables()[0].rows[1]
    assert cells[3] == f"{both.scores['perplexity']:.1f}"
    assert "perplexity of" in found.answer()
    assert "%" not in found.answer().split(";")[0]
    written = page.write(tmp_path / "c.html", found, name="test").read_text("utf-8")
    assert f">{both.scores['perplexity']:.1f}<" in written
    names, accuracy = found.by_position()
    assert len(names) == len(accuracy["both"])
