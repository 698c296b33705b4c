"""The laws that make the sentences a fair test: what each side tells, and what it does not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from birnn.demos import senses
from birnn.demos.demo import Sample, SplitName
from birnn.errors import ConfigError

SPLITS: tuple[SplitName, ...] = ("train", "test")


def left(case: Sample) -> tuple[str, ...]:
    """What a left-to-right reader has seen at the ambiguous word."""
    return tuple(case.example.inputs[: case.position + 1])


def right(case: Sample) -> tuple[str, ...]:
    """What a right-to-left reader has seen at the ambiguous word."""
    return tuple(case.example.inputs[case.position :])


def whole(case: Sample) -> tuple[str, ...]:
    return tuple(case.example.inputs)


def tags_given(
    view: Callable[[Sample], tuple[str, ...]], evidence: str, split: SplitName
) -> list[Counter[str]]:
    """For each thing that can be seen, how often each tag is the right one."""
    found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for case in senses.sentences(split):
        if case.kind == evidence:
            found[view(case)][case.tag] += 1
    return list(found.values())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("evidence", "seen_left", "seen_right"), [("left", 1, 2), ("right", 2, 1), ("both", 2, 2)]
)
def test_a_side_leaves_as_many_senses_as_it_should_and_all_equally_likely(
    evidence: str, seen_left: int, seen_right: int, split: SplitName
) -> None:
    for view, senses_left in ((left, seen_left), (right, seen_right), (whole, 1)):
        for counts in tags_given(view, evidence, split):
            assert len(counts) == senses_left
            assert len(set(counts.values())) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_all_senses_of_a_place_of_evidence_are_equally_frequent(split: SplitName) -> None:
    for evidence in senses.EVIDENCE:
        counts = Counter(case.tag for case in senses.sentences(split) if case.kind == evidence)
        assert len(set(counts.values())) == 1


def test_every_word_has_the_senses_that_it_is_said_to_have() -> None:
    tags = {(case.kind, case.tag) for case in senses.sentences()}
    words = Counter((evidence, tag.partition("/")[0]) for evidence, tag in tags)
    two = {word for (evidence, word), count in words.items() if evidence != "both"}
    assert len(two) >= 6
    assert all(words[place, word] == 2 for word in two for place in ("left", "right"))
    assert {count for (evidence, _), count in words.items() if evidence == "both"} == {4}


def test_no_clause_settles_two_things() -> None:
    two = [clauses for topics in senses.WORDS["topics"].values() for clauses in topics.values()]
    fourfold = senses.WORDS["fourfold"]
    four = [topic["clauses"] for topics in fourfold.values() for topic in topics.values()]
    every = [clause for clauses in two + four for clause in clauses]
    assert len(set(every)) == len(every) == senses.CHOICES * len(two + four)


def test_held_out_sentences_are_unseen_and_their_words_are_not() -> None:
    train, test = list(senses.sentences("train")), list(senses.sentences("test"))
    assert not {whole(case) for case in train} & {whole(case) for case in test}
    known = {token for case in train for token in case.example.inputs}
    assert {token for case in test for token in case.example.inputs} == known
    assert {case.tag for case in test} == {case.tag for case in train}


def test_every_sentence_comes_once_and_is_tagged_at_one_place() -> None:
    every = list(senses.sentences("train")) + list(senses.sentences("test"))
    assert len({whole(case) for case in every}) == len(every)
    for case in every:
        tags = case.example.target
        assert isinstance(tags, tuple)
        assert len(tags) == len(case.example.inputs)
        assert [place for place, tag in enumerate(tags) if tag != "O"] == [case.position]
        assert case.tag.partition("/")[0] == case.example.inputs[case.position]


def test_the_clues_alone_settle_the_sense_and_the_rest_does_not() -> None:
    by_clues: dict[tuple[str, ...], set[str]] = defaultdict(set)
    by_rest: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for case in senses.sentences():
        tokens = case.example.inputs
        word = str(tokens[case.position])
        clues = tuple(str(tokens[place]) for place in case.clues)
        rest = tuple(str(t) for place, t in enumerate(tokens) if place not in case.clues)
        by_clues[(word, *clues)].add(case.tag)
        by_rest[rest].add(case.tag)
        sides = {"left" if place < case.position else "right" for place in case.clues}
        assert sides == ({"left", "right"} if case.kind == "both" else {case.kind})
    assert {len(tags) for tags in by_clues.values()} == {1}
    assert {len(tags) for tags in by_rest.values()} == {2, 4}


@pytest.mark.parametrize("split", SPLITS)
def test_ceiling_is_what_the_laws_leave_to_a_reader_from_the_left(split: SplitName) -> None:
    for evidence in senses.EVIDENCE:
        found = tags_given(left, evidence, split)
        best = sum(max(counts.values()) for counts in found)
        assert senses.ceiling(split)[evidence] == best / sum(counts.total() for counts in found)
    # no left context comes with two places of evidence, so the three bounds hold together
    by_place = [
        {left(case) for case in senses.sentences(split) if case.kind == evidence}
        for evidence in senses.EVIDENCE
    ]
    assert len(set.union(*by_place)) == sum(map(len, by_place))


def test_a_draw_is_balanced_repeatable_and_free_of_repeats() -> None:
    drawn = senses.generate(301, 7)
    assert len(drawn) == 301
    assert Counter(case.kind for case in drawn) == {"left": 101, "right": 100, "both": 100}
    assert len({whole(case) for case in drawn}) == 301
    assert drawn == senses.generate(301, 7)
    assert drawn != senses.generate(301, 8)
    assert senses.generate(0, 7) == []


def test_a_draw_stays_in_its_split_even_where_it_has_to_repeat() -> None:
    test = [whole(case) for case in senses.sentences("test")]
    drawn = Counter(whole(case) for case in senses.generate(4 * len(test), 0, split="test"))
    assert set(drawn) == set(test)


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        senses.generate(-1, 0)
    with pytest.raises(ConfigError, match="split is 'dev': known: test, train"):
        senses.generate(1, 0, split="dev")  # type: ignore[arg-type]
