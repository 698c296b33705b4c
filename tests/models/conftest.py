"""Every kind of model, small; with random tensors, vocabularies and examples for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from birnn.bundle import Bundle
from birnn.bundle.spec import Encoder, Spec
from birnn.inputs import Characters, Codec, Dense, Surface, Symbols, Vectors, Words, restored
from birnn.models import Network, build
from birnn.tasks import Label, Tags, TargetSequence, Values
from random_tensors import random_tensors

WORDS = ("<unk>", "the", "bank", "river", "of", "0")
CHARACTERS = ("<unk>", *"abehiknrtvT1")
TARGETS = ("<s>", "x", "yy", "z", "w")
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TRAITS = ("<unk>", "p1=b", "p2=ba", "p2=th", "s3=the", "shape=xx", "shape=Xxx")
WRITTEN = ("the", "The", "bank", "river", "of", "1", "baker", "Tvk", "x" * 80)

INPUTS: dict[str, Any] = {
    "words": Words(size=6, dim=3),
    "words+characters": Words(
        size=6, dim=3, characters=Characters(size=13, dim=3, hidden_size=2), lowercase=False
    ),
    "words+characters+surface": Words(
        size=6,
        dim=3,
        characters=Characters(size=13, dim=3, hidden_size=2),
        surface=Surface(size=7, dim=2, prefixes=(1, 2), suffixes=(3,)),
    ),
    "symbols": Symbols(size=4, dim=3),
    "vectors": Vectors(size=3),
    "vectors+dense": Vectors(size=3, dense=Dense(size=4, activation="tanh")),
}
HEADS: dict[str, Any] = {
    "tags": Tags(size=5),
    "crf": Tags(size=5, decoder="crf"),
    "crf-iob2": Tags(size=5, decoder="crf", scheme="iob2"),
    **{
        f"label-{pooling}": Label(size=5, pooling=pooling, attention_size=3)
        for pooling in ("last", "max", "mean", "last+max+mean", "attention")
    },
    "crf-hidden": Tags(size=5, decoder="crf", hidden=(4, 3), activation="gelu"),
    "label-hidden": Label(size=5, pooling="attention", attention_size=3, hidden=(4,)),
    "values-hidden": Values(size=2, pooling="last+max+mean", hidden=(4,), activation="tanh"),
    "values-max": Values(size=2, pooling="max"),
    "values-attention": Values(size=2, pooling="attention", attention_size=3),
    "sequence": TargetSequence(size=5, dim=3, hidden_size=6, longest=(5, 0.5)),
}
# Slower, and with one kind of input: see test_sequence.py.
STEP_BY_STEP: dict[str, Any] = {
    "sequence-fed": TargetSequence(
        size=5,
        dim=3,
        cell="gru",
        hidden_size=4,
        num_layers=3,
        attention="additive",
        attention_size=2,
        input_feeding=True,
        tied=True,
        longest=(5, 0.5),
    ),
}


def spec_of(inputs: str, head: str, **encoder: Any) -> Spec:
    settings = {"cell": "lstm", "hidden_size": 3} | encoder
    return Spec(
        inputs=INPUTS[inputs], encoder=Encoder(**settings), head=(HEADS | STEP_BY_STEP)[head]
    )


def vocabularies_of(spec: Spec) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    if isinstance(spec.inputs, Words):
        found["words"] = WORDS
        if spec.inputs.characters is not None:
            found["characters"] = CHARACTERS
        if spec.inputs.surface is not None:
            found["traits"] = TRAITS
    if isinstance(spec.inputs, Symbols):
        found["symbols"] = ("<unk>", "A", "C", "G")
    if spec.head.vocabulary is not None:
        found[spec.head.vocabulary] = {"labels": LABELS, "targets": TARGETS}[spec.head.vocabulary]
    return found


def sequences_of(spec: Spec, lengths: list[int], seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    if isinstance(spec.inputs, Vectors):
        return [random.standard_normal((t, 3)).astype(np.float32) * 3 for t in lengths]
    pool = WRITTEN if isinstance(spec.inputs, Words) else ("A", "C", "G", "?")
    return [tuple(str(item) for item in random.choice(pool, size=t)) for t in lengths]


def network_of(spec: Spec, seed: int = 0, **settings: Any) -> Network:
    """A model with random tensors, larger than fresh ones so that answers differ."""
    network = build(spec, labels=vocabularies_of(spec).get("labels"), **settings)
    tensors = random_tensors(spec, np.random.default_rng(seed))
    network.load_tensors(tensors)
    return network


def codec_of(spec: Spec) -> Codec:
    return spec.inputs.codec(restored(vocabularies_of(spec)))


def bundle_of(network: Network) -> Bundle:
    return Bundle(network.spec, vocabularies_of(network.spec), network.tensors())


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Torch's random numbers are the test's own, and nobody else's change."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


@pytest.fixture(scope="session", params=sorted(INPUTS))
def inputs(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="session", params=sorted(HEADS))
def head(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def describe() -> Callable[..., Spec]:
    return spec_of


@pytest.fixture(scope="session")
def make() -> Callable[..., Network]:
    return network_of


@pytest.fixture(scope="session")
def codec() -> Callable[[Spec], Codec]:
    return codec_of


@pytest.fixture(scope="session")
def draw() -> Callable[..., list[Any]]:
    return sequences_of


@pytest.fixture(scope="session")
def bundled() -> Callable[[Network], Bundle]:
    return bundle_of


@pytest.fixture(scope="session")
def labels() -> tuple[str, ...]:
    return LABELS
