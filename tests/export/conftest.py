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
from birnn.tasks import Gaps, Label, Labels, Tags, TargetSequence, Values
from grids import sampled
from random_tensors import random_tensors

WORDS = ("<unk>", "the", "bank", "river", "of", "0", "by", "\u00e9tude", "___")
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
    "gaps": Gaps(size=5, hidden=(3,)),
    "last": Label(size=5, pooling="last"),
    "three": Label(size=5, pooling="last+max+mean", hidden=(4, 3)),
    "attention": Label(size=5, pooling="attention", attention_size=3),
    "labels": Labels(
        size=5,
        pooling="attention",
        attention_score="linear",
        hidden=(3,),
        thresholds=(0.2, 0.4, 0.5, 0.6, 0.8),
    ),
    "values": Values(size=2, pooling="max"),
    "far": Values(size=2, pooling="mean", offset=(1e9, 0.0)),
}
MIXED = ("both", "forward", "both")
TARGETS = ("<s>", "AE1", "K", "T", "IH0", "S")


def writing(**settings: Any) -> TargetSequence:
    """A head that writes sequences; a bound that random models reach, and others do not."""
    given = {"size": 6, "dim": 3, "hidden_size": 4, "longest": (5, 0.37)}
    return TargetSequence(**given | settings)


# Input, head, encoder: each bridge, cell, attention, depth and option of the decoder at least once.
WRITERS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "project": (
        "symbols",
        writing(num_layers=3, cell="gru", hidden_size=5, attention="general", input_feeding=True),
        {"num_layers": 2, "directions": ("forward", "both"), "merge": "sum"},
    ),
    "concat": (
        "spelt",
        writing(bridge="concat", hidden_size=8, attention="additive", attention_size=3),
        {},
    ),
    "sum": (
        "symbols",
        writing(bridge="sum", num_layers=2, attention="dot", tied=True, input_feeding=True),
        {"num_layers": 3, "merge": "mean", "residual": True},
    ),
    "mean": ("vectors", writing(cell="rnn_tanh", bridge="mean", tied=True), {"cell": "rnn_tanh"}),
    "none": ("words", writing(bridge="none", num_layers=2, attention="none"), {"cell": "gru"}),
    "one-way": (
        "symbols",
        writing(cell="rnn_relu", bridge="concat", attention="additive", attention_size=2),
        {"cell": "lstm", "bidirectional": False},
    ),
    "c-from-h": ("symbols", writing(hidden_size=7, attention="none"), {"cell": "gru"}),
}
# Inputs, head, encoder: each cell, merge, pooling, decoder and kind of input at least once.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lstm-iob2": ("spelt", "iob2", {"num_layers": 2}),
    "gru-tags": ("words", "tags", {"cell": "gru", "merge": "sum", "num_layers": 2}),
    "mixed": ("symbols", "crf", {"cell": "gru", "directions": MIXED, "residual": True}),
    "rnn-three": ("symbols", "three", {"cell": "rnn_tanh", "merge": "project", "merge_size": 5}),
    "relu-last": ("vectors", "last", {"cell": "rnn_relu", "merge": "mean", "residual": True}),
    "attention": ("spelt", "attention", {"merge": "product"}),
    "labels": ("words", "labels", {"cell": "gru", "merge": "sum"}),
    "values": ("vectors", "values", {"cell": "gru", "bidirectional": False, "num_layers": 2}),
    "far": ("far", "far", {"merge": "project"}),
    "gaps": ("spelt", "gaps", {"cell": "gru"}),
}
# Of their random tensors, with which some of the answers end and others are cut.
SEEDS = {"project": 7, "concat": 19, "sum": 23, "mean": 22, "none": 0, "one-way": 18, "c-from-h": 4}
CARRYING = ("jax", "onnx", "torch")  # what models that write sequences are exported to
COMPILING = ("jax", "keras")  # what takes seconds to compile each model
QUICK = ("lstm-iob2", "far")  # models that they try in every run
# Others are read by the tests of these frameworks, each in a way of its own.
QUICK_WRITERS = {("project", "jax"), ("project", "torch"), ("sum", "torch")}


def bundle_of(name: str, seed: int | None = None) -> Bundle:
    """A model of `MODELS` or `WRITERS`, its random tensors so large that answers differ."""
    inputs, head, encoder = WRITERS[name] if name in WRITERS else MODELS[name]
    settings = {"cell": "lstm", "hidden_size": 4} | encoder
    head = head if name in WRITERS else HEADS[head]
    spec = Spec(inputs=INPUTS[inputs], encoder=Encoder(**settings), head=head)
    random = np.random.default_rng(SEEDS.get(name, 0) if seed is None else seed)
    tensors = random_tensors(spec, random, 0.6)
    if name in WRITERS:
        tensors["head.embedding.weight" if head.tied else "head.linear.weight"] *= 3
        tensors["head.linear.bias"][0] = 0.0
    items = {"words": WORDS, "characters": CHARACTERS, "traits": TRAITS, "labels": LABELS}
    items |= {"symbols": ("<unk>", "A", "C", "G"), "targets": TARGETS}
    wanted = spec.inputs.vocabularies() | spec.head.vocabularies()
    return Bundle(spec, {name: items[name] for name in wanted}, tensors)


@pytest.fixture(scope="session")
def model() -> Callable[..., Bundle]:
    return bundle_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"name", "to"} <= set(metafunc.fixturenames):
        each = product(sorted(MODELS), sorted(EXPORTERS))
        quick = {*product(QUICK, COMPILING), ("labels", "jax")}
        fast = sampled(each, lambda pair: pair[1] not in COMPILING or pair in quick)
        metafunc.parametrize(("name", "to"), fast)
    elif {"writer", "to"} <= set(metafunc.fixturenames):
        each = product(sorted(WRITERS), CARRYING)
        fast = sampled(each, lambda pair: pair[1] == "onnx" or pair in QUICK_WRITERS)
        metafunc.parametrize(("writer", "to"), fast)
    elif "writer" in metafunc.fixturenames:
        metafunc.parametrize("writer", sorted(WRITERS))
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(MODELS))
