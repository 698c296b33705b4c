from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.examples import Example
from birnn.data.words import canonical
from birnn.inputs.vocabularies import Vocabularies
from birnn.inputs.vocabulary import Vocabulary, normalise

WORDS = st.text(min_size=1, max_size=5)
EXAMPLES = st.lists(
    st.lists(st.tuples(WORDS, st.sampled_from("XYZ")), max_size=5).map(
        lambda rows: Example(tuple(w for w, _ in rows), tuple(t for _, t in rows))
    ),
    max_size=5,
)


@given(EXAMPLES)
def test_everything_in_training_is_known(examples):
    known = Vocabularies.learn(examples, "words")
    words = [word for example in examples for word in example.inputs]
    assert {normalise(word, True, True) for word in words} <= set(known.words.items)
    assert set("".join(map(canonical, words))) <= set(known.characters.items)
    tags = [tag for example in examples for tag in example.target]
    assert (known.labels is None) == (not tags)
    assert set(tags) == set(known.labels.items if known.labels else ())
    assert known.words.counts.sum() == len(words)


@given(EXAMPLES)
def test_what_is_stored_is_what_is_restored(examples):
    for kind in ("words", "symbols", "vectors"):
        known = replace(Vocabularies.learn(examples, kind), traits=Vocabulary(["p1=a", "s1=b"]))
        stored = json.loads(json.dumps(known.to_dict()))
        assert Vocabularies.from_dict(stored) == known


def test_labels_of_sequences_and_values_that_are_none():
    labelled = [Example(("a",), "x"), Example(("a",), "y"), Example((), "y")]
    assert Vocabularies.learn(labelled, "symbols").labels.items == ("y", "x")
    valued = [Example(np.ones((2, 1), np.float32), np.ones(1, np.float32))]
    assert Vocabularies.learn(valued, "vectors") == Vocabularies()
