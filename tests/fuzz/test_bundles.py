"""Damaged bundles: refused by name, or as good as whole; soon, and in little memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import FEW, MANY, limits, mutations, value_mutations

from birnn.bundle import (
    Bundle,
    Characters,
    Encoder,
    Spec,
    Surface,
    Symbols,
    Tags,
    TargetSequence,
    Values,
    Vectors,
    Words,
    quantised,
    save,
)
from birnn.errors import BirnnError, BundleError, escaped
from birnn.runtime import Predictor

COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)]
FILES = ("birnn.json", "vocab.json", "model.safetensors", "background.safetensors")

SPECS = {
    "words": Spec(
        inputs=Words(
            size=4,
            dim=3,
            characters=Characters(size=5, dim=2, hidden_size=2),
            surface=Surface(size=4, dim=2, prefixes=(1,), suffixes=(1, 2)),
        ),
        encoder=Encoder(hidden_size=3),
        head=Tags(size=3, decoder="crf", scheme="iob2"),
    ),
    "vectors": Spec(
        inputs=Vectors(size=2, offset=(1e9, 0.0)),
        encoder=Encoder(
            cell="gru",
            hidden_size=2,
            merge="project",
            merge_size=3,
            directions=("both", "forward", "both"),
        ),
        head=Values(size=2, pooling="attention", attention_size=2),
    ),
    "pairs": Spec(
        inputs=Symbols(size=3, dim=2),
        encoder=Encoder(cell="gru", hidden_size=2),
        head=TargetSequence(
            size=3,
            dim=2,
            cell="gru",
            hidden_size=3,
            attention="additive",
            attention_size=2,
            input_feeding=True,
            longest=(3, 0.5),
        ),
    ),
}
VOCABULARIES: dict[str, dict[str, tuple[str, ...]]] = {
    "words": {
        "words": ("<unk>", "the", "bank", "café"),
        "characters": ("<unk>", "a", "b", "\N{GRINNING FACE}", "é"),
        "traits": ("<unk>", "p1=b", "s2=he", "shape=xx"),
        "labels": ("O", "B-X", "I-X"),
    },
    "vectors": {},
    "pairs": {"symbols": ("<unk>", "a", "b"), "targets": ("<s>", "x", "yy")},
}
ASKED: dict[str, Any] = {
    "words": [["the", "bank"], [], ["café", "of", "The", "9"]],
    "vectors": [np.array([[1e9, 2.0], [1e9 + 64, -3.0]]), np.zeros((0, 2))],
    "pairs": [["a", "b", "a"], [], ["?"]],
}


# Kinds of bundles: of which description, in which precision.
KINDS = {
    **{name: (name, "float32") for name in SPECS},
    "words in int8": ("words", "int8"),
    "pairs in bf16": ("pairs", "bf16"),
}


class Subject:
    """A bundle on disk, what it is whole, and what it answers then."""

    def __init__(self, kind: str, folder: Path) -> None:
        draw = np.random.default_rng(0)
        kind, precision = KINDS[kind]
        spec = SPECS[kind]
        tensors, background = (
            {name: draw.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
            for shapes in (spec.tensors(), spec.mean_states())
        )
        vocabularies = VOCABULARIES[kind]
        facts = {"field": "xpos", "reading": {"field": "xpos", "split": "tokens"}}
        bundle = Bundle(spec, vocabularies, tensors, facts, {"test": {"f1": 0.5}}, background)
        save(bundle if precision == "float32" else quantised(bundle, precision), folder)
        self.folder = folder
        self.asked = ASKED[kind]
        self.content = {name: (folder / name).read_bytes() for name in FILES}
        self.right = self.told()

    def told(self) -> tuple[Any, ...]:
        """All that a caller sees of the model."""
        model = Predictor.load(self.folder, tell=lambda line: None)
        model.read_options()
        return model.predict(self.asked), model.spec, model.labels, model.metadata, model.metrics

    def write(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def restore(self) -> None:
        for name, content in self.content.items():
            self.write(name, content)

    def sign(self, manifest: dict[str, Any] | None = None) -> None:
        """Make all digests fit what is there: only what lies behind them is left to refuse it."""
        told = json.loads(self.content["birnn.json"]) if manifest is None else manifest
        if isinstance(told.get("sha256"), dict) and isinstance(told.get("files"), dict):
            for role, name in told["files"].items():
                if isinstance(name, str) and name in FILES:
                    content = (self.folder / name).read_bytes()
                    told["sha256"][role] = hashlib.sha256(content).hexdigest()
            told["sha256"].pop("manifest", None)
            canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
            told["sha256"]["manifest"] = hashlib.sha256(canonical.encode()).hexdigest()
        self.write("birnn.json", json.dumps(told).encode())


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if precision == "float32" else pytest.mark.fuzz)
        for name, (_, precision) in KINDS.items()
    ]
)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    made = Subject(request.param, tmp_path / "model")
    yield made
    made.restore()
    assert made.told() == made.right


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_changes_no_answer(subject: Subject, name: str, count: int) -> None:
    refused = 0
    for number, damaged in enumerate(mutations(subject.content[name], count, seed=1)):
        subject.write(name, damaged)
        with limits(f"mutation {number} of {name}"):
            try:
                told = subject.told()
            except BundleError as error:
                refused += 1
                check_message(error)
            else:
                assert told == subject.right, number
    assert refused > 0.7 * count


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FILES[1:])
def test_damage_with_digests_that_fit_ends_in_no_traceback(
    subject: Subject, name: str, count: int
) -> None:
    refused = 0
    for number, damaged in enumerate(mutations(subject.content[name], count, seed=2)):
        subject.write(name, damaged)
        subject.sign()
        with limits(f"mutation {number} of {name}"):
            refused += refused_or_answered(subject)
    assert refused > 0.3 * count


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FILES[:2])
def test_other_values_with_digests_that_fit_end_in_no_traceback(
    subject: Subject, name: str, count: int
) -> None:
    refused = 0
    value = json.loads(subject.content[name])
    if value == {}:
        return  # vectors and values have no vocabularies, of which nothing can be changed
    for number, changed in enumerate(value_mutations(value, count, seed=3)):
        if name == "birnn.json":
            subject.sign(changed)
        else:
            subject.write(name, json.dumps(changed).encode())
            subject.sign()
        with limits(f"mutation {number} of {name}"):
            refused += refused_or_answered(subject)
    assert refused > 0.3 * count


def refused_or_answered(subject: Subject) -> bool:
    try:
        subject.told()
    except BirnnError as error:
        check_message(error)
        return True
    return False


def check_message(error: BirnnError) -> None:
    message = str(error)
    assert escaped(message) == message
    assert len(message) < 20_000
