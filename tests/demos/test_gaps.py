"""The law of the sentences with gaps: what each side tells, and what one direction can know."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pytest

from birnn.data.gaps import GAP
from birnn.demos import DEMOS, Size, gaps, run
from birnn.errors import ConfigError

SPLITS = ("train", "test")


def words_by(view, kind, split):
    """For each thing that can be seen, how often each word is the right one."""
    found = defaultdict(Counter)
    for sample in gaps.sentences(split):
        if sample.kind == kind:
            [word] = sample.example.target
            found[view(sample.example.inputs, sample.position)][word] += 1
    return list(found.values())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("kind", "words"), list(zip(gaps.KINDS, (2, 4, 1, 1), strict=True)))
def test_the_left_side_leaves_as_many_words_as_it_should_and_all_equally_likely(kind, words, split):
    for counts in words_by(lambda tokens, at: tokens[:at], kind, split):
        assert len(counts) == words
        assert len(set(counts.values())) == 1
    assert all(len(each) == 1 for each in words_by(lambda tokens, at: tokens, kind, split))


def test_the_limits_are_those_of_words_that_are_equally_likely():
    assert list(gaps.ceiling().values()) == [1 / 2, 1 / 4, 1, 1]
    assert list(gaps.least_perplexity().values()) == pytest.approx([2, 4, 1, 1])


def test_a_held_out_sentence_is_new_and_all_its_words_are_known():
    def whole(split):
        return {
            tuple(sample.example.target[0] if t == GAP else t for t in sample.example.inputs)
            for sample in gaps.sentences(split)
        }

    train, test = map(whole, SPLITS)
    assert not train & test
    assert {word for sentence in test for word in sentence} <= {
        word for sentence in train for word in sentence
    }


def test_training_has_sentences_without_gaps_and_the_test_one_gap_each():
    for sample in gaps.generate(40, seed=3):
        assert GAP not in sample.example.inputs
        assert sample.example.target is None
    for sample in gaps.generate(40, seed=3, split="test"):
        assert sample.example.inputs.index(GAP) == sample.position
        assert sample.place == 0
        assert sample.tag == sample.example.target[0]
        clue = [sample.example.inputs[at] for at in sample.clues]
        assert " ".join(clue) in str(gaps.WORDS["clauses"])
    with pytest.raises(ConfigError, match="count is -1"):
        gaps.generate(-1, seed=0)
    with pytest.raises(ConfigError, match="split is 'dev'"):
        next(gaps.sentences("dev"))


@pytest.mark.slow
def test_two_directions_know_what_one_cannot():
    demo = DEMOS["gaps"]
    shown = run("gaps", seeds=(1,))
    contest = shown.contest
    both, forward = contest.by_group("both"), contest.by_group("forward")
    assert min(both.values()) > 0.95
    counts = Counter(sample.kind for sample in shown.samples)
    for kind, limit in demo.limit().items():
        # Five standard deviations above what is expected of the best rule.
        spread = math.sqrt(limit * (1 - limit) / counts[kind])
        assert forward[kind] <= limit + 5 * spread
    one, two = (contest.comparison.spread(way).median for way in ("forward", "both"))
    entropy = sum(math.log(p) * counts[kind] for kind, p in gaps.least_perplexity().items())
    least = math.exp(entropy / counts.total())
    assert two < 1.2 < least < one * 1.02


def test_a_small_run_counts_the_answer_at_the_gap():
    shown = run("gaps", seeds=(1,), size=Size(train=30, test=24, epochs=1))
    comparison = shown.contest.comparison
    for way, trials in comparison.trials.items():
        answers = [words for (words,) in trials[0].answers]
        right = [word == gold for word, (gold,) in zip(answers, comparison.golds, strict=True)]
        share = sum(right) / len(right)
        assert shown.contest.spread(way).median == pytest.approx(share)
        assert trials[0].scores["accuracy"] == pytest.approx(share)
        assert comparison.metric == "perplexity"
