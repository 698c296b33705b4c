"""What a bundle answers without torch is what the torch model answers."""

# B sequences, N rows

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from birnn.bundle.io import load
from birnn.data import Example
from birnn.inputs import restored
from birnn.models import build
from birnn.ragged import Ragged
from birnn.runtime import Predictor
from birnn.runtime.network import NumpyNetwork

Trained = Callable[[str], Path]

KINDS = ["tagger", "chain", "residues", "classifier", "multilabel", "series", "regressor"]
POOLINGS = [f"pooling {name}" for name in ("last", "max", "mean", "last+max+mean", "attention")]


def sequences(kind: str) -> list[Example]:
    """Sequences of many lengths, 0 among them, with words that training never saw."""
    draw = np.random.default_rng(3)
    lengths = [0, 1, 2, 40, 0, 7, 7, 1, 19]
    if kind == "series":
        return [Example(draw.normal(size=(n, 2)).astype(np.float32)) for n in lengths]
    items = list("ACDX") if kind == "residues" else ["the", "dog", "Runs", "green", "zebra", "ö-1"]
    return [Example(tuple(draw.choice(items, size=n).tolist())) for n in lengths]


@pytest.mark.parametrize("kind", [*KINDS, *POOLINGS])
def test_scores_and_answers_are_those_of_torch(trained: Trained, kind: str) -> None:
    bundle = load(trained(kind))
    model = Predictor.load(trained(kind))
    examples = sequences(kind)
    vocabularies = restored(bundle.vocabularies)
    codec = bundle.spec.inputs.codec(vocabularies)
    encoded = codec.encode(examples)
    batch = encoded.batch(np.arange(len(examples)))
    network = build(bundle.spec, labels=model.labels).eval()
    network.load_tensors(bundle.tensors)
    with torch.no_grad():
        expected = network(batch).scores.numpy()
    answers = network.answered(batch, model.labels).answers

    network = NumpyNetwork(bundle.spec, bundle.tensors, bundle.vocabularies)
    embed = codec.embedding(bundle.tensors, network.encoder)
    rows = embed([example.inputs for example in examples])
    scores = network.head(network.encode(Ragged(rows.values, batch.lengths), table=rows.table))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)

    if kind == "multilabel":  # training chooses thresholds on its logits
        answers = model.decode(answers)
    predicted = model.predict(example.inputs for example in examples)
    if bundle.spec.head.has_labels:
        assert predicted == answers
    else:
        np.testing.assert_allclose(predicted, answers, rtol=1e-5, atol=1e-5)
