"""Where tokens stand in their text, held against the text itself."""

from __future__ import annotations

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from birnn.data import token_offsets, tokenise
from birnn.data.alphabet import Alphabet, split_symbols
from birnn.data.offsets import composed, joined_offsets, visible
from birnn.data.tokeniser import clean, part
from birnn.errors import DataError

# Characters that NFC, the tokeniser or the terminal treat apart: decomposed and composed accents,
# Hangul jamo, marks in the wrong order, invisible ones, joiners, emoji, right to left, NUL.
HARD = (
    "a e\u0301 \u00e9 e\u0323\u0301 e\u0301\u0323 \u1100 \u1161 \u11a8 \uac00 \u0958 \u0915\u093c "
    "\u2126 \ufb01 \u00ad \u200b \u200d \u200c \ufe0f \u2764\ufe0f \U0001f469\u200d\U0001f469 "
    "\U0001f1e9\U0001f1ea 1\u20e3 \u05e9\u05b8 \u0644 \u202e \u0000 ? . n't ' \u0f73 \u0f71\u0f74 "
    "\u0301 \u0323 \u1025\u102e \u3099 \u304b\u3099 \U000110a5\U000110ba"
)
PIECES = st.lists(st.sampled_from([*HARD.split(), " ", "\n", "\u00a0"]), max_size=12).map("".join)
TEXTS = st.text() | PIECES


def held(text: str, offsets: tuple[tuple[int, int], ...]) -> list[str]:
    """What stands at the offsets, which lie in the text and never go back."""
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    for one, other in pairwise(offsets):
        assert one[0] <= other[0]
        assert one[1] <= other[1]
    return [text[start:end] for start, end in offsets]


@given(TEXTS)
@example("e\u0301\u0323 x")
@example("\u1100\u1161\u11a8?")
@example("e\u00ad\u0301 e\u0301\u00ad")
@example("a" + "\u0316\u0301\u0327" * 30 + " b")
def test_the_slice_of_a_token_is_cleaned_to_the_token(text):
    for split in ("text", "tokens", "auto"):
        tokens = part(text, split).tokens
        slices = held(text, token_offsets(text, tokens))
        for token, there in zip(tokens, slices, strict=True):
            # A character that became two may have been split between two tokens.
            assert clean(there) == token or token in clean(there)


@given(TEXTS)
def test_tokens_at_white_space_are_found_as_they_are(text):
    tokens = text.split()
    slices = held(text, token_offsets(text, tokens))
    assert [there.rstrip("\ufe0e\ufe0f") for there in slices] == [
        token.rstrip("\ufe0e\ufe0f") for token in tokens
    ]


@given(TEXTS)
@example("A\u0300\u00ad")
@example("A\u0300\r ")
def test_symbols_of_a_text_cover_it_but_its_white_space(text):
    symbols = Alphabet("ab ").split(text)
    assert "".join(held(text, token_offsets(text, symbols))).startswith("".join(symbols)[:1])
    for way in ("characters", "spaces"):
        symbols = split_symbols(text, way)
        slices = held(text, token_offsets(text, symbols))
        for symbol, there in zip(symbols, slices, strict=True):
            assert symbol in composed(there)


@given(TEXTS)
def test_composing_part_by_part_is_composing(text):
    assert composed(text) == unicodedata.normalize("NFC", text)


@given(st.lists(st.text(min_size=1), max_size=5))
def test_joined_tokens_stand_where_they_were_joined(tokens):
    text = " ".join(tokens)
    assert [text[start:end] for start, end in joined_offsets(tokens)] == tokens


def test_a_token_covers_all_that_it_was_read_from():
    text = "Zu\u0308rich\u200b: co\u00adop \u2764\ufe0f\n"
    tokens = tokenise(text)
    assert tokens == ("Zürich", ":", "coop", "\u2764")
    assert held(text, token_offsets(text, tokens)) == [
        "Zu\u0308rich",
        ":",
        "co\u00adop",
        "\u2764\ufe0f",
    ]


@pytest.mark.parametrize("tokens", [("a", "c"), ("b", "a"), ("",), ("ab", "b")])
def test_tokens_of_another_text_are_refused(tokens):
    with pytest.raises(DataError, match="not those of the text"):
        token_offsets("ab", tokens)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param("word ", id="words"),
        pytest.param("\U0001f469\u200d\U0001f469\U0001f3fd ", id="emoji"),
        pytest.param("a\u0301\u0323", id="marks"),
        pytest.param("\u0301\u0323", id="marks alone"),
        pytest.param("\u1112\u1161\u11ab", id="jamo"),
        pytest.param("\u05e9\u05dc\u05d5\u05dd ", id="right to left"),
        pytest.param("\0", id="NUL"),
        pytest.param("\u0f73\u0f71\u0f74", id="marks of two marks"),
        pytest.param("\u200b", id="invisible"),
        pytest.param("'s", id="clitics"),
        pytest.param("a'll", id="clitics of a word"),
        pytest.param("1,", id="numbers"),
        pytest.param("http://a.b/", id="addresses"),
    ],
)
def test_time_grows_with_the_length(unit):
    size = 5_000

    def seconds(count: int) -> float:
        text = unit * (count // len(unit))
        start = time.process_time()
        held(text, token_offsets(text, tokenise(text)))
        return time.process_time() - start

    seconds(100)
    # With the square of the length eight times the text would take 64 times as long.
    assert seconds(8 * size) < 30 * max(seconds(size), 0.004)


def test_runs_of_marks_are_composed_to_the_same_but_for_those_no_language_writes():
    text = "a" + "\u0323\u0301" * 10 + " " + "\u0301\u0323" * 10
    assert composed(text) == unicodedata.normalize("NFC", text)
    assert len(composed("a" + "\u0301\u0323" * 100_000)) > 199_000
    assert visible("\u200b") == ""
