"""Taggers of real data: the graph gives the runtime's tags, and so does the example alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birnn
from birnn.bundle import Bundle
from birnn.cli.main import main
from birnn.data import Example, read
from birnn.export.onnx import load, write
from birnn.runtime import Predictor
from grids import sampled

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TAGS, WRITES = EXAMPLES / "tag_with_onnxruntime.py", EXAMPLES / "write_with_onnxruntime.py"
FILES = {"pos": "ud-english-lines/{}.conllu", "names": "wnut17/{}.conll"}
SMALL = {
    "training.epochs": 2,
    "encoder.hidden_size": 12,
    "inputs.word_dim": 12,
    "inputs.character_hidden": 6,
    "inputs.surface_dim": 6,
}


def trained(path: Path, sentences: int | None) -> Predictor:
    """A small tagger of the first sentences of a file."""
    examples = list(islice(read(path, "tags"), sentences))
    return birnn.train("tagger", train=examples, settings=SMALL, quiet=True)


def inputs_of(path: Path, sentences: int | None) -> list[Any]:
    """The sentences of a file, and an empty one among them."""
    return [(), *(example.inputs for example in islice(read(path, "tags"), sentences))]


def compare(model: Predictor, inputs: list[Any], folder: Path) -> None:
    """Assert that the graph's tags are the runtime's, optimised or not."""
    write(model.bundle, folder / "m.onnx")
    expected = model.predict(inputs)
    for optimised in (True, False):
        graph = load(folder / "m.onnx", model.bundle, optimised=optimised)
        found = [
            tags
            for start in range(0, len(inputs), 64)
            for tags in graph.answers(inputs[start : start + 64])
        ]
        assert found == expected
        for scores, own in zip(graph(inputs[:64]), model.scores(inputs[:64]), strict=True):
            np.testing.assert_allclose(scores, own, rtol=1e-5, atol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("corpus", FILES)
def test_tags_of_a_slice_are_the_runtime_s(corpus: str, shared_data: Path, tmp_path: Path) -> None:
    model = trained(shared_data / FILES[corpus].format("train"), 80)
    assert model.spec.head.decoder == ("crf" if corpus == "names" else "softmax")
    compare(model, inputs_of(shared_data / FILES[corpus].format("test"), 130), tmp_path)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("corpus", FILES)
def test_tags_of_the_test_set_are_the_runtime_s(
    corpus: str, shared_data: Path, tmp_path: Path
) -> None:
    model = trained(shared_data / FILES[corpus].format("train"), 1000)
    compare(model, inputs_of(shared_data / FILES[corpus].format("test"), None), tmp_path)


SENTENCES = [
    "The bank of the river was 1,200 m long .",
    "",
    "McDonald's re\u0301sume\u0301 co\u00adop \u0130stanbul \u00ad",
    "x" * 100 + " ab m\u00b2",
    "\u0e17\u0e35\u0e48 \u4e2d\u6587 \U0001f600 \u0664\u0662",
]


@pytest.mark.parametrize("character_hidden", [6, 0])
def test_the_example_tags_as_birnn_predict_does(
    character_hidden: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Words that occur twice, so that they and their affixes are known.
    tokens = [tuple(sentence.split()) for sentence in SENTENCES if sentence]
    tags = [tuple(f"T{(len(word) + step) % 3}" for step, word in enumerate(t)) for t in tokens]
    examples = [Example(t, g) for t, g in zip(tokens, tags, strict=True)] * 3
    settings = SMALL | {"inputs.character_hidden": character_hidden}
    if not character_hidden:
        settings |= {"inputs.surface_dim": 0, "inputs.lowercase": False}
    model = birnn.train("tagger", train=examples, dev=examples, settings=settings, quiet=True)
    bundle = model.bundle
    # Larger weights, so that the tags do not hang on the most frequent one.
    tensors = {name: 4 * tensor for name, tensor in bundle.tensors.items()}
    bundle = Bundle(bundle.spec, bundle.vocabularies, tensors)
    birnn.bundle.save(bundle, tmp_path / "m")
    write(bundle, tmp_path / "m.onnx")
    told = run_example(TAGS, tmp_path / "m.onnx", "\n".join(SENTENCES) + "\n")
    (tmp_path / "s.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    assert main(["predict", str(tmp_path / "m"), str(tmp_path / "s.txt"), "--tokens"]) == 0
    assert told == capsys.readouterr().out
    assert len({line.partition("\t")[2] for line in told.splitlines()} - {""}) > 1
    if character_hidden:
        for text in ("", "\n", "\n\n"):
            assert run_example(TAGS, tmp_path / "m.onnx", text) == text


SOURCES = ["CAG", "", "  A c ", "G\u0327a x?", "ACCA GAC", "\u0130"]


@pytest.mark.parametrize("way", sampled(["characters", "spaces", "|"], ["|"]))
def test_the_example_writes_as_birnn_predict_does(
    way: str,
    model: Callable[..., Bundle],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = replace(model("c-from-h"), metadata={"reading": {"source_split": way}})
    birnn.bundle.save(bundle, tmp_path / "m")
    write(bundle, tmp_path / "m.onnx")
    between = {"characters": "", "spaces": " "}.get(way, way)
    text = "".join(f"{between.join(source)}\n" for source in SOURCES)
    (tmp_path / "s.txt").write_text(text, encoding="utf-8")
    assert main(["predict", str(tmp_path / "m"), str(tmp_path / "s.txt"), "--beam", "1"]) == 0
    told = run_example(WRITES, tmp_path / "m.onnx", text)
    assert told == capsys.readouterr().out
    assert len(set(told.splitlines())) > 2
    assert run_example(WRITES, tmp_path / "m.onnx", "") == ""


def run_example(example: Path, path: Path, text: str) -> str:
    """What an example writes, in a process that cannot import birnn."""
    runner = (
        "import runpy, sys; sys.modules['birnn'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-I", "-X", "utf8", "-c", runner, str(example), str(path)]
    ran = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("example", [TAGS, WRITES])
def test_the_example_is_short(example: Path) -> None:
    assert len(example.read_text("utf-8").splitlines()) < 60
