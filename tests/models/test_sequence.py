"""The head of target sequences against the reference, symbol by symbol."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from birnn.data import Example
from birnn.errors import DataError
from birnn.models import Dropout, build
from birnn.ragged import Ragged
from birnn.reference import bidirectional, bridge, decoder
from birnn.tasks.decoder_settings import Seq2SeqSettings

HEADS = ("sequence", "sequence-fed")
TARGETS = [("x", "yy"), (), ("z",), ("w", "w", "x", "yy"), ("x",)]
SOURCES = [("A", "C"), ("G",), (), ("A", "?", "C", "G", "A"), ()]


@pytest.fixture(params=HEADS)
def head(request):
    return request.param


@pytest.fixture
def batch(codec):
    """``batch(spec)``: ragged on both sides, and empty on either."""

    def of(spec):
        examples = [Example(*pair) for pair in zip(SOURCES, TARGETS, strict=True)]
        return spec.head.encoded(codec(spec), examples).batch(range(len(examples)))

    return of


def below(tensors, prefix):
    parts = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    return {name: tensor.astype(np.float64) for name, tensor in parts.items()}


def reference_loss(network, batch, smoothing=0.0):
    """Mean of -log softmax, by the reference alone."""
    spec, tensors = network.spec, network.tensors()
    rows = tensors["inputs.symbols.weight"].astype(np.float64)[batch.inputs.symbols]
    encoded = bidirectional.run(Ragged(rows, batch.lengths), below(tensors, "encoder."), spec.stack)
    passing = spec.head.bridge_spec(spec.stack)
    layers = bridge.linear_layers(below(tensors, "head.bridge."))
    initial = bridge.initial_state(passing, layers, encoded.state)
    targets = Ragged(batch.targets, batch.target_lengths)
    symbols, answers = decoder.inputs_of(targets), decoder.answers_of(targets).values
    parts = below(tensors, "head."), spec.head.decoder_spec(spec.stack)
    logits = decoder.run(symbols, encoded.output, initial, *parts).logits.values
    logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    right = logs[np.arange(len(answers)), answers]
    return -np.mean((1 - smoothing) * right + smoothing * logs.mean(axis=1))


def test_the_loss_is_that_of_the_reference(describe, make, batch, head):
    spec = describe("symbols", head, num_layers=2)
    network, given = make(spec), batch(spec)
    expected = reference_loss(network, given)
    np.testing.assert_allclose(network.loss(given).item(), expected, rtol=1e-5)
    smooth = make(spec, label_smoothing=0.2)
    expected = reference_loss(smooth, given, 0.2)
    np.testing.assert_allclose(smooth.loss(given).item(), expected, rtol=1e-5)


def test_a_pair_alone_has_the_scores_that_it_has_in_a_batch(describe, make, batch, codec, head):
    spec = describe("symbols", head)
    network = make(spec).eval()
    whole = network(batch(spec)).scores
    examples = [Example(*pair) for pair in zip(SOURCES, TARGETS, strict=True)]
    encoded = spec.head.encoded(codec(spec), examples)
    alone = [network(encoded.batch([i])).scores for i in range(len(examples))]
    torch.testing.assert_close(torch.cat(alone), whole, rtol=1e-5, atol=1e-6)


def test_sampling_grows_with_the_training_and_ends_with_it(describe, make, batch, head):
    spec = describe("symbols", head)
    network = make(spec, head_settings=Seq2SeqSettings(scheduled_sampling=1.0))
    given, plain = batch(spec), make(spec).loss(batch(spec)).item()
    assert network.loss(given).item() == pytest.approx(plain, rel=1e-6)
    network.advance(1.0)
    # With a probability of 1 every symbol but the first is the model's own, whatever is drawn.
    torch.manual_seed(1)
    sampled = network.loss(given).item()
    assert sampled != pytest.approx(plain, rel=1e-3)
    torch.manual_seed(2)
    assert network.loss(given).item() == pytest.approx(sampled, rel=1e-6)
    network.eval()
    assert network.loss(given).item() == pytest.approx(plain, rel=1e-6)


def test_every_dropout_reaches_its_place(describe):
    rates = Dropout(layers=0.1, targets=0.2, decoder=0.3, output=0.4)
    network = build(describe("symbols", "sequence-fed"), dropout=rates)
    decoding = network.head
    assert decoding.embedding_dropout.rate == 0.2
    assert (decoding.dropout.rate, decoding.output_dropout.rate) == (0.1, 0.3)
    assert network.output_dropout.rate == 0.4


def test_the_module_has_the_settings_of_its_description(describe, head):
    spec = describe("symbols", head)
    network = build(spec)
    own, described = asdict(network.head.spec), spec.head.model_dump()
    shared = own.keys() & described.keys() - {"attention_size"}
    assert {name: own[name] for name in shared} == {name: described[name] for name in shared}
    assert len(shared) == 8


def test_a_symbol_that_the_model_never_saw_is_no_answer_to_learn(describe, make, codec):
    spec = describe("symbols", "sequence")
    example = Example(("A",), ("x", "new"))
    given = spec.head.encoded(codec(spec), [example]).batch([0])
    assert given.targets.tolist() == [1, -1]
    with pytest.raises(DataError, match="needs known labels"):
        make(spec).loss(given)
