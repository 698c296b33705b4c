"""What `build` makes of a description: tensors, constraints, and what it refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from birnn.data import transitions
from birnn.errors import ConfigError
from birnn.models import Dropout, build
from birnn.reference import MERGE_WIDTH


@pytest.mark.parametrize(
    ("merge", "layers", "bidirectional", "residual"),
    [(merge, 2, True, True) for merge in sorted(MERGE_WIDTH)] + [("concat", 1, False, False)],
)
def test_state_dict_is_what_the_description_says(
    describe, labels, inputs, head, merge, layers, bidirectional, residual
):
    spec = describe(
        inputs,
        head,
        cell="gru",
        merge=merge,
        num_layers=layers,
        bidirectional=bidirectional,
        residual=residual,
    )
    network = build(spec, labels=labels)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes == spec.tensors()
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_settings_of_training_are_no_tensors(describe, labels):
    spec = describe("words", "label-max")
    network = build(
        spec,
        labels=labels,
        dropout=Dropout(words=0.1, rare_words=0.25, inputs=0.5),
        word_counts=np.ones(6),
        class_weights=np.ones(5),
        label_smoothing=0.1,
    )
    assert network.state_dict().keys() == spec.tensors().keys()


def test_tensors_leave_and_come_back(describe, make):
    spec = describe("words+characters+surface", "crf")
    network, other = make(spec, seed=1), make(spec, seed=2)
    kept = network.tensors()
    other.load_tensors(kept)
    for name, value in other.tensors().items():
        np.testing.assert_array_equal(value, kept[name])
    # What was given out is a copy: training on does not reach it.
    with torch.no_grad():
        network.head.linear.bias.zero_()
    assert kept["head.linear.bias"].any()


def test_every_dropout_reaches_its_place(describe, labels):
    dropout = Dropout(
        characters=0.1,
        inputs=0.2,
        layers=0.3,
        output=0.4,
        words=0.5,
        noise=0.6,
        shift=0.7,
        traits=0.8,
        spelling=0.9,
    )
    network = build(describe("words+characters+surface", "tags"), labels=labels, dropout=dropout)
    assert isinstance(network.inputs.noise, torch.nn.Identity)
    assert network.inputs.surface.dropout == 0.8
    unknown = network.inputs.characters.unknown
    torch.testing.assert_close(unknown.probability, torch.full((13,), 0.9))
    assert network.inputs.characters.dropout.rate == 0.1
    assert network.input_dropout.rate == 0.2
    assert network.encoder.dropout.rate == 0.3
    assert network.output_dropout.rate == 0.4
    torch.testing.assert_close(network.inputs.word_dropout.probability, torch.full((6,), 0.5))
    vectors = build(describe("vectors", "tags"), labels=labels, dropout=dropout)
    assert (vectors.inputs.noise.noise, vectors.inputs.noise.shift) == (0.6, 0.7)


def test_rare_words_need_counts(describe, labels):
    spec = describe("words", "tags")
    dropout = Dropout(rare_words=0.25)
    counted = build(spec, labels=labels, dropout=dropout, word_counts=np.array([9, 3, 1, 1, 1, 1]))
    expected = 0.25 / (0.25 + torch.tensor([9.0, 3, 1, 1, 1, 1]))
    torch.testing.assert_close(counted.inputs.word_dropout.probability, expected)
    assert not build(spec, labels=labels, dropout=dropout).inputs.word_dropout.probability.any()


def test_a_scheme_forbids_what_its_rules_forbid(describe, make, codec, draw, labels):
    spec = describe("symbols", "crf-iob2")
    follow, start, end = transitions(labels, "iob2")
    broken = 0
    for seed in range(8):
        network = make(spec, seed=seed)
        # Emissions that want the labels I most of all.
        with torch.no_grad():
            network.head.linear.bias.copy_(torch.tensor([0.0, 0, 300, 0, 300]))
        encoded = codec(spec).encode(draw(spec, [6, 0, 1, 9], seed))
        batch = encoded.batch(range(4))
        answer = network(batch)
        tags = network.head.decode(answer.scores, answer.rows)
        plain = answer.scores.argmax(dim=1).numpy()
        stops = np.cumsum(batch.lengths)
        for begin, stop in itertools.pairwise([0, *stops.tolist()]):
            path = tags[begin:stop].tolist()
            assert all(follow[pair] for pair in itertools.pairwise(path))
            assert not path or (start[path[0]] and end[path[-1]])
            broken += bool(stop > begin and not start[plain[begin]])
    assert broken > 0  # without the constraints the same scores would break them


@pytest.mark.parametrize("settings", [{"class_weights": np.ones(5)}, {"label_smoothing": 0.1}])
def test_a_crf_has_no_single_labels_to_weigh(describe, labels, settings):
    with pytest.raises(ConfigError, match=r"set head\.decoder=softmax"):
        build(describe("symbols", "crf"), labels=labels, **settings)


def test_constraints_need_the_names_of_the_labels(describe):
    with pytest.raises(ConfigError, match="constraints of iob2 need the labels' names"):
        build(describe("symbols", "crf-iob2"))
