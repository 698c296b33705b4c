"""Lists of layers as models: what folding keeps, and what is no model."""

from __future__ import annotations

import numpy as np
import pytest

from birnn.errors import ConversionError, ShapeError
from birnn.foreign import assemble
from birnn.foreign.layers import (
    Activation,
    Embedding,
    LinearLayer,
    Masking,
    Normalisation,
    Pool,
    RecurrentLayer,
)
from birnn.ragged import Ragged
from birnn.reference import bidirectional
from birnn.reference.stack import GATES, Stack


def drawn(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape) * 0.5


def recurrent(name, inputs, hidden, cell="gru", both=True, **how):
    rows = GATES[cell] * hidden
    halves = tuple(
        {
            "weight_ih": drawn(rows, inputs, seed=seed),
            "weight_hh": drawn(rows, hidden, seed=seed),
            "bias_ih": drawn(rows, seed=seed),
            "bias_hh": drawn(rows, seed=seed + 9),
        }
        for seed in range(1 + both)
    )
    return RecurrentLayer(name, cell, halves, **how)


def linear_layer(name, inputs, outputs):
    return LinearLayer(name, drawn(outputs, inputs), drawn(outputs))


RNN, OUT = recurrent("rnn", 3, 2), linear_layer("out", 4, 2)


@pytest.mark.parametrize("cell", sorted(GATES))
@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product"])
def test_units_that_fill_a_layer_up_stay_zero_and_change_nothing(cell, merge):
    """Each layer alone by the reference, against one stack of them all."""
    width = {"concat": 10}.get(merge, 5)
    sizes = [(3, 5, True), (width, 2, True), (4 if merge == "concat" else 2, 3, False)]
    layers = [
        recurrent(f"l{n}", inputs, hidden, cell, both, merge=merge)
        for n, (inputs, hidden, both) in enumerate(sizes)
    ]
    rows, lengths = drawn(7, 3), np.array([4, 0, 3])
    expected = rows
    for layer in layers:
        parameters = {
            f"{part}_l0{suffix}": values
            for suffix, half in zip(("", "_reverse"), layer.halves, strict=False)
            for part, values in half.items()
        }
        both = len(layer.halves) == 2
        own = Stack(cell, layer.input_size, layer.hidden_size, bidirectional=both, merge=merge)
        run = bidirectional.run(Ragged(expected, lengths), parameters, own)
        expected = run.output.values
    found = assemble([*layers, linear_layer("out", 3, 2)])
    assert "filled up to 5 units" in found.notices[0]
    stack = found.spec.stack
    parameters = {n: found.tensors[f"encoder.{n}"].astype(np.float64) for n in stack.shapes()}
    output = bidirectional.run(Ragged(rows, lengths), parameters, stack).output.values
    np.testing.assert_allclose(output[:, :3], expected, atol=1e-6)
    np.testing.assert_array_equal(output[:, 3:], 0)


LISTS = {
    "nothing": ([], ConversionError, "has no recurrent layer"),
    "no scores": ([RNN], ConversionError, "rnn: the model ends with it"),
    "an activation at the end": (
        [RNN, OUT, Activation("act", "relu")],
        ConversionError,
        "act: the model ends with it",
    ),
    "widths above": (
        [RNN, linear_layer("out", 5, 2)],
        ShapeError,
        "out reads rows of 5 values, and rnn below it gives 4",
    ),
    "widths below": ([linear_layer("in", 3, 4), RNN, OUT], ShapeError, "and in before it gives 4"),
    "widths of hidden layers": (
        [RNN, linear_layer("a", 4, 5), Activation("act", "relu"), linear_layer("b", 6, 2)],
        ShapeError,
        "b reads rows of 6 values, and a below it gives 5",
    ),
    "widths of an embedding": (
        [Embedding("table", drawn(5, 4)), linear_layer("in", 3, 3), RNN, OUT],
        ShapeError,
        "in reads rows of 3 values, and table below it gives 4",
    ),
    "widths of normalisation": (
        [RNN, Normalisation("norm", *[np.ones(5)] * 4), OUT],
        ShapeError,
        "out reads rows of 4 values, and norm below it gives 5",
    ),
    "widths of layers": (
        [RNN, recurrent("top", 5, 2), OUT],
        ShapeError,
        "top reads rows of 5 values, what stands below it gives 4",
    ),
    "two maskings": (
        [Masking("a", 0.0), Masking("b", 0.0), RNN, OUT],
        ConversionError,
        "b: birnn has no counterpart of masking",
    ),
    "two poolings": (
        [RNN, Pool("a", ("max",)), Pool("b", ("max",)), OUT],
        ConversionError,
        "b: birnn has no counterpart of pool after",
    ),
    "pooled twice": (
        [recurrent("rnn", 3, 2, final=True), Pool("a", ("max",)), OUT],
        ConversionError,
        "a: it pools what is one row for a sequence already",
    ),
    "final states below": (
        [recurrent("rnn", 3, 2, final=True), recurrent("top", 4, 2), OUT],
        ConversionError,
        "rnn: it gives its final states to a recurrent layer",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_what_is_no_model_is_named(name):
    layers, error, message = LISTS[name]
    with pytest.raises(error, match=message):
        assemble(layers)


def test_a_regressor_answers_once():
    with pytest.raises(ConversionError, match="a regressor answers once for a sequence"):
        assemble([RNN, OUT], task="regressor")
    found = assemble([RNN, Pool("pool", ("max",)), OUT], task="regressor")
    assert found.spec.head.kind == "values"
    np.testing.assert_array_equal(found.tensors["head.scale"], 1)


def test_scores_of_labels_on_their_own_are_those_of_a_multilabel_model():
    pooled = [RNN, Pool("pool", ("max",))]
    one = linear_layer("out", 4, 1)
    for layers, task, kind in (
        ([*pooled, OUT], "multilabel", "labels"),
        ([*pooled, OUT, Activation("end", "sigmoid")], None, "labels"),
        ([*pooled, one, Activation("end", "sigmoid")], "multilabel", "labels"),
        ([*pooled, one, Activation("end", "sigmoid")], None, "label"),
    ):
        assert assemble(layers, task=task).spec.head.kind == kind
    with pytest.raises(ConversionError, match="a softmax stands after it"):
        assemble([*pooled, OUT, Activation("end", "softmax")], task="multilabel")
