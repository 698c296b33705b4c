"""Small random models of every kind to look into, and the engines they run on."""

# T steps, D width of a row

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from birnn.bundle import Bundle
from birnn.bundle.spec import Encoder, Spec
from birnn.engine import isa
from birnn.inputs import Characters, Dense, Surface, Symbols, Vectors, Words
from birnn.nn import BiRNN
from birnn.tasks import Label, Labels, Tags, Values
from random_tensors import random_tensors

WORDS = ("<unk>", "the", "bank", "river", "of", "0")
CHARACTERS = ("<unk>", *"abehiknrtvT1")
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TRAITS = ("<unk>", "p1=b", "p2=ba", "p2=th", "s3=the", "shape=xx", "shape=Xxx")
WRITTEN = ("the", "The", "bank", "river", "of", "1", "baker", "Tvk", "x" * 80)
POOLINGS = ("last", "max", "mean", "last+max+mean", "attention")

INPUTS: dict[str, Any] = {
    "words": Words(
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
    **{f"label-{name}": Label(size=5, pooling=name, attention_size=3) for name in POOLINGS},
    "tags-hidden": Tags(size=5, hidden=(4, 3), activation="gelu"),
    "label-hidden": Label(size=5, pooling="attention", attention_size=3, hidden=(4,)),
    "multilabel": Labels(
        size=5,
        pooling="attention",
        attention_score="linear",
        thresholds=(0.2, 0.4, 0.5, 0.6, 0.8),
    ),
    "values": Values(size=2, pooling="last+max+mean"),
    "values-attention": Values(size=2, pooling="attention", attention_size=3),
}


def bundle_of(inputs: str = "symbols", head: str = "tags", *, seed: int = 0, **encoder: Any):
    """A model with random tensors, in no need of training."""
    settings = {"cell": "lstm", "hidden_size": 3} | encoder
    spec = Spec(inputs=INPUTS[inputs], encoder=Encoder(**settings), head=HEADS[head])
    vocabularies: dict[str, tuple[str, ...]] = {}
    if inputs == "words":
        vocabularies = {"words": WORDS, "characters": CHARACTERS, "traits": TRAITS}
    if inputs == "symbols":
        vocabularies["symbols"] = ("<unk>", "A", "C", "G")
    if not head.startswith("values"):
        vocabularies["labels"] = LABELS
    tensors = random_tensors(spec, np.random.default_rng(seed))
    return Bundle(spec, vocabularies, tensors)


def sequence_of(bundle: Bundle, steps: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    if isinstance(bundle.spec.inputs, Vectors):
        return random.standard_normal((steps, 3)).astype(np.float32) * 3
    pool = WRITTEN if isinstance(bundle.spec.inputs, Words) else ("A", "C", "G", "?")
    return [str(item) for item in random.choice(pool, size=steps)]


def encoder_of(cell: str = "lstm", width: int = 3, hidden: int = 4, *, seed: int = 0, **settings):
    """A `BiRNN` in float64 with every parameter random."""
    random = np.random.default_rng(seed)
    encoder = BiRNN(cell, width, hidden, **settings).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.from_numpy(random.uniform(-0.7, 0.7, parameter.shape)))
    return encoder


@contextlib.contextmanager
def running_on(engine: str) -> Iterator[None]:
    """``native``: whatever is chosen by itself; ``torch``: no native kernel runs."""
    if engine == "native":
        if isa.selected_engine() is None:
            pytest.skip("no native engine is here")
        yield
        return
    with mock.patch.dict(os.environ, {isa.FORCE: isa.REFERENCE}):
        yield


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Torch's random numbers are the test's own, and nobody else's change."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


@pytest.fixture(scope="session")
def heads() -> tuple[str, ...]:
    return tuple(HEADS)


@pytest.fixture(scope="session")
def make() -> Callable[..., Bundle]:
    return bundle_of


@pytest.fixture(scope="session")
def draw() -> Callable[..., Any]:
    return sequence_of


@pytest.fixture(scope="session")
def encoder() -> Callable[..., BiRNN]:
    return encoder_of


@pytest.fixture(scope="session")
def on_engine() -> Callable[[str], contextlib.AbstractContextManager[None]]:
    return running_on
