"""Small random models to put behind an app or a server, and a look at its metrics."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from birnn.bundle import Bundle, Encoder, Spec
from birnn.inputs import Symbols, Vectors, Words
from birnn.runtime import Predictor
from birnn.tasks import Label, Labels, Tags, TargetSequence
from random_tensors import random_tensors

WORDS = ("<unk>", "ada", "lives", "in", "london", ".")
LABELS = {"tags": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), "label": ("good", "bad", "fair")}
LABELS["labels"] = LABELS["label"]
INPUTS = {
    "words": Words(size=6, dim=4),
    "symbols": Symbols(size=3, dim=2),
    "vectors": Vectors(size=2),
    "wide": Vectors(size=3),
}
HEADS = {
    "tags": Tags(size=5, decoder="crf", scheme="iob2"),
    "label": Label(size=3, pooling="last+max+mean"),
    "labels": Labels(size=3, pooling="mean", thresholds=(0.3, 0.5, 0.7)),
    "sequence": TargetSequence(size=3, dim=2, hidden_size=4),
}


def model_of(inputs: str, head: str) -> Predictor:
    """A model with random tensors and random means of its states."""
    spec = Spec(inputs=INPUTS[inputs], encoder=Encoder(hidden_size=4), head=HEADS[head])
    random = np.random.default_rng(0)
    vocabularies: dict[str, tuple[str, ...]] = {}
    if inputs == "words":
        vocabularies["words"] = WORDS
    if inputs == "symbols":
        vocabularies["symbols"] = ("<unk>", "a", "b")
    if head == "sequence":
        vocabularies["targets"] = ("<s>", "x", "y")
    else:
        vocabularies["labels"] = LABELS[head]
    means = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in spec.mean_states().items()
    }
    tensors = random_tensors(spec, random)
    return Predictor(Bundle(spec, vocabularies, tensors, mean_states=means))


def metric(client: Any, line: str) -> float:
    """The value of a line of ``/metrics``."""
    lines = client.get("/metrics").text.splitlines()
    [value] = [each.rpartition(" ")[2] for each in lines if each.startswith(f"{line} ")]
    return float(value)


@contextlib.contextmanager
def running(*command: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server, and the port that it told."""
    process = subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stderr.readline()
        assert "serving" in line, line
        yield process, int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
    finally:
        process.kill()
        process.communicate()
