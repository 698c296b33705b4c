"""The laws that make the reviews a fair test: what is new in them, and what words alone tell."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from birnn.data import tokenise
from birnn.demos import sentiment
from birnn.demos.cases import Split
from birnn.demos.sentiment import KINDS, LABELS
from birnn.demos.sentiment_lexicon import FINDINGS, FRAMES, THINGS
from birnn.errors import ConfigError

SPLITS: tuple[Split, ...] = ("train", "test")
THING = next(iter(THINGS))


def choices(split: Split) -> list[sentiment._Choice]:
    """Every sentence about one thing."""
    wanted = sentiment.NOVELTIES[split]
    return [choice for choice in sentiment._choices(THING) if choice.novelty in wanted]


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
    sizes = Counter((choice.frame.number, choice.label) for choice in sentiment._choices(THING))
    for kind, label in {(choice.frame.kind, choice.label) for choice in sentiment._choices(THING)}:
        numbers = [frame.number for frame in sentiment._FRAMES if frame.kind == kind]
        assert len({sizes[number, label] for number in numbers} - {0}) == 1


def test_the_verdict_is_the_one_that_was_asked_for() -> None:
    for frame in sentiment._FRAMES:
        for label in LABELS:
            for findings in frame.findings(label):
                phrases = (0,) * len(findings)
                assert sentiment._Choice(frame, findings, phrases, THING, 0).label == label


def test_no_sentence_has_two_verdicts_or_stands_in_both_splits() -> None:
    verdicts: dict[tuple[str, ...], set[tuple[str, str]]] = defaultdict(set)
    count = 0
    for split in SPLITS:
        for sentence in sentiment._law(split):
            verdicts[sentence.tokens].add((sentence.label, split))
            count += 1
    assert len(verdicts) == count


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_of_two_findings_has_a_mirror_image(split: Split) -> None:
    law = {sentence.tokens: sentence for sentence in sentiment._law(split)}
    bags: dict[tuple[str, ...], dict[str, float]] = defaultdict(lambda: dict.fromkeys(LABELS, 0.0))
    for sentence in law.values():
        bags[tuple(sorted(sentence.tokens))][sentence.label] += sentence.probability
    for choice in choices(split):
        if len(choice.findings) == 2 and choice.frame.verdict != "neither":
            tokens = tuple(map(str, choice.case().example.inputs))
            votes = sorted(bags[tuple(sorted(tokens))].values())
            assert votes[0] == 0
            assert votes[1] == pytest.approx(votes[2])  # two verdicts, one as likely as the other


@pytest.mark.parametrize("split", SPLITS)
def test_words_without_their_order_tell_as_much_as_is_said(split: Split) -> None:
    # mirror images are right half of the time, the kinds without are known by their words
    mirrored = {kind for kind, frames in FRAMES.items() if {v for _, v in frames} & {"second"}}
    expected = 1 - len(mirrored) / len(KINDS) / 2
    assert sentiment.bag_ceiling(split) == pytest.approx(expected)
    assert expected < 0.65
    assert sentiment.word_ceiling(split) < 0.4


def test_a_single_word_by_brute_force() -> None:
    law = sentiment._law("test")
    best = 0.0
    for word in {word for sentence in law[::50] for word in sentence.tokens}:
        votes: Counter[tuple[bool, str]] = Counter()
        for sentence in law[::7]:
            votes[word in sentence.tokens, sentence.label] += sentence.probability * 7  # type: ignore[assignment]
        best = max(best, sum(max(votes[there, x] for x in LABELS) for there in (True, False)))
    assert best == pytest.approx(sentiment.word_ceiling("test"), abs=0.02)


@pytest.mark.parametrize("split", SPLITS)
def test_before_the_last_finding_is_known_what_the_frames_let_know(split: Split) -> None:
    # a third to guess among, of which the first finding rules out its own; or known already
    early = sentiment.early_ceiling(split)
    for kind, frames in FRAMES.items():
        if kind in ("plain", "negation"):
            continue
        known = [1.0 if verdict == "first" else 0.5 for _, verdict in frames]
        assert early[kind] == pytest.approx(sum(known) / len(known))
    assert early["plain"] == pytest.approx(1 / 3)
    # neutral is known by its frames, the others are even
    assert early["negation"] == pytest.approx(1 / 3 + 2 / 3 * 1 / 2)
    assert early["all"] == pytest.approx(sum(early[kind] for kind in KINDS) / len(KINDS))


def test_what_is_new_is_unseen_and_the_rest_is_not() -> None:
    train = choices("train")
    fillers = {
        (c.frame.number, f, p) for c in train for f, p in zip(c.findings, c.phrases, strict=True)
    }
    for choice in choices("test"):
        used = zip(choice.findings, choice.phrases, strict=True)
        seen = [(choice.frame.number, f, p) in fillers for f, p in used]
        assert all(seen) == (choice.novelty == "combination")
    known = {str(word) for choice in train for word in choice.case().example.inputs}
    assert known >= {word for s in sentiment._law("test") for word in s.tokens}
    # every finding is met in training, and every frame with five of six phrases of each
    met = {(f, p) for _, f, p in fillers}
    assert len(met) == sum(map(len, FINDINGS.values()))


@pytest.mark.parametrize("split", SPLITS)
def test_clues_decide_and_the_lure_does_not(split: Split) -> None:
    labels: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for choice in choices(split)[::3]:
        case = choice.case()
        tokens, label = case.example.inputs, str(case.example.target)
        assert not set(case.clues) & set(case.lure)
        lure = " ".join(str(tokens[place]) for place in case.lure)
        clues = " ".join(str(tokens[place]) for place in case.clues)
        spoken = [FINDINGS[f][p] for f, p in zip(choice.findings, choice.phrases, strict=True)]
        assert all(phrase in clues or phrase in lure for phrase in spoken)
        assert lure not in FINDINGS[label]
        if choice.frame.verdict != "opposite":  # there the verdict is that of the lure, denied
            masked = ("_" if place in case.lure else t for place, t in enumerate(tokens))
            labels[tuple(masked)].add(label)
    assert {len(found) for found in labels.values()} == {1}


def test_turns_are_told_from_verdicts_that_stand_first() -> None:
    for case in sentiment.generate(300, 0):
        text = " ".join(map(str, case.example.inputs))
        if "started out" in text and text.index("started out") < text.index("ended up"):
            assert case.turns
        if text.startswith("in the end") or case.kind == "plain":
            assert not case.turns


@pytest.mark.parametrize("split", SPLITS)
def test_a_draw_is_balanced_repeatable_and_of_its_split(split: Split) -> None:
    drawn = sentiment.generate(420, 7, split=split)
    assert set(Counter(case.example.target for case in drawn).values()) == {140}
    assert set(Counter(case.kind for case in drawn).values()) == {60}
    novelties = Counter(case.novelty for case in drawn)
    assert novelties == dict.fromkeys(
        sentiment.NOVELTIES[split], 420 // len(sentiment.NOVELTIES[split])
    )
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
