"""Small random bundles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from birnn.bundle import Bundle, Characters, Encoder, Spec, Surface, Tags, Words


def random_bundle(seed: int = 0) -> Bundle:
    spec = Spec(
        inputs=Words(
            size=4,
            dim=3,
            characters=Characters(size=5, dim=2, hidden_size=2),
            surface=Surface(size=4, dim=2, prefixes=(1,), suffixes=(1, 2)),
        ),
        encoder=Encoder(hidden_size=3),
        head=Tags(size=3, decoder="crf"),
    )
    random = np.random.default_rng(seed)
    return Bundle(
        spec=spec,
        vocabularies={
            "words": ("<unk>", "the", "bank", "café"),
            "characters": ("<unk>", "a", "b", "\N{GRINNING FACE}", "é"),
            "traits": ("<unk>", "p1=b", "s2=he", "shape=xx"),
            "labels": ("DET", "NOUN", "VERB"),
        },
        tensors={
            name: random.standard_normal(shape).astype(np.float32)
            for name, shape in spec.tensors().items()
        },
        metadata={"train": "train.conllu", "seed": np.int64(seed), "nested": {"epochs": 3}},
        metrics={"test": {"accuracy": np.float32(0.5), "r2": float("nan"), "per_label": {"A": 1}}},
    )


@pytest.fixture
def make() -> Callable[[int], Bundle]:
    return random_bundle


@pytest.fixture
def bundle() -> Bundle:
    return random_bundle()
