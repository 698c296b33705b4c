from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.alphabet import Alphabet
from birnn.inputs import Symbols, Vocabulary


@given(st.text("MKV \t\n"))
def test_white_space_is_no_symbol(text):
    assert Alphabet("MKV").split(text) == tuple(c for c in text if c in "MKV")


@given(st.text("MKV \t"))
def test_white_space_is_a_symbol_where_the_model_knows_it(text):
    assert Alphabet("MKV ").split(text) == tuple(text.replace("\t", ""))


def test_longer_symbols_are_parted_by_white_space():
    assert Alphabet(["<unk>", "K", "AE1", "T"]).split(" K AE1  T") == ("K", "AE1", "T")


@pytest.mark.parametrize(
    ("known", "given_", "looked_up"),
    [
        ("ACGT", "acgtN", "ACGTN"),
        ("ACGT", "nx", "nx"),
        ("ACGTacgt", "acgt", "acgt"),
        ("ACGTn", "acgtn", "acgtn"),
        ("acgt", "ACGT", "ACGT"),
        ("HEC-", "h-c", "H-C"),
    ],
)
def test_lower_case_is_read_as_capitals_where_the_model_knows_capitals_alone(
    known, given_, looked_up
):
    alphabet = Alphabet(["<unk>", *known])
    assert "".join(alphabet.capitals(given_)) == looked_up
    assert alphabet.lower(given_) == (looked_up != given_)
    vocabulary = Vocabulary(known)
    codec = Symbols(size=len(vocabulary), dim=2).codec({"symbols": vocabulary})
    rows = codec.encode([tuple(given_)]).inputs.symbols
    assert rows.tolist() == [vocabulary.id(symbol) for symbol in looked_up]
