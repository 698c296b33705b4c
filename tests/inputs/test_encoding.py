from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.examples import Example
from birnn.data.read import read
from birnn.errors import ConfigError, DataError
from birnn.inputs import Characters, Surface, Symbols, Vectors, Words
from birnn.inputs.encoding import Codec, spellings
from birnn.inputs.surface import learn_traits, trait_ids
from birnn.inputs.vocabulary import Vocabulary, normalise
from birnn.tasks import Label, Tags, Values
from birnn.training.inputs import learn_vocabularies
from birnn.training.settings import InputSettings

KNOWN = {
    "words": Vocabulary(["a", "b0", "é"]),
    "characters": Vocabulary("abé0"),
    "traits": Vocabulary(["p1=a", "s1=b", "s2=ab", "shape=xx", "shape=X"]),
    "symbols": Vocabulary("ab"),
    "labels": Vocabulary("XY", unknown=False),
}
SURFACE = Surface(size=6, dim=2, prefixes=(1,), suffixes=(1, 2))
TAGS = Tags(size=2)
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
    """What a batch says of each row: word, spelling and traits, without the forms' numbering."""
    inputs = batch.inputs
    spelt = [sequence.tolist() for sequence in inputs.characters]
    return [
        (word, inputs.written[form], spelt[form], inputs.traits[form].tolist())
        for word, form in zip(inputs.words.tolist(), inputs.forms.tolist(), strict=True)
    ]


@given(sets_and_choices())
def test_a_batch_is_its_sequences_one_by_one(drawn):
    examples, choice = drawn
    codec = Codec(WORDS, KNOWN)
    batch = TAGS.encoded(codec, examples).batch(choice)
    alone = [codec.encode([examples[i]]).batch([0]) for i in choice]
    assert batch.lengths.tolist() == [len(examples[i]) for i in choice]
    assert meaning(batch) == [row for one in alone for row in meaning(one)]
    assert batch.targets.tolist() == [
        KNOWN["labels"].id(t) for i in choice for t in examples[i].target
    ]
    # every form once, and none that does not occur
    assert sorted(set(batch.inputs.forms.tolist())) == list(range(len(batch.inputs.written)))
    assert len(set(batch.inputs.written)) == len(batch.inputs.written)


@given(sets_and_choices())
def test_what_the_numbers_say(drawn):
    examples, _ = drawn
    encoded = TAGS.encoded(Codec(WORDS, KNOWN), examples)
    tokens = [token for example in examples for token in example.inputs]
    for token, (word, written, spelt, trait) in zip(tokens, meaning(encoded), strict=True):
        assert written == token
        assert word == KNOWN["words"].id(normalise(token, lowercase=True, digits=True))
        assert spelt == [KNOWN["characters"].id(character) for character in token]
        assert trait == trait_ids([token], (1,), (1, 2), KNOWN["traits"])[0].tolist()
    tags = [tag for example in examples for tag in example.target]
    assert encoded.targets.tolist() == [{"X": 0, "Y": 1, "Z": -1}[tag] for tag in tags]


@given(sets_and_choices())
def test_symbols(drawn):
    examples, choice = drawn
    codec = Codec(Symbols(size=3, dim=2), KNOWN)
    batch = codec.encode([example.inputs for example in examples]).batch(choice)
    symbols = [KNOWN["symbols"].id(s) for i in choice for s in examples[i].inputs]
    assert batch.inputs.symbols.tolist() == symbols
    assert batch.targets is None
    assert len(batch.inputs) == len(symbols)


def test_vectors_and_values():
    series = [np.full((length, 2), length, float) for length in (2, 0, 3)]
    examples = [Example(s, np.array([i, 1], np.float32)) for i, s in enumerate(series)]
    batch = Values(size=2).encoded(Codec(Vectors(size=2), {}), examples).batch([2, 1])
    assert batch.inputs.vectors.dtype == np.float32
    assert batch.inputs.vectors.tolist() == series[2].tolist()
    assert batch.lengths.tolist() == [3, 0]
    assert batch.targets.tolist() == [[2.0, 1.0], [1.0, 1.0]]


def test_labels_stand_on_sequences():
    examples = [Example(("a", "b"), "X"), Example((), "new"), Example(("a",), "Y")]
    codec = Codec(Symbols(size=3, dim=2), KNOWN)
    batch = Label(size=2).encoded(codec, examples).batch([2, 1, 0])
    assert batch.targets.tolist() == [1, -1, 0]
    assert len(batch) == 3


def test_nothing_at_all():
    for inputs in (WORDS, Symbols(size=3, dim=2), Vectors(size=2)):
        batch = Codec(inputs, KNOWN).encode([]).batch([])
        assert len(batch) == len(batch.inputs) == 0
    empty = Codec(WORDS, KNOWN).encode([(), ()]).batch([1, 0])
    assert len(empty.inputs.characters) == 0
    assert empty.inputs.traits.shape == (0, 4)


def test_long_spellings_are_cut_in_the_middle():
    characters = Vocabulary("ab")
    whole, cut = spellings(["a" * 32 + "b" * 32, "a" * 32 + "c" * 999 + "b" * 32], characters)
    assert whole.tolist() == cut.tolist()


def test_any_string_can_be_encoded():
    token = "\ud800\U0001f600"  # a lone surrogate is no UTF-8, but a string
    batch = Codec(WORDS, KNOWN).encode([(token,)]).batch([0])
    assert batch.inputs.words.tolist() == [0]
    assert batch.inputs.characters.lengths.tolist() == [2]


def test_strings_of_numpy_are_strings():
    tokens = list(np.array(["a", "é"]))
    codec = Codec(WORDS, KNOWN)
    assert meaning(codec.encode([tokens])) == meaning(codec.encode([("a", "é")]))


@pytest.mark.parametrize(
    ("inputs", "given_", "says"),
    [
        (WORDS, ["one", "sentence"], "sequence 0 is the string 'one'"),
        (WORDS, [("a",), np.ones((2, 2))], "sequence 1 is a ndarray, the model reads strings"),
        (WORDS, [("a",), ("a", "")], "sequence 1, step 1 is an empty string"),
        (WORDS, [("a", 7)], "sequence 0, step 1 is a int"),
        (WORDS, [("a", ["b"])], "sequence 0, step 1 is a list"),
        (Vectors(size=2), [np.ones((3, 2)), np.ones((3, 4))], "sequence 1 has 4 channels"),
        (Vectors(size=2), [np.ones(2)], "sequence 0 has shape (2,)"),
        (Vectors(size=2), [("a", "b")], "sequence 0 is no array of numbers"),
        (Vectors(size=2), [[[0, 0], [0, np.nan]]], "sequence 0, step 1, channel 1 is nan"),
        (Vectors(size=1), [[[1e39]]], "sequence 0, step 0, channel 0 is inf"),
    ],
)
def test_faults_name_sequence_and_step(inputs, given_, says):
    with pytest.raises(DataError) as caught:
        Codec(inputs, KNOWN).encode(given_)
    assert str(caught.value).startswith(says)


def test_missing_vocabularies():
    with pytest.raises(ConfigError, match="words as inputs need a vocabulary of characters"):
        Codec(WORDS, {"words": KNOWN["words"]})


@pytest.mark.shared
def test_a_treebank_is_encoded_within_seconds(shared_data):
    start = time.process_time()
    examples = list(read(shared_data / "ud-english-lines" / "train.conllu", "tags"))
    known = learn_vocabularies(examples, "words", InputSettings(min_count=1))
    forms = {token for example in examples for token in example.inputs}
    known["traits"] = learn_traits(forms, SURFACE.prefixes, SURFACE.suffixes)
    known["labels"] = Vocabulary(sorted({t for e in examples for t in e.target}), unknown=False)
    encoded = TAGS.encoded(Codec(WORDS, known), examples)
    assert time.process_time() - start < 15  # 0.6 s on an idle core
    assert (len(encoded), len(encoded.inputs)) == (3457, 64684)
    assert (encoded.targets >= 0).all()
