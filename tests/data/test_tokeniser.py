"""The tokeniser, and the choice between it and white space."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import tokenise
from birnn.data.examples import Example
from birnn.data.tokeniser import Splitter, canonical, clean, looks, part
from birnn.inputs import InputSettings, Words
from birnn.inputs.vocabulary import normalise

# What rules of tokenisers meet in: letters, digits, marks, clitics, addresses, joiners.
WORDS = (
    "a I J n't don't 's it's can't cannot gonna l' qu'il ' ’ '' \" . .. ... , ! ?! : ; - -- / & "
    "@x #y http://a.b/c www.a.org a@b.com U.S. Mr. e.g 3 3.14 1,000 12:30 $ % ( ) [ ] :) <3 ^_^ _ "
    "* é e\u0301 我 か か\u3099 हिन्दी \U0001f44d \U0001f44d\U0001f3fd \U0001f469\u200d\U0001f469 "
    "\U0001f1e9\U0001f1ea 1\u20e3 \u2764\ufe0f \u200b \u00ad \u200f \u200d \ufeff in' 'em 'n' "
    "-5 +5 .5 C++ C# w/ w/o AT&T &amp; -LRB- non- well-known \u0131 \u0130"
)
PIECES = st.lists(st.sampled_from([*WORDS.split(), " "]), max_size=8).map("".join)
FLAGS = "\U0001f1e9\U0001f1ea \U0001f1eb\U0001f1f7"


@given(st.text() | PIECES)
def test_tokens_are_the_clean_text_without_its_spaces(text):
    tokens = tokenise(text)
    without = str.maketrans("", "", "\u200c\u200d")  # where they join nothing they are dropped
    assert "".join(tokens).translate(without) == "".join(clean(text).split()).translate(without)
    assert all(tokens)
    assert not any(any(map(str.isspace, token)) for token in tokens)


@given(st.text() | PIECES)
def test_tokenising_tokens_changes_nothing(text):
    once = tokenise(text)
    assert tokenise(" ".join(once)) == once


@given(st.text() | PIECES)
def test_each_way_gives_what_it_says(text):
    assert part(text, "text").tokens == tokenise(text)
    assert part(text, "tokens").tokens == tuple(clean(text).split())
    for split in ("auto", "auto-tokens"):
        found = part(text, split)
        assert found.tokens == part(text, found.way or "text").tokens
        if not found.way:
            assert part(text, "text").tokens == part(text, "tokens").tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ""),
        # clitics, as in the Penn Treebank and in Universal Dependencies
        ("I don't, can't, won't.", "I do n't , ca n't , wo n't ."),
        ("DON'T it’s WE'LL", "DO N'T it ’s WE 'LL"),
        ("parker's parents' I'd've couldn't've", "parker 's parents ' I 'd 've could n't 've"),
        ("cannot gonna 'tis", "can not gon na 't is"),
        ("wo n't it 's", "wo n't it 's"),
        ("o'clock D'Angelo O'Brien y'all c'mon", "o'clock D'Angelo O'Brien y'all c'mon"),
        ("L'homme qu'il aime, aujourd'hui", "L' homme qu' il aime , aujourd'hui"),
        ("nell'anno", "nell' anno"),
        # addresses, names, tags
        ("see https://a.b/c_(d)?e=f, (www.x.org).", "see https://a.b/c_(d)?e=f , ( www.x.org ) ."),
        ("mail a.b+c@d-e.org or example.com/x.", "mail a.b+c@d-e.org or example.com/x ."),
        ("RT @ann_b: #tag1, #Ünder!", "RT @ann_b : #tag1 , #Ünder !"),
        # hyphens, slashes
        (
            "a well-known and/or two-year-old, non- and",
            "a well-known and/or two-year-old , non- and",
        ),
        ("word--word – it", "word -- word – it"),
        # numbers
        ("1,000.50 or 12:30, -5 or 3.5%.", "1,000.50 or 12:30 , -5 or 3.5 % ."),
        ("$5 on 2010-05-12 at 12:30pm in 1999.", "$ 5 on 2010-05-12 at 12:30pm in 1999 ."),
        # abbreviations
        ("U.S. Mr. J. Smith, Ph.D., e.g. at 5 p.m.", "U.S. Mr. J. Smith , Ph.D. , e.g. at 5 p.m."),
        ("So do I. And vitamin C.", "So do I . And vitamin C ."),
        ("The end.Then file.txt.", "The end . Then file.txt ."),
        # quotes, ellipses, brackets
        ("'quoted' \"so\" (what?!) -- no...", "' quoted ' \" so \" ( what ?! ) -- no ..."),
        ("``PTB'' -LRB- x -RRB-", "`` PTB '' -LRB- x -RRB-"),
        ("the '70s rock 'n' roll, nothin' for 'em", "the '70s rock 'n' roll , nothin' for 'em"),
        (":) lol :-( <3 ;D", ":) lol :-( <3 ;D"),
        # other scripts
        ("हिन्दी में है।", "हिन्दी में है ।"),
        ("สวัสดี ครับ", "สวัสดี ครับ"),
        ("السَّلَامُ عليكم؟", "السَّلَامُ عليكم ؟"),
        ("我们 ok。", "我 们 ok 。"),
        # emoji: joined, with tones, flags, keycaps
        (
            "hi\U0001f469\u200d\U0001f469\u200d\U0001f467!\U0001f44d\U0001f3fd\U0001f44d",
            "hi \U0001f469\u200d\U0001f469\u200d\U0001f467 ! \U0001f44d\U0001f3fd \U0001f44d",
        ),
        (
            FLAGS.replace(" ", "") + " 1\ufe0f\u20e32\ufe0f\u20e3 \u2764\ufe0f\u200d\U0001f525",
            FLAGS + " 1\u20e3 2\u20e3 \u2764\u200d\U0001f525",
        ),
        # NFC, and what is not seen
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("co\u00adop \u200b a\u200bb \u200fx\u202c \ufeff \ufe0f", "coop ab x"),
    ],
)
def test_what_a_token_is(text, tokens):
    assert " ".join(tokenise(text)) == tokens


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "." * 200_000,
        "a." * 100_000,
        "a-" * 100_000,
        "(" * 100_000,
        "http://" * 30_000,
        "a@" * 100_000,
        "w..w" * 50_000,
        "a'" * 100_000,
        "\u200d" * 100_000,
        "it's" * 5_000,
        "é.b" * 60_000,
    ],
)
def test_no_text_is_slow(text):
    import time

    started = time.process_time()
    tokenise(text)
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("I know ( well , nearly ) Mr.Smith", "tokens"),
        ("it is n't C++/CLI", "tokens"),
        ("RT @ann : see it", "tokens"),
        ("I know (well, nearly).", "text"),
        ("J'aime l'eau !", "text"),
        ("Oui, c'est ça !", "text"),
        ("I don't know", "text"),
        ("我喜欢。", "text"),
        ("I know her well", ""),
        ("5% up", ""),
        ("", ""),
    ],
)
def test_what_a_text_looks_like(text, way):
    assert looks(text) == way


def test_a_text_that_shows_neither_is_split_as_training_was():
    assert part("up 5%").tokens == part("up 5%", "text").tokens == ("up", "5", "%")
    assert part("up 5%", "auto-tokens").tokens == ("up", "5%")
    assert part("up, 5%", "auto-tokens").tokens == ("up", ",", "5", "%")
    assert not part("up 5%").seen
    assert part("up , 5%") == (("up", ",", "5%"), "tokens", True)


def told(split, *texts):
    found = []
    splitter = Splitter(split, found.append)
    for number, text in enumerate(texts, 1):
        splitter(text, str(number))
    return [(int(line[0]), "white space" in line) for line in found]


def test_a_guess_is_told_once_for_each_way():
    raw, parted, neither = "well, (no)", "well , up 5% .", "up 5%"
    assert told("auto", "plain words", raw, raw) == []
    assert told("auto", raw, parted, parted, raw, parted) == [(2, True), (4, False)]
    assert told("auto", neither, neither) == [(1, False)]
    assert told("auto", "well , (no)") == [(1, False)]
    assert told("auto-tokens", parted, neither, raw, raw) == []
    assert told("auto-tokens", parted, "well , (no)", raw) == [(2, False)]
    assert told("tokens", raw, parted) == told("text", raw, parted) == []


@given(st.text() | PIECES)
def test_a_token_is_the_same_however_it_is_composed(text):
    decomposed, composed = (unicodedata.normalize(form, text) for form in ("NFD", "NFC"))
    assert canonical(decomposed) == canonical(composed)
    assert normalise(decomposed, True, True) == normalise(composed, True, True)
    assert canonical(canonical(text)) == canonical(text)
    assert bool(canonical(text)) == bool(text)


def test_vocabularies_and_rows_know_no_composition():
    one, other = [("caf\u00e9", "\u200b"), ("x",)], [("cafe\u0301\ufeff", "\u200b"), ("x",)]
    settings = InputSettings(min_count=1)
    learnt = [Words.learn([Example(tokens) for tokens in s], settings, []) for s in (one, other)]
    assert learnt[0] == learnt[1]
    assert "caf\u00e9" in learnt[0].vocabularies["words"]
    codec = learnt[0].inputs.codec(learnt[0].vocabularies)
    rows, others = (codec.encode(sequences).inputs for sequences in (one, other))
    assert rows.words.tolist() == others.words.tolist()
    assert rows.characters.values.tolist() == others.characters.values.tolist()
