"""A reading is computed once, and every measure of it says what it says of the sequence."""

from __future__ import annotations

import importlib
from collections import Counter

import numpy as np
import pytest
import torch

from birnn.bundle import Bundle
from birnn.errors import DataError, UsageError
from birnn.explain import (
    Reading,
    attention,
    correlation,
    decoding,
    explanation,
    flow,
    gates,
    integrated_gradients,
    mean_ablation,
    occlusion,
    saturation,
    states,
)
from birnn.nn import BiRNN


def numbers(found):
    """Every array of a measure, in order."""
    if isinstance(found, np.ndarray):
        return [found]
    names = getattr(found, "__dataclass_fields__", {})
    parts = [getattr(found, name) for name in names]
    return [part for part in parts if isinstance(part, np.ndarray)]


@pytest.mark.parametrize("head", ["crf-iob2", "label-attention", "values"])
def test_a_measure_of_a_reading_is_that_of_its_sequence(make, draw, head):
    bundle: Bundle = make("words", head, num_layers=2)
    sequence = draw(bundle, 6)
    reading = Reading.of(bundle, sequence)
    position = {"position": 2} if head == "crf-iob2" else {}
    for measure, settings in (
        (attention, {}),
        (mean_ablation, {}),
        (decoding, {}),
        (flow, {"layer": 0}),
        (flow, {"window": 2}),
        (gates, {}),
        (integrated_gradients, position),
        (occlusion, position),
        (states, {"layer": 0}),
    ):
        expected = numbers(measure(bundle, sequence, **settings))
        for one, other in zip(numbers(measure(reading, **settings)), expected, strict=True):
            assert np.array_equal(one, other, equal_nan=True), measure.__name__
    for measure in (correlation, saturation):
        expected = numbers(measure(bundle, [sequence]))
        for one, other in zip(numbers(measure(reading)), expected, strict=True):
            assert np.array_equal(one, other, equal_nan=True), measure.__name__


@pytest.fixture
def runs(monkeypatch):
    """How often each encoder ran: with gradients, and without."""
    counted: Counter[str] = Counter()

    def counting(run):
        def wrapped(self, x, *args, **kwargs):
            counted["gradients" if x.values.requires_grad else "plain"] += 1
            return run(self, x, *args, **kwargs)

        return wrapped

    for name in ("forward", "layer_outputs"):
        monkeypatch.setattr(BiRNN, name, counting(getattr(BiRNN, name)))
    return counted


@pytest.mark.parametrize("head", ["crf-iob2", "label-attention"])
def test_an_explanation_runs_the_encoder_once_but_for_gradients_and_occlusion(
    make, draw, runs, monkeypatch, head
):
    # Left out: it runs the encoder on other rows, the sequence without each step in turn.
    module = importlib.import_module("birnn.explain.explanation")
    monkeypatch.setattr(module, "occlusion", lambda *_, **__: None)
    # The path of the gradients asks for the logit at its two ends, the baseline and the sequence.
    monkeypatch.setattr(module, "integrated_gradients", lambda *_, **__: None)
    for layers in (1, 3):
        bundle = make("symbols", head, num_layers=layers)
        runs.clear()
        explanation(bundle, draw(bundle, 9))
        assert runs["plain"] == 1
        assert runs["gradients"] > 0


def test_a_reading_has_its_sequence(encoder):
    reading = Reading.of(encoder(num_layers=2), np.ones((4, 3)))
    assert [tuple(one.forward.values.shape) for one in reading.layers] == [(4, 4), (4, 4)]
    assert reading.layers is reading.layers
    assert not any(one.forward.values.requires_grad for one in reading.layers)
    torch.testing.assert_close(reading.halves(1).below.values, reading.merged(0)[0].values)
    with pytest.raises(UsageError, match="has its sequence"):
        flow(reading, np.ones((4, 3)))
    with pytest.raises(DataError, match="no steps"):
        Reading.of(encoder(), np.ones((0, 3)))
