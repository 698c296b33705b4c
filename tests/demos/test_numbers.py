"""Number words read back, and what the two kinds of lists differ in."""

from __future__ import annotations

import pytest

from birnn.demos import numbers
from birnn.demos.numbers import AND, COMMA, HUNDRED, ONE, PLAIN, TEENS, TENS, THOUSAND, UNITS, ZEROS
from birnn.errors import ConfigError


def value(words: tuple[str, ...]) -> int:
    """What number words mean, read by their grammar: sums, times a hundred, times a thousand."""
    total = part = 0
    for word in words:
        match word:
            case numbers.THOUSAND:
                total, part = 1000 * part, 0
            case numbers.HUNDRED:
                part *= 100
            case numbers.ONE:
                part += 1
            case _ if word in TEENS:
                part += 10 + TEENS.index(word)
            case _ if word in TENS:
                part += 10 * TENS.index(word)
            case _ if word != AND:
                part += UNITS.index(word)
    return total + part


def test_words_of_a_number_mean_it() -> None:
    every = {number: numbers.in_words(number) for number in [*range(1, 10_000), 999_999]}
    assert all(value(words) == number for number, words in every.items())
    assert len(set(every.values())) == len(every)
    # "ein" stands before another word, "eins" at the end.
    assert all((ONE in words) == (words[-1] == ONE) for words in every.values())
    assert all(words[-1] != UNITS[1] for words in every.values())
    assert all("" not in words for words in every.values())
    assert {words[-1] for words in every.values()} >= {HUNDRED, THOUSAND}
    for number in (0, 1_000_000):
        with pytest.raises(ConfigError, match="from 1 to 999,999"):
            numbers.in_words(number)


def test_lists_are_said_number_by_number_and_no_list_is_in_both_splits() -> None:
    drawn = {split: numbers.generate(600, 4, split=split) for split in ("train", "test")}
    lists = {}
    for split, samples in drawn.items():
        lists[split] = set()
        for sample in samples:
            written = "".join(sample.example.inputs).split(COMMA)
            said = " ".join(sample.example.target).split(f" {COMMA} ")
            assert [value(tuple(words.split())) for words in said] == [int(w) for w in written]
            zeros = {len(one) == numbers.WIDTH and one.startswith("0") for one in written}
            assert zeros == {sample.kind == ZEROS}
            lists[split].add(tuple(map(int, written)))
        assert [sample.kind for sample in samples] == [PLAIN, ZEROS] * 300
    assert not lists["train"] & lists["test"]
    assert len(numbers.generate(0, 1)) == 0


def test_what_a_reader_from_the_left_knows_of_places() -> None:
    """By all numbers of up to 4 digits, each length equally likely: the best bet on each prefix."""
    first, last = numbers.LENGTHS
    for kind, width in ((PLAIN, 0), (ZEROS, numbers.WIDTH)):
        seen: dict[str, dict[int, float]] = {}
        for digits in range(first, last + 1):
            weight = 1 / (9 * 10 ** (digits - 1))
            for number in range(10 ** (digits - 1), 10**digits):
                text = f"{number:0{width}}"
                for at in range(len(text) - digits, len(text)):
                    place = len(text) - at
                    counts = seen.setdefault(text[: at + 1], {})
                    counts[place] = counts.get(place, 0.0) + weight
        best = sum(max(counts.values()) for counts in seen.values())
        every = sum(sum(counts.values()) for counts in seen.values())
        assert numbers.places_known(kind) == pytest.approx(best / every)
