"""The laws that make the reviews a fair test: what is new in them, and what words alone tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import pytest

from birnn.data import tokenise
from birnn.demos import sentiment
from birnn.demos.demo import SplitName
from birnn.demos.sentiment import FINDINGS, FRAMES, KINDS, LABELS, SLOTS, THINGS
from birnn.errors import ConfigError
from grids import sampled

SPLITS: tuple[SplitName, ...] = ("train", "test")
THING = next(iter(THINGS))


def choices(split: SplitName) -> list[sentiment._Choice]:
    """Every sentence about one thing."""
    wanted = sentiment.NOVELTIES[split]
    return [choice for choice in every_choice() if choice.novelty in wanted]


def every_choice() -> Iterator[sentiment._Choice]:
    """Every sentence about one thing.

    About any other thing the sentences are the same but for its name and those of its aspects,
    which say nothing about the verdict.
    """
    for frame in sentiment._FRAMES:
        for label in LABELS:
            for findings in frame.findings(label):
                numbers = (range(len(FINDINGS[finding])) for finding in findings)
                for *phrases, aspect in product(*numbers, range(len(THINGS[THING]))):
                    yield sentiment._Choice(frame, findings, tuple(phrases), THING, aspect)


def early(choice: sentiment._Choice) -> int:
    """Number of words before the last finding."""
    slots = list(choice.slots())
    last = max(place for place, (slot, _) in enumerate(slots) if slot in SLOTS)
    return sum(len(words) for _, words in slots[:last])


def lure_of(choice: sentiment._Choice) -> list[int]:
    """Indices of the words that speak for another verdict."""
    clues, places, at = choice.sample().clues, [], 0
    for slot, words in choice.slots():
        places += [place for place in range(at, at + len(words)) if slot in SLOTS]
        at += len(words)
    return [place for place in places if place not in clues]


def bag_ceiling(split: SplitName = "test") -> float:
    """Accuracy that no reader of the words without their order can exceed in expectation."""
    return best_share(split, lambda sentence: tuple(sorted(sentence.tokens)))["all"]


def word_ceiling(split: SplitName = "test") -> float:
    """Accuracy that no reader who looks for a single word can exceed in expectation."""
    every: dict[str, float] = dict.fromkeys(LABELS, 0.0)
    present: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(LABELS, 0.0))
    for sentence in law(split):
        every[sentence.label] += sentence.probability
        for word in set(sentence.tokens):
            present[word][sentence.label] += sentence.probability
    return max(
        max(there.values()) + max(every[label] - there[label] for label in LABELS)
        for there in present.values()
    )


def early_ceiling(split: SplitName = "test") -> dict[str, float]:
    """Accuracy that no reader can exceed before it comes to the last finding, by kind."""
    return best_share(split, lambda sentence: sentence.tokens[: sentence.early])


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the law; ``early`` words stand before its last finding."""

    probability: float
    kind: str
    label: str
    tokens: tuple[str, ...]
    early: int


def best_share(split: SplitName, view: Callable[[Sentence], tuple[str, ...]]) -> dict[str, float]:
    """Chance that the likeliest verdict given a view of the sentence is right, by kind and of all.

    Two kinds may give the same view; then one answer serves both, and is best for the two together.
    """
    seen: dict[tuple[str, ...], dict[tuple[str, str], float]] = defaultdict(dict)
    for sentence in law(split):
        chances = seen[view(sentence)]
        sort = (sentence.label, sentence.kind)
        chances[sort] = chances.get(sort, 0.0) + sentence.probability
    right = dict.fromkeys((*KINDS, "all"), 0.0)
    for chances in seen.values():
        votes = {
            label: sum(chance for (given, _), chance in chances.items() if given == label)
            for label in LABELS
        }
        best = max(votes, key=votes.__getitem__)
        right["all"] += votes[best]
        for kind in KINDS:
            right[kind] += len(KINDS) * chances.get((best, kind), 0.0)
    return right


@cache
def law(split: SplitName) -> list[Sentence]:
    """Every sentence of a split about one thing, with its probability."""
    choices = [choice for choice in every_choice() if choice.novelty in sentiment.NOVELTIES[split]]
    alike = Counter((choice.frame.kind, choice.label, choice.novelty) for choice in choices)
    return [
        Sentence(
            1 / (len(alike) * alike[choice.frame.kind, choice.label, choice.novelty]),
            choice.frame.kind,
            choice.label,
            tuple(word for _, words in choice.slots() for word in words),
            early(choice),
        )
        for choice in choices
    ]


def frame_words() -> set[str]:
    texts = [text for frames in FRAMES.values() for text, _ in frames]
    return {word.lstrip("^") for text in texts for word in text.split() if "{" not in word}


def test_things_differ_in_their_names_alone() -> None:
    # so what holds of the sentences about one thing holds of all
    assert len({len(aspects) for aspects in THINGS.values()}) == 1
    names = [*THINGS, *(aspect for aspects in THINGS.values() for aspect in aspects)]
    found = {word for phrases in FINDINGS.values() for phrase in phrases for word in phrase.split()}
    assert len(set(names)) == len(names)
    assert not set(names) & (found | frame_words())
    assert len({len(phrases) for phrases in FINDINGS.values()}) == 1
    every = [phrase for phrases in FINDINGS.values() for phrase in phrases]
    assert len(set(every)) == len(every)


def test_every_frame_holds_equally_many_sentences() -> None:
    for frames in FRAMES.values():
        for text, verdict in frames:
            assert text.count("{aspect}") == text.count("{first}") == 1
            assert text.count("{second}") <= 1
            assert verdict != "second" or "{second}" in text
    sizes = Counter((choice.frame.number, choice.label) for choice in every_choice())
    for kind, label in {(choice.frame.kind, choice.label) for choice in every_choice()}:
        numbers = [frame.number for frame in sentiment._FRAMES if frame.kind == kind]
        assert len({sizes[number, label] for number in numbers} - {0}) == 1


def test_the_verdict_is_the_one_that_was_asked_for() -> None:
    for frame in sentiment._FRAMES:
        for label in LABELS:
            for findings in frame.findings(label):
                phrases = (0,) * len(findings)
                assert sentiment._Choice(frame, findings, phrases, THING, 0).label == label


@pytest.mark.slow
def test_no_sentence_has_two_verdicts_or_stands_in_both_splits() -> None:
    verdicts: dict[tuple[str, ...], set[tuple[str, str]]] = defaultdict(set)
    count = 0
    for split in SPLITS:
        for sentence in law(split):
            verdicts[sentence.tokens].add((sentence.label, split))
            count += 1
    assert len(verdicts) == count


@pytest.mark.parametrize("split", sampled(SPLITS, ["test"]))
def test_every_sentence_of_two_findings_has_a_mirror_image(split: SplitName) -> None:
    sentences = {sentence.tokens: sentence for sentence in law(split)}
    bags: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: dict.fromkeys(LABELS, 0.0))
    for sentence in sentences.values():
        bags[tuple(sorted(sentence.tokens))][sentence.label] += sentence.probability
    for choice in choices(split):
        if len(choice.findings) == 2 and choice.frame.verdict != "neither":
            tokens = tuple(map(str, choice.sample().example.inputs))
            votes = sorted(bags[tuple(sorted(tokens))].values())
            assert votes[0] == 0
            assert votes[1] == pytest.approx(votes[2])  # two verdicts, one as likely as the other


@pytest.mark.parametrize("split", SPLITS)
def test_words_without_their_order_tell_as_much_as_is_said(split: SplitName) -> None:
    # mirror images are right half of the time, the kinds without are known by their words
    mirrored = {kind for kind, frames in FRAMES.items() if {v for _, v in frames} & {"second"}}
    expected = 1 - len(mirrored) / len(KINDS) / 2
    assert bag_ceiling(split) == pytest.approx(expected)
    assert expected < 0.65
    assert word_ceiling(split) < 0.4


def test_a_single_word_by_brute_force() -> None:
    every = law("test")
    best = 0.0
    for word in {word for sentence in every[::50] for word in sentence.tokens}:
        votes: Counter[tuple[bool, str]] = Counter()
        for sentence in every[::7]:
            votes[word in sentence.tokens, sentence.label] += sentence.probability * 7  # type: ignore[assignment]
        best = max(best, sum(max(votes[there, x] for x in LABELS) for there in (True, False)))
    assert best == pytest.approx(word_ceiling("test"), abs=0.02)


@pytest.mark.parametrize("split", SPLITS)
def test_before_the_last_finding_is_known_what_the_frames_let_know(split: SplitName) -> None:
    # a third to guess among, of which the first finding rules out its own; or known already
    known_early = early_ceiling(split)
    for kind, frames in FRAMES.items():
        if kind in ("plain", "negation"):
            continue
        known = [1.0 if verdict == "first" else 0.5 for _, verdict in frames]
        assert known_early[kind] == pytest.approx(sum(known) / len(known))
    assert known_early["plain"] == pytest.approx(1 / 3)
    # neutral is known by its frames, the others are even
    assert known_early["negation"] == pytest.approx(1 / 3 + 2 / 3 * 1 / 2)
    mean = sum(known_early[kind] for kind in KINDS) / len(KINDS)
    assert known_early["all"] == pytest.approx(mean)


def test_what_is_new_is_unseen_and_the_rest_is_not() -> None:
    train = choices("train")
    fillers = {
        (c.frame.number, f, p) for c in train for f, p in zip(c.findings, c.phrases, strict=True)
    }
    for choice in choices("test"):
        used = zip(choice.findings, choice.phrases, strict=True)
        seen = [(choice.frame.number, f, p) in fillers for f, p in used]
        assert all(seen) == (choice.novelty == "combination")
    known = {str(word) for choice in train for word in choice.sample().example.inputs}
    assert known >= {word for s in law("test") for word in s.tokens}
    # every finding is met in training, and every frame with five of six phrases of each
    met = {(f, p) for _, f, p in fillers}
    assert len(met) == sum(map(len, FINDINGS.values()))


@pytest.mark.parametrize("split", SPLITS)
def test_clues_decide_and_the_lure_does_not(split: SplitName) -> None:
    labels: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for choice in choices(split)[::3]:
        case, lured = choice.sample(), lure_of(choice)
        tokens, label = case.example.inputs, str(case.example.target)
        assert not set(case.clues) & set(lured)
        lure = " ".join(str(tokens[place]) for place in lured)
        clues = " ".join(str(tokens[place]) for place in case.clues)
        spoken = [FINDINGS[f][p] for f, p in zip(choice.findings, choice.phrases, strict=True)]
        assert all(phrase in clues or phrase in lure for phrase in spoken)
        assert lure not in FINDINGS[label]
        if choice.frame.verdict != "opposite":  # there the verdict is that of the lure, denied
            masked = ("_" if place in lured else t for place, t in enumerate(tokens))
            labels[tuple(masked)].add(label)
    assert {len(found) for found in labels.values()} == {1}


@pytest.mark.parametrize("split", SPLITS)
def test_a_draw_is_balanced_repeatable_and_of_its_split(split: SplitName) -> None:
    drawn = sentiment.generate(420, 7, split=split)
    assert set(Counter(case.example.target for case in drawn).values()) == {140}
    assert set(Counter(case.kind for case in drawn).values()) == {60}
    new = {choice.sample().example.inputs: choice.novelty for choice in choices(split)}
    about = [case.example.inputs for case in drawn if case.example.inputs in new]
    assert {new[tokens] for tokens in about} == set(sentiment.NOVELTIES[split])
    pairs = Counter((case.kind, case.example.target) for case in drawn)
    assert set(pairs.values()) == {20}
    assert drawn == sentiment.generate(420, 7, split=split)
    assert drawn != sentiment.generate(420, 8, split=split)
    assert sentiment.generate(0, 7, split=split) == []


def test_train_and_test_draws_share_no_sentence() -> None:
    train, test = (
        {case.example.inputs for case in sentiment.generate(3000, 1, split=split)}
        for split in SPLITS
    )
    assert len(train) > 2500
    assert not train & test  # type: ignore[operator]


def test_a_sentence_is_what_the_tokeniser_makes_of_its_text() -> None:
    for case in sentiment.generate(200, 2):
        assert tokenise(" ".join(map(str, case.example.inputs))) == case.example.inputs


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        sentiment.generate(-1, 0)
    with pytest.raises(ConfigError, match="split is 'dev': known: test, train"):
        sentiment.generate(1, 0, split="dev")  # type: ignore[arg-type]
