from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.examples import Example
from birnn.data.read import read
from birnn.errors import ConfigError, DataError
from birnn.inputs import Characters, InputSettings, Surface, Symbols, Vectors, Words, kind_of
from birnn.inputs.forms import feature_ids, spellings
from birnn.inputs.vocabulary import Vocabulary, normalise

KNOWN = {
    "words": Vocabulary(["a", "b0", "é"]),
    "characters": Vocabulary("abé0"),
    "traits": Vocabulary(["p1=a", "s1=b", "s2=ab", "shape=xx", "shape=X"]),
    "symbols": Vocabulary("ab"),
    "labels": Vocabulary("XY", unknown=False),
}
SURFACE = Surface(size=6, dim=2, prefixes=(1,), suffixes=(1, 2))
WORDS = Words(size=4, dim=3, characters=Characters(size=5, dim=2, hidden_size=2), surface=SURFACE)

TOKENS = st.text("aAbB01éz", min_size=1, max_size=4)
SETS = st.lists(
    st.lists(st.tuples(TOKENS, st.sampled_from("XYZ")), max_size=5), min_size=1, max_size=6
)


@st.composite
def sets_and_choices(draw):
    """Examples with tags, and numbers of some of them."""
    rows = draw(SETS)
    examples = [Example(tuple(w for w, _ in r), tuple(t for _, t in r)) for r in rows]
    return examples, draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))


def meaning(batch):
    """What a batch says of each row: word, spelling and features, without the forms' numbering."""
    inputs = batch.inputs
    spelt = [sequence.tolist() for sequence in inputs.characters]
    return [
        (word, inputs.written[form], spelt[form], inputs.features[form].tolist())
        for word, form in zip(inputs.words.tolist(), inputs.forms.tolist(), strict=True)
    ]


@given(sets_and_choices())
def test_a_batch_is_its_sequences_one_by_one(drawn):
    examples, choice = drawn
    codec = WORDS.codec(KNOWN)
    batch = codec.encode(examples).batch(choice)
    alone = [codec.encode([examples[i]]).batch([0]) for i in choice]
    assert batch.lengths.tolist() == [len(examples[i]) for i in choice]
    assert meaning(batch) == [row for one in alone for row in meaning(one)]
    # every form once, and none that does not occur
    assert sorted(set(batch.inputs.forms.tolist())) == list(range(len(batch.inputs.written)))
    assert len(set(batch.inputs.written)) == len(batch.inputs.written)


@given(sets_and_choices())
def test_what_the_numbers_say(drawn):
    examples, _ = drawn
    encoded = WORDS.codec(KNOWN).encode(examples)
    tokens = [token for example in examples for token in example.inputs]
    for token, (word, written, spelt, feature) in zip(tokens, meaning(encoded), strict=True):
        assert written == token
        assert word == KNOWN["words"].id(normalise(token, lowercase=True, digits=True))
        assert spelt == [KNOWN["characters"].id(character) for character in token]
        assert feature == feature_ids([token], (1,), (1, 2), KNOWN["traits"])[0].tolist()


@given(sets_and_choices())
def test_symbols(drawn):
    examples, choice = drawn
    codec = Symbols(size=3, dim=2).codec(KNOWN)
    batch = codec.encode([example.inputs for example in examples]).batch(choice)
    symbols = [KNOWN["symbols"].id(s) for i in choice for s in examples[i].inputs]
    assert batch.inputs.symbols.tolist() == symbols
    assert batch.targets is None
    assert len(batch.inputs) == len(symbols)


def test_vectors():
    series = [np.full((length, 2), length, float) for length in (2, 0, 3)]
    batch = Vectors(size=2).codec({}).encode(series).batch([2, 1])
    assert batch.inputs.vectors.dtype == np.float32
    assert batch.inputs.vectors.tolist() == series[2].tolist()
    assert batch.lengths.tolist() == [3, 0]


def test_targets_stand_on_steps_or_on_sequences():
    encoded = Symbols(size=3, dim=2).codec(KNOWN).encode([("a", "b"), (), ("a",)])
    tags = encoded.with_targets(np.array([5, 6, 7]), per_step=True).batch([2, 1, 0])
    assert tags.targets.tolist() == [7, 5, 6]
    labels = encoded.with_targets(np.array([5, 6, 7]), per_step=False).batch([2, 1, 0])
    assert labels.targets.tolist() == [7, 6, 5]
    assert len(labels) == 3


def test_nothing_at_all():
    for inputs in (WORDS, Symbols(size=3, dim=2), Vectors(size=2)):
        batch = inputs.codec(KNOWN).encode([]).batch([])
        assert len(batch) == len(batch.inputs) == 0
    empty = WORDS.codec(KNOWN).encode([(), ()]).batch([1, 0])
    assert len(empty.inputs.characters) == 0
    assert empty.inputs.features.shape == (0, 4)


def test_long_spellings_are_cut_in_the_middle():
    characters = Vocabulary("ab")
    whole, cut = spellings(["a" * 32 + "b" * 32, "a" * 32 + "c" * 999 + "b" * 32], characters)
    assert whole.tolist() == cut.tolist()


def test_any_string_can_be_encoded():
    token = "\ud800\U0001f600"  # a lone surrogate is no UTF-8, but a string
    batch = WORDS.codec(KNOWN).encode([(token,)]).batch([0])
    assert batch.inputs.words.tolist() == [0]
    assert batch.inputs.characters.lengths.tolist() == [2]


def test_strings_of_numpy_are_strings():
    tokens = WORDS.codec(KNOWN).validated(list(np.array(["a", "é"])), "x", tokenised)
    assert (tokens, {*map(type, tokens)}) == (["a", "é"], {str})


def tokenised(text, name):
    return tuple(text.split())


@pytest.mark.parametrize(
    ("inputs", "given_", "says"),
    [
        (WORDS, {"one"}, "sequence 3 is set {'one'}, not a list of tokens"),
        (WORDS, 7, "sequence 3 is int 7, not a list of tokens"),
        (WORDS, np.ones((2, 2)), "sequence 3, step 0: ndarray array([1., 1.]) is no token"),
        (WORDS, ("a", ""), "sequence 3, step 1: str '' is no token"),
        (WORDS, ("a", 7), "sequence 3, step 1: int 7 is no token"),
        (WORDS, ("a", ["b"]), "sequence 3, step 1: list ['b'] is no token, and the model reads"),
        (Symbols(size=3, dim=2), ["ab"], "sequence 3 is list ['ab']: one symbol"),
        (Vectors(size=2), np.ones((3, 4)), "sequence 3 has shape (3, 4), the model reads (steps"),
        (Vectors(size=2), np.ones(2), "sequence 3 has shape (2,)"),
        (Vectors(size=2), ("a", "b"), "sequence 3 is tuple ('a', 'b'), not an array of numbers"),
        (Vectors(size=2), [[0, 0], [0, np.nan]], "sequence 3, step 1, channel 1 is nan."),
        (Vectors(size=1), [[1e39]], "sequence 3, step 0, channel 0 is 1e+39, which float32 cannot"),
    ],
)
def test_faults_name_sequence_and_step(inputs, given_, says):
    with pytest.raises(DataError) as caught:
        inputs.codec(KNOWN).validated(given_, "sequence 3", tokenised)
    assert str(caught.value).startswith(says)


def test_what_stands_for_a_sequence():
    assert WORDS.codec(KNOWN).validated("a b", "x", tokenised) == ("a", "b")
    assert Symbols(size=3, dim=2).codec(KNOWN).validated("ab", "x", tokenised) == ("a", "b")
    assert Vectors(size=2).codec({}).validated([], "x", tokenised).shape == (0, 2)
    values = Vectors(size=2).codec({}).validated([[1, 2]], "x", tokenised)
    assert (values.tolist(), values.dtype) == ([[1.0, 2.0]], np.float64)


def test_missing_vocabularies():
    with pytest.raises(ConfigError, match="words as inputs need a vocabulary of characters"):
        WORDS.codec({"words": KNOWN["words"]})


@given(SETS)
def test_everything_in_training_is_known(rows):
    examples = [Example(tuple(word for word, _ in row)) for row in rows]
    settings = InputSettings(min_count=1)
    learnt = Words.learn(examples, settings, [])
    words = [word for example in examples for word in example.inputs]
    known = learnt.vocabularies
    assert {normalise(word, True, True) for word in words} <= set(known["words"].items)
    assert set("".join(words)) <= set(known["characters"].items)
    assert known["words"].counts.sum() == len(words)
    assert {name: len(v) for name, v in known.items()} == learnt.inputs.vocabularies()
    symbols = Symbols.learn(examples, settings, [])
    assert set(words) <= set(symbols.vocabularies["symbols"].items)
    assert not symbols.inputs.codec(symbols.vocabularies).unknown(words).any()


def test_the_kind_is_what_the_examples_show():
    auto, words = InputSettings(), InputSettings(kind="words")
    assert kind_of([Example(("a", "b"))], auto) == "symbols"
    assert kind_of([Example(("a", "bc"))], auto) == "words"
    assert kind_of([Example(("a", "b"))], words) == "words"
    assert kind_of([Example(np.ones((2, 1)))], auto) == "vectors"
    with pytest.raises(
        ConfigError, match=r"inputs\.kind is words, the training data holds vectors"
    ):
        kind_of([Example(np.ones((2, 1)))], words)


@pytest.mark.shared
def test_a_treebank_is_encoded_within_seconds(shared_data):
    start = time.process_time()
    examples = list(read(shared_data / "ud-english-lines" / "train.conllu", "tags"))
    learnt = Words.learn(examples, InputSettings(), [])
    encoded = learnt.inputs.codec(learnt.vocabularies).encode(examples)
    assert time.process_time() - start < 15  # 0.6 s on an idle core
    assert (len(encoded), len(encoded.inputs)) == (3457, 64684)


SYMBOLS = st.text("ab", max_size=4)


@given(
    st.lists(st.tuples(SYMBOLS, SYMBOLS), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=6),
)
def test_a_batch_has_the_whole_target_sequences_of_its_sources(pairs, choice):
    choice = [number % len(pairs) for number in choice]
    lengths = np.array([len(target) for _, target in pairs])
    ids = np.array([ord(symbol) for _, target in pairs for symbol in target], np.int64)
    codec = Symbols(size=3, dim=2).codec(KNOWN)
    encoded = codec.encode([tuple(source) for source, _ in pairs])
    encoded = encoded.with_targets(ids, per_step=False, target_lengths=lengths)
    batch = encoded.batch(choice)
    chosen = [pairs[number] for number in choice]
    assert batch.targets.tolist() == [ord(symbol) for _, target in chosen for symbol in target]
    assert batch.target_lengths.tolist() == [len(target) for _, target in chosen]
    # A target has an end beside its symbols.
    assert encoded.sizes.tolist() == [len(source) + len(target) + 1 for source, target in pairs]
    assert batch.rows == sum(encoded.sizes[choice])
    assert batch.answers == sum(len(target) + 1 for _, target in chosen)
