"""Small bundles of every kind: inputs, heads, encoders; random tensors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle
from birnn.bundle.spec import Encoder, Spec
from birnn.export import EXPORTERS
from birnn.inputs import Characters, Dense, Surface, Symbols, Vectors, Words
from birnn.tasks import Label, Tags, Values
from grids import sampled
from random_tensors import random_tensors

WORDS = ("<unk>", "the", "bank", "river", "of", "0", "by", "\u00e9tude")
CHARACTERS = ("<unk>", *"abehiknrtvT1\u00e9")
TRAITS = ("<unk>", "p1=b", "p2=ba", "p2=th", "s3=the", "shape=xx", "shape=Xxx")
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")

SPELT = Characters(size=len(CHARACTERS), dim=3, hidden_size=2)
AFFIXES = Surface(size=len(TRAITS), dim=2, prefixes=(1, 2), suffixes=(3,))
INPUTS: dict[str, Any] = {
    "words": Words(size=len(WORDS), dim=3),
    "spelt": Words(size=len(WORDS), dim=3, characters=SPELT, surface=AFFIXES, lowercase=False),
    "symbols": Symbols(size=4, dim=3),
    "vectors": Vectors(size=3),
    "far": Vectors(size=2, offset=(1.7e9, 0.0), dense=Dense(size=4, activation="tanh")),
}
HEADS: dict[str, Any] = {
    "tags": Tags(size=5, hidden=(6,), activation="gelu"),
    "crf": Tags(size=5, decoder="crf"),
    "iob2": Tags(size=5, decoder="crf", scheme="iob2"),
    "last": Label(size=5, pooling="last"),
    "three": Label(size=5, pooling="last+max+mean", hidden=(4, 3)),
    "attention": Label(size=5, pooling="attention", attention_size=3),
    "values": Values(size=2, pooling="max"),
    "far": Values(size=2, pooling="mean", offset=(1e9, 0.0)),
}
MIXED = ("both", "forward", "both")
# Inputs, head, encoder: each cell, merge, pooling, decoder and kind of input at least once.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lstm-iob2": ("spelt", "iob2", {"num_layers": 2}),
    "gru-tags": ("words", "tags", {"cell": "gru", "merge": "sum", "num_layers": 2}),
    "mixed": ("symbols", "crf", {"cell": "gru", "directions": MIXED, "residual": True}),
    "rnn-three": ("symbols", "three", {"cell": "rnn_tanh", "merge": "project", "merge_size": 5}),
    "relu-last": ("vectors", "last", {"cell": "rnn_relu", "merge": "mean", "residual": True}),
    "attention": ("spelt", "attention", {"merge": "product"}),
    "values": ("vectors", "values", {"cell": "gru", "bidirectional": False, "num_layers": 2}),
    "far": ("far", "far", {"merge": "project"}),
}
COMPILING = ("jax", "keras")  # what takes seconds to compile each model
QUICK = ("lstm-iob2", "far")  # models that they try in every run


def bundle_of(name: str, seed: int = 0) -> Bundle:
    """A model of `MODELS` with random tensors, larger than fresh ones, so that answers differ."""
    inputs, head, encoder = MODELS[name]
    settings = {"cell": "lstm", "hidden_size": 4} | encoder
    spec = Spec(inputs=INPUTS[inputs], encoder=Encoder(**settings), head=HEADS[head])
    tensors = random_tensors(spec, np.random.default_rng(seed), 0.6)
    items = {"words": WORDS, "characters": CHARACTERS, "traits": TRAITS, "labels": LABELS}
    items["symbols"] = ("<unk>", "A", "C", "G")
    wanted = spec.inputs.vocabularies() | spec.head.vocabularies()
    return Bundle(spec, {name: items[name] for name in wanted}, tensors)


@pytest.fixture(scope="session")
def model() -> Callable[..., Bundle]:
    return bundle_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"name", "to"} <= set(metafunc.fixturenames):
        each = product(sorted(MODELS), sorted(EXPORTERS))
        fast = sampled(each, lambda pair: pair[1] not in COMPILING or pair[0] in QUICK)
        metafunc.parametrize(("name", "to"), fast)
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(MODELS))
