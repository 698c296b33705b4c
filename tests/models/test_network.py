"""Whole models: agreement with the runtime, losses, what runs once, what bad batches get."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.data import Example
from birnn.errors import DataError
from birnn.models import Dropout, build
from birnn.ragged import Ragged
from birnn.runtime import Predictor
from birnn.runtime.search import GREEDY

LENGTHS = [4, 0, 1, 7, 0, 3]
TARGETS = ("x", "yy", "z", "w")


def targets_of(spec, lengths, labels, seed=0):
    """Targets of the kind that the head learns."""
    random = np.random.default_rng(seed)
    if spec.head.kind == "values":
        return list(random.standard_normal((len(lengths), spec.head.size)).astype(np.float32))
    if spec.head.kind == "label":
        return [str(label) for label in random.choice(labels, size=len(lengths))]
    if spec.head.kind == "sequence":
        return [tuple(map(str, random.choice(TARGETS, size=random.integers(5)))) for _ in lengths]
    return [tuple(str(label) for label in random.choice(labels, size=t)) for t in lengths]


@pytest.fixture
def labelled(codec, draw, labels):
    """``labelled(spec, lengths)``: a batch with targets."""

    def batch(spec, lengths, seed=0):
        pairs = zip(draw(spec, lengths, seed), targets_of(spec, lengths, labels, seed), strict=True)
        examples = [Example(inputs, target) for inputs, target in pairs]
        encoded = spec.head.encoded(codec(spec), examples)
        return encoded.batch(np.arange(len(lengths)))

    return batch


def test_the_runtime_answers_as_the_model_does(describe, make, codec, draw, bundled, inputs, head):
    spec = describe(inputs, head, num_layers=2, merge="project", residual=True)
    network = make(spec).eval()
    sequences = draw(spec, LENGTHS)
    batch = codec(spec).encode(sequences).batch(np.arange(len(LENGTHS)))
    predictor = Predictor(bundled(network))
    if spec.head.kind == "sequence":
        found = predictor.predict(sequences, search=GREEDY)
        assert any(found)
    else:
        found = predictor.predict(sequences)
    answers = network.answered(batch, predictor.labels).answers
    if spec.head.kind == "values":
        np.testing.assert_allclose(np.array(found), answers, rtol=1e-5, atol=1e-5)
        return
    assert found == answers
    if spec.head.kind == "sequence":
        return
    probabilities = predictor.predict_proba(sequences)
    with torch.no_grad():
        answer = network(batch)
        if getattr(network.head, "crf", None) is not None:
            expected = network.head.crf.marginals(answer.rows.with_values(answer.scores))
        else:
            expected = answer.scores.softmax(dim=1)
    rows = np.concatenate(probabilities) if spec.head.kind == "tags" else probabilities
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("inputs", ["words+characters+surface"])
@pytest.mark.parametrize("head", ["tags", "label-last+max+mean"])
def test_batching_changes_nothing(describe, make, codec, draw, inputs, head):
    spec = describe(inputs, head)
    network = make(spec).eval()
    encoded = codec(spec).encode(draw(spec, LENGTHS))
    whole = network(encoded.batch(range(len(LENGTHS)))).scores
    alone = [network(encoded.batch([i])).scores for i in range(len(LENGTHS))]
    torch.testing.assert_close(torch.cat(alone), whole, rtol=1e-5, atol=1e-6)


def test_the_character_network_runs_once_for_each_distinct_word(describe, make, codec):
    spec = describe("words+characters", "tags")
    network = make(spec)
    seen = []
    network.inputs.characters.encoder.register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0])
    )
    sequences = [("the", "bank", "the"), (), ("bank", "bank"), ("river",)]
    encoded = codec(spec).encode(sequences)
    network(encoded.batch([0, 1, 2]))
    network(encoded.batch([3, 3, 3]))
    assert [batch.lengths.tolist() for batch in seen] == [[3, 4], [5]]
    assert [batch.values.shape[0] for batch in seen] == [7, 5]


def test_a_words_vector_is_the_same_wherever_it_stands(describe, make, codec):
    spec = describe("words+characters+surface", "tags")
    network = make(spec).eval()
    rows = network.inputs(
        codec(spec).encode([("the", "Tvk", "the"), ("Tvk",)]).batch([0, 1]).inputs
    )
    assert torch.equal(rows[0], rows[2])
    assert torch.equal(rows[1], rows[3])
    assert not torch.equal(rows[0], rows[1])


def test_spelling_tells_unknown_words_apart(describe, make, codec):
    spec = describe("words+characters", "tags")
    network = make(spec).eval()
    batch = codec(spec).encode([("baker", "kraken")]).batch([0])
    rows = network.inputs(batch.inputs)
    assert batch.inputs.words.tolist() == [0, 0]
    assert torch.equal(rows[0, :3], rows[1, :3])
    assert not torch.equal(rows[0, 3:], rows[1, 3:])


# ---------------------------------------------------------------------- losses


def test_gradients_reach_every_parameter(describe, make, labelled, inputs, head):
    spec = describe(inputs, head, num_layers=2)
    network = make(spec)
    network.loss(labelled(spec, LENGTHS)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or "attention.bias" in name, name


@pytest.mark.parametrize("lengths", [[0], [0, 0, 0]])
def test_the_loss_of_sequences_of_length_0_is_finite(
    describe, make, labelled, inputs, head, lengths
):
    spec = describe(inputs, head)
    network = make(spec)
    loss = network.loss(labelled(spec, lengths))
    if spec.head.kind == "tags":
        assert float(loss.detach()) == 0.0
    loss.backward()
    assert loss.isfinite()
    for parameter in network.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_the_loss_of_labels_is_their_mean_negative_log_likelihood(describe, make, labelled):
    spec = describe("symbols", "label-mean")
    network = make(spec)
    batch = labelled(spec, LENGTHS)
    scores = network(batch).scores.detach().double().numpy()
    each = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(LENGTHS)), batch.targets]
    np.testing.assert_allclose(network.loss(batch).item(), each.mean(), rtol=1e-5)


def test_the_loss_of_tags_is_a_mean_over_steps(describe, make, labelled):
    for head in ("tags", "crf"):
        spec = describe("symbols", head)
        network = make(spec)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        # A model that knows nothing pays log(labels) for each step, by either decoder.
        np.testing.assert_allclose(
            network.loss(labelled(spec, LENGTHS)).item(), np.log(5), rtol=1e-6
        )


def test_class_weights_weigh_the_mean(describe, make, labelled):
    spec = describe("symbols", "tags")
    weights = np.array([1.0, 2.0, 0.5, 4.0, 0.0])
    network = make(spec, class_weights=weights)
    batch = labelled(spec, LENGTHS)
    scores = network(batch).scores.detach().double().numpy()
    each = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(15), batch.targets]
    weight = weights[batch.targets]
    expected = (weight * each).sum() / weight.sum()
    np.testing.assert_allclose(network.loss(batch).item(), expected, rtol=1e-5)


def test_label_smoothing_spreads_the_target(describe, make, labelled):
    spec = describe("symbols", "label-max")
    network = make(spec, label_smoothing=0.2)
    batch = labelled(spec, LENGTHS)
    scores = network(batch).scores.detach().double().numpy()
    log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    target = np.full_like(log_p, 0.2 / 5)
    target[np.arange(len(LENGTHS)), batch.targets] += 0.8
    expected = -(target * log_p).sum(axis=1).mean()
    np.testing.assert_allclose(network.loss(batch).item(), expected, rtol=1e-5)


def test_values_are_learnt_in_standard_units_and_answered_in_their_own(describe, make, labelled):
    spec = describe("vectors", "values-max")
    network = make(spec)
    mean, scale = np.array([100.0, -3.0], np.float32), np.array([50.0, 0.1], np.float32)
    network.load_tensors(network.tensors() | {"head.mean": mean, "head.scale": scale})
    batch = labelled(spec, LENGTHS)
    raw = network(batch).scores.detach().numpy()
    np.testing.assert_allclose(network.answered(batch, ()).answers, raw * scale + mean, rtol=1e-5)
    expected = (((batch.targets - mean) / scale - raw) ** 2).mean()
    np.testing.assert_allclose(network.loss(batch).item(), expected, rtol=1e-5)


def test_vectors_are_standardised(describe, make, codec):
    spec = describe("vectors", "tags")
    network = make(spec).eval()
    x = np.random.default_rng(1).normal([5, 0, -2], [3, 1, 9], (50, 3)).astype(np.float32)
    network.load_tensors(
        network.tensors() | {"inputs.mean": x.mean(axis=0), "inputs.scale": x.std(axis=0)}
    )
    rows = network.inputs(codec(spec).encode([x]).batch([0]).inputs)
    torch.testing.assert_close(rows.mean(dim=0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows.std(dim=0, correction=0), torch.ones(3), rtol=0, atol=1e-5)


def test_noise_reaches_vectors_in_training_alone(describe, make, codec, draw):
    for inputs, noisy in (("vectors", True), ("symbols", False)):
        spec = describe(inputs, "tags")
        network = make(spec, dropout=Dropout(noise=0.5, shift=0.5))
        batch = codec(spec).encode(draw(spec, [5, 4])).batch([0, 1])
        scores = network.train()(batch).scores
        assert torch.equal(scores, network(batch).scores) != noisy
        network.eval()
        assert torch.equal(network(batch).scores, network(batch).scores)


def test_unknown_features_add_nothing_and_are_never_learnt(describe, codec, labels):
    spec = describe("words+characters+surface", "tags")
    network = build(spec, labels=labels, dropout=Dropout(traits=0.3))
    table = network.inputs.surface
    assert (table.weight[1:] != 0).any()
    batch = codec(spec).encode([(("zq", "the"))]).batch([0])
    assert batch.inputs.features[0].tolist()[:-1] == [0] * (spec.inputs.surface.features - 1)
    unknown = torch.zeros(1, spec.inputs.surface.features, dtype=torch.int64)
    assert torch.equal(table.eval()(unknown), torch.zeros(1, 2))
    network.train()(batch).scores.pow(2).sum().backward()
    assert not table.weight.grad[0].any()
    assert table.weight.grad.any()


def test_the_head_reads_the_rows_after_dropout(describe, make, codec, draw):
    spec = describe("symbols", "tags")
    network = make(spec, dropout=Dropout(output=0.5))
    batch = codec(spec).encode(draw(spec, [5, 4])).batch([0, 1])
    rows = network(batch).rows
    assert isinstance(rows, Ragged)
    assert rows.values.shape == (9, 6)
    assert (rows.values == 0).any()
    assert not (network.eval()(batch).rows.values == 0).any()


@pytest.mark.parametrize("head", ["tags", "label-max"])
def test_a_label_that_the_model_never_saw_cannot_be_learnt(describe, make, codec, head):
    spec = describe("symbols", head)
    target = ("O", "NEW") if head == "tags" else "NEW"
    batch = spec.head.encoded(codec(spec), [Example(("A", "C"), target)]).batch([0])
    with pytest.raises(DataError, match="needs known labels"):
        make(spec).loss(batch)


def test_a_loss_needs_targets(describe, make, codec, draw):
    spec = describe("symbols", "tags")
    with pytest.raises(DataError, match="a loss needs targets"):
        make(spec).loss(codec(spec).encode(draw(spec, [2])).batch([0]))
