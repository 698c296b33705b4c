"""What every kind of input must do; a new one needs its examples here and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.bundle import Encoder, Spec, card
from birnn.data.examples import Example
from birnn.engine.stack import PreparedRows
from birnn.errors import ConfigError, DataError
from birnn.inputs import KINDS, InputSettings, kind_of
from birnn.models import Dropout
from birnn.models.inputs import INPUTS
from birnn.reference.low_precision import MATRICES
from birnn.reference.products import float_weights
from birnn.tasks import Label
from random_tensors import random_tensors

EXAMPLES = {
    "words": [("The", "bank"), (), ("so", "so", "good")],
    "symbols": [("A", "C"), (), ("C", "C", "G")],
    "vectors": [np.ones((2, 3)), np.zeros((0, 3)), np.arange(9.0).reshape(3, 3)],
}
DENSE = "vectors, dense"  # vectors with a dense layer before the encoder
EXAMPLES[DENSE] = EXAMPLES["vectors"]
OTHERS = {"words": 7, "symbols": ("a", 7), "vectors": np.ones((2, 4))}
OTHERS[DENSE] = OTHERS["vectors"]
SETTINGS = InputSettings(min_count=1, word_dim=3, character_hidden=2, surface_dim=2)


class AsTheyAre:
    """An encoder that reads rows as the inputs give them."""

    engine = "none"

    def prepare(self, rows):
        return PreparedRows(self.engine, rows)


def embedded(codec, tensors, sequences):
    """Input rows, each written out."""
    found = codec.embedding(tensors, AsTheyAre())(sequences)
    return found.values if found.table is None else found.table.values[found.values]


@pytest.fixture(params=EXAMPLES)
def variant(request):
    return request.param


@pytest.fixture
def kind(variant):
    return variant.partition(",")[0]


@pytest.fixture
def learnt(kind, variant):
    dense = {"dense_size": 4, "dense_activation": "gelu"} if variant == DENSE else {}
    settings = SETTINGS.model_copy(update={"kind": kind} | dense)
    return KINDS[kind].learn([Example(s) for s in EXAMPLES[kind]], settings, [])


def split(text, name):
    return tuple(text.split())


def test_the_description_is_read_from_the_examples(kind, learnt):
    examples = [Example(sequence) for sequence in EXAMPLES[kind]]
    assert kind_of(examples, InputSettings()) == kind
    assert {name: len(v) for name, v in learnt.vocabularies.items()} == (
        learnt.inputs.vocabularies()
    )
    shapes = learnt.inputs.tensors()
    assert {name: v.shape for name, v in learnt.initial.items()}.items() <= shapes.items()
    again = Spec(inputs=learnt.inputs, encoder=Encoder(), head=Label(size=2))
    assert Spec.model_validate_json(again.model_dump_json()).inputs == learnt.inputs


def test_both_engines_make_the_same_rows_of_what_was_validated(kind, learnt):
    codec = learnt.inputs.codec(learnt.vocabularies)
    sequences = [codec.validated(given, "x", split) for given in EXAMPLES[kind]]
    encoded = codec.encode(sequences)
    assert encoded.lengths.tolist() == [2, 0, 3]
    module = INPUTS[kind](learnt.inputs, Dropout(), None).eval()
    start = {name: torch.from_numpy(values) for name, values in learnt.initial.items()}
    module.load_state_dict(module.state_dict() | start)
    tensors = {f"inputs.{name}": values.numpy() for name, values in module.state_dict().items()}
    assert {name: values.shape for name, values in tensors.items()} == {
        f"inputs.{name}": shape for name, shape in learnt.inputs.tensors().items()
    }
    with torch.no_grad():
        rows = module.dense(module(encoded.inputs)).numpy()
        one = module.dense(module(encoded.batch([2]).inputs)).numpy()
    assert rows.shape == (5, learnt.inputs.width)
    np.testing.assert_array_equal(one, rows[2:])
    np.testing.assert_allclose(embedded(codec, tensors, sequences), rows, rtol=1e-6, atol=1e-6)
    assert module.dense(module.baseline()).shape == (learnt.inputs.width,)
    assert not codec.unknown(sequences[2]).any()
    assert codec.notices(sequences) == []


# Recurrent and dense layers stay float32 here: they round the rows that they read, tables do not.
@pytest.mark.parametrize("precision", MATRICES)
def test_tables_of_low_precision_are_read_as_the_numbers_they_hold(kind, learnt, precision):
    spec = Spec(inputs=learnt.inputs, encoder=Encoder(), head=Label(size=2))
    tensors = {
        name: MATRICES[precision].of(array)
        if name.endswith(".weight") and "dense" not in name
        else array
        for name, array in random_tensors(spec, np.random.default_rng(3)).items()
    }
    plain = {name: float_weights(tensor) for name, tensor in tensors.items()}
    codec = learnt.inputs.codec(learnt.vocabularies)
    sequences = [codec.validated(given, "x", split) for given in EXAMPLES[kind]]
    found, expected = (embedded(codec, each, sequences) for each in (tensors, plain))
    np.testing.assert_array_equal(found, expected)


def test_a_step_is_a_sequence_of_one(kind, learnt):
    codec = learnt.inputs.codec(learnt.vocabularies)
    steps = [codec.validated_step(step, "step 0") for step in EXAMPLES[kind][2]]
    whole = codec.encode([codec.validated(EXAMPLES[kind][2], "x", split)]).batch([0])
    assert [len(step) for step in steps] == [1, 1, 1]
    assert len(codec.encode(steps).batch([0, 1, 2]).inputs) == len(whole.inputs)


def test_what_is_none_of_it_is_refused_by_name(kind, learnt):
    codec = learnt.inputs.codec(learnt.vocabularies)
    with pytest.raises(DataError, match=r"^sequence 3"):
        codec.validated(OTHERS[kind], "sequence 3", split)
    with pytest.raises(DataError, match=r"^step 3"):
        codec.validated_step(None, "step 3")
    for name in learnt.inputs.vocabularies():
        others = {n: v for n, v in learnt.vocabularies.items() if n != name}
        with pytest.raises(ConfigError, match=f"{kind} as inputs need a vocabulary of {name}"):
            learnt.inputs.codec(others)


def test_it_is_told_in_words(learnt):
    text = card(
        Spec(inputs=learnt.inputs, encoder=Encoder(), head=Label(size=2)), metadata={}, metrics={}
    )
    for part in (learnt.inputs.reads, learnt.inputs.outline(), learnt.inputs.limitation()):
        assert part in text
    stages = learnt.inputs.stages()
    assert sum(part.width for part in stages[-1].parts) == learnt.inputs.width
    prefixes = [prefix for stage in stages for prefix in stage.tensors]
    assert all(name.startswith(tuple(prefixes)) for name in learnt.inputs.tensors())
    namespace = {"np": np}
    given = eval(learnt.inputs.example, namespace)  # the card's own example
    codec = learnt.inputs.codec(learnt.vocabularies)
    assert all(len(codec.validated(sequence, "x", split)) for sequence in given)
