"""The rule of reading frames against a regular expression, the ceiling against enumeration."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.demos import bases
from birnn.demos.bases import BASES, CHANCES, LENGTH, OUTSIDE
from birnn.demos.demo import ALL, LATER, SO_FAR, SplitName
from birnn.errors import ConfigError

SPLITS: tuple[SplitName, ...] = ("train", "test")
FRAME = re.compile("ATG(?:...)*?(?:TAA|TAG|TGA)")


def tags_by_pattern(text: str) -> str:
    """A frame that closes is what the pattern matches where the first ATG stands."""
    start = text.find("ATG")
    frame = FRAME.match(text, start) if start >= 0 else None
    if frame is None:
        return OUTSIDE * len(text)
    codons = len(frame[0]) // 3
    return OUTSIDE * start + "123" * codons + tags_by_pattern(text[frame.end() :])


def open_frame(text: str) -> str | None:
    """What follows the start codon of the frame that is open at the end of a text, if one is."""
    start = text.find("ATG")
    if start < 0:
        return None
    frame = FRAME.match(text, start)
    return text[start + 3 :] if frame is None else open_frame(text[frame.end() :])


def after_frames(text: str) -> str:
    """What is left of a text after all closed frames."""
    start = text.find("ATG")
    frame = FRAME.match(text, start) if start >= 0 else None
    return text if frame is None else after_frames(text[frame.end() :])


def chances(text: str) -> tuple[float, float, float, float]:
    """The law of the next base, by what the text so far is."""
    read = open_frame(text)
    if read is not None:
        codon = read[len(read) // 3 * 3 :]
        known = codon if codon in ("", "T", "TA", "TG") else "-" * len(codon)
        return CHANCES[f"+{known}"]
    left = after_frames(text)
    return CHANCES["AT" if left.endswith("AT") else "A" if left.endswith("A") else ""]


@given(
    text=st.text(BASES, max_size=60)
    | st.lists(st.sampled_from(["ATG", "TAA", "TGA", "TAG", "A", "CG", "GTC"]), max_size=15).map(
        "".join
    )
)
def test_tags_are_what_the_pattern_finds(text: str) -> None:
    assert "".join(bases.tags_of(text)) == tags_by_pattern(text)


@pytest.mark.parametrize("split", SPLITS)
def test_drawn_sequences_are_tagged_by_the_rule(split: SplitName) -> None:
    kinds = set()
    for case in bases.generate(200, 1, split=split):
        text = "".join(case.example.inputs)
        assert len(text) == LENGTH
        assert "".join(map(str, case.example.target or ())) == tags_by_pattern(text)
        expected = "closed" if FRAME.search(text) else "none"
        assert case.kind == ("open" if open_frame(text) is not None else expected)
        kinds.add(case.kind)
    assert kinds == {"open", "closed", "none"}


def test_ceiling_is_what_the_best_rule_on_what_was_read_reaches() -> None:
    length = 8
    law = {"": 1.0}
    for _ in range(length):
        law = {
            text + base: probability * chance
            for text, probability in law.items()
            for base, chance in zip(BASES, chances(text), strict=True)
        }
    assert sum(law.values()) == pytest.approx(1)
    right, later = [0.0] * length, [0.0] * length
    for place in range(length):
        votes: dict[str, dict[str, float]] = defaultdict(dict)
        for text, probability in law.items():
            vote = votes[text[: place + 1]]
            tag = tags_by_pattern(text)[place]
            vote[tag] = vote.get(tag, 0.0) + probability
        for vote in votes.values():
            if len(vote) > 1:
                later[place] += sum(vote.values())
                right[place] += max(vote.values())
    found = bases.ceiling_by_position(length)
    assert [share["later"] for share in found] == pytest.approx(later)
    assert [share["right"] for share in found] == pytest.approx(right)
    ceiling = bases.ceiling(length)
    assert ceiling[LATER] == pytest.approx(sum(right) / sum(later))
    assert ceiling[SO_FAR] == 1
    assert ceiling[ALL] == pytest.approx(1 - (sum(later) - sum(right)) / length)


def test_what_is_decided_later_is_what_other_endings_would_change() -> None:
    length = 8
    tags = {"".join(text): tags_by_pattern("".join(text)) for text in product(BASES, repeat=length)}
    known: list[dict[str, set[str]]] = [defaultdict(set) for _ in range(length)]
    for text, tagged in tags.items():
        for place in range(length):
            known[place][text[: place + 1]].add(tagged[place])
    for case in bases.generate(300, 2, length=length):
        text = "".join(case.example.inputs)
        expected = [len(known[place][text[: place + 1]]) > 1 for place in range(length)]
        assert case.decided_later == tuple(expected)


def test_the_share_decided_later_is_as_computed() -> None:
    cases = bases.generate(2000, 3)
    drawn = sum(sum(case.decided_later) for case in cases) / (LENGTH * len(cases))
    computed = sum(share["later"] for share in bases.ceiling_by_position()) / LENGTH
    assert drawn == pytest.approx(computed, abs=0.02)


def test_no_sequence_stands_in_both_splits() -> None:
    # sequences so short that a seed alone would not keep them apart
    train, test = (
        {"".join(case.example.inputs) for case in bases.generate(1000, 0, split=split, length=6)}
        for split in SPLITS
    )
    assert train
    assert test
    assert not train & test


def test_seeds_repeat() -> None:
    assert bases.generate(20, 5) == bases.generate(20, 5)
    assert bases.generate(20, 5) != bases.generate(20, 6)
    assert bases.generate(0, 5) == []


@pytest.mark.parametrize(
    ("count", "length", "message"), [(-1, 10, "count is -1"), (1, 5, "length is 5")]
)
def test_bad_calls_are_refused(count: int, length: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bases.generate(count, 0, length=length)
