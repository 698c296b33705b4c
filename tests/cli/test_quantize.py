"""``birnn quantize``, and what every command does with a model in low precision."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Spec, Symbols, TargetSequence, io, load, quantised, save
from birnn.bundle.addresses import located
from birnn.errors import no_notice
from birnn.runtime import Predictor
from hub_server import IN_UPLOADS, standing_in

Trained = Callable[[str], Path]

FILES = {
    "tagger": "test.tsv",
    "chain": "test.iob2",
    "classifier": "test.csv",
    "multilabel": "test-labels.csv",
    "regressor": "test.jsonl",
    "series": "test.ts",
}


@pytest.fixture(scope="session")
def low(trained: Trained, made_once: Any) -> Callable[[str, str], Path]:
    """Quantised bundles by kind and precision; not to be changed."""

    def make(kind: str, precision: str) -> Path:
        def write(place: Path) -> None:
            save(quantised(load(trained(kind)), precision), place)

        return Path(made_once(f"{precision} {kind}", write))

    return make


# ------------------------------------------------------------------ the command


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_smaller_bundle_is_written(
    call: Any, trained: Trained, tmp_path: Path, precision: str
) -> None:
    folder, out = trained("tagger"), tmp_path / "small"
    told = call("quantize", folder, "--to", precision, "--out", out)
    assert told.status == 0
    assert told.err == "nothing was checked: --check F tells what this changes on a labelled file\n"
    sizes = [located(each, no_notice).size for each in (folder, out)]
    assert f"{sizes[1]:,} bytes, {sizes[1] / sizes[0]:.2f} of {sizes[0]:,}" in told.out
    assert "biases: added to float32 sums" in told.out
    made, wanted = load(out), quantised(load(folder), precision, name=str(folder))
    assert (made.spec, made.metadata) == (wanted.spec, wanted.metadata)
    assert made.metadata["train"] == load(folder).metadata["train"]
    card = (out / "README.md").read_text("utf-8")
    assert "It was not checked on data after that." in card
    assert f"\n- {precision}\n" in card
    assert "model-index" not in card  # the metrics are those of another model
    assert wanted.metadata["quantised"]["sha256"] in card
    anew = ("--out", out, "--overwrite", "--json")
    [again] = call("quantize", folder, "--to", precision, *anew).objects
    assert again["bytes_after"] == sizes[1]
    assert again["tensors"]["precision"] == precision


@pytest.mark.parametrize("kind", FILES)
def test_a_check_tells_what_changes(
    call: Any, trained: Trained, files: Path, tmp_path: Path, kind: str
) -> None:
    folder, data, out = trained(kind), files / FILES[kind], tmp_path / "small"
    told = call("quantize", folder, "--to", "int8", "--out", out, "--check", data, "--json")
    assert (told.status, told.err) == (0, "")
    [found] = told.objects
    before, after = Predictor.load(folder), Predictor.load(out)
    for model, name in ((before, "float32"), (after, "int8")):
        expected, scores = model.evaluate(data), found["check"]["scores"][name]
        for volatile in ("seconds", "tokens_per_second"):
            expected.pop(volatile)
            scores.pop(volatile)
        assert scores == json.loads(json.dumps(io.documents.plain(expected)))
    inputs = [example.inputs for example in before.read(data)]
    answers = [model.predict(inputs) for model in (before, after)]
    if before.spec.head.per_step:
        answers = [[tag for tags in each for tag in tags] for each in answers]
    differing = sum(one != other for one, other in zip(*answers, strict=True))
    assert (found["check"]["answers"], found["check"]["changed"]) == (len(answers[0]), differing)
    assert len(found["check"]["differing"]) == differing
    record = load(out).metadata["quantised"]["checked"]
    assert record["file"] == data.name
    assert record["changed"] == differing
    card = (out / "README.md").read_text("utf-8")
    assert f"name: {json.dumps(data.name)}" in card
    if kind == "regressor":
        apart = np.abs(np.subtract(*answers)).max(axis=1)
        assert differing
        assert found["check"]["largest_difference"] == pytest.approx(apart.max())
        first = found["check"]["differing"][0]
        assert max(np.abs(np.subtract(first["float32"], first["int8"]))) == pytest.approx(
            apart.max(), abs=1e-5
        )


def with_outlier(folder: Path, out: Path, sign: int) -> None:
    """A tagger that says its first tag where a weighted sum is positive, and never does in int8.

    A weight of 1e6 on a unit that is always 0 takes the steps of the others.
    """
    bundle = load(folder)
    tensors = {name: np.array(tensor) for name, tensor in bundle.tensors.items()}
    hidden = bundle.spec.encoder.hidden_size
    for name, tensor in tensors.items():
        if name.startswith("encoder.") and not name.endswith("_reverse"):
            tensor[::hidden] = 0  # of unit 0 all gates
    weight = tensors["head.linear.weight"]
    weight[...], weight[0], weight[0, 0] = 0, sign, 1e6
    tensors["head.linear.bias"][...] = [-1e-6, 0, 0, 0]
    save(replace(bundle, tensors=tensors, mean_states={}), out)


def test_answers_that_differ_are_shown_with_their_lines(
    call: Any, trained: Trained, files: Path, tmp_path: Path
) -> None:
    lines = (files / "test.tsv").read_text().splitlines()
    differing = steps = 0
    for sign in (1, -1):
        model, small = tmp_path / f"model{sign}", tmp_path / f"small{sign}"
        with_outlier(trained("tagger"), model, sign)
        first, other, *_ = load(model).vocabularies["labels"]
        told = call(
            "quantize", model, "--to", "int8", "--out", small, "--check", files / "test.tsv"
        )
        assert told.status == 0
        assert "head.linear.weight: 1 row has a value of more than 100 times the median" in told.err
        record = load(small).metadata["quantised"]["checked"]
        assert "differ" in told.out
        differing, steps = differing + record["changed"], record["answers"]
        rows = [line for line in told.out.splitlines() if line.lstrip().startswith("test.tsv:")]
        assert len(rows) == min(10, record["changed"])
        for row in rows:
            place, *words = row.split()
            token = lines[int(place.partition(":")[2]) - 1].split("\t")[0]
            assert {token, f"[{token}]"} & set(words)
            assert words[-2:] == [first, other]
    # A sum is positive, or that with the other sign is.
    assert differing == steps > 0


def test_a_decoder_is_checked_too(call: Any, tmp_path: Path) -> None:
    spec = Spec(
        inputs=Symbols(size=4, dim=3),
        encoder=Encoder(hidden_size=4),
        head=TargetSequence(size=4, dim=3, hidden_size=4, longest=(5, 0.0)),
    )
    random = np.random.default_rng(3)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in spec.tensors().items()
    }
    symbols = {"symbols": ("<unk>", "a", "b", "c"), "targets": ("<s>", "X", "Y", "Z")}
    save(Bundle(spec, symbols, tensors), tmp_path / "model")
    data = tmp_path / "pairs.tsv"
    data.write_text("".join(f"{source}\tX Y\n" for source in ("a b c", "c", "b b", "a c a b")))
    how = ("--check", data, "--beam", 2, "--source-split", "spaces", "--target-split", "spaces")
    for precision in ("int8", "bf16"):
        out = tmp_path / precision
        told = call("quantize", tmp_path / "model", "--to", precision, "--out", out, *how, "--json")
        assert told.status == 0, told
        [found] = told.objects
        assert found["check"]["answers"] == 4
        reasons = [each["reason"] for each in found["tensors"]["kept"]]
        assert any("attention" in reason for reason in reasons)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_labels_that_the_model_never_saw_are_told_once(
    call: Any, trained: Trained, tmp_path: Path, form: tuple[str, ...]
) -> None:
    data = tmp_path / "odd.tsv"
    data.write_text("the\tZZ\ndog\tZZ\nbarks\tYY\n\n")
    how = ("--to", "int8", "--out", tmp_path / "small", "--check", data, *form)
    told = call("quantize", trained("tagger"), *how)
    assert told.status == 0, told
    assert told.err.count("labels that the model never saw, counted as wrong: ZZ (2), YY (1)") == 1


# ------------------------------------------------------------------ what is refused


def test_mistakes_get_one_line_and_nothing_is_written(
    call: Any, trained: Trained, low: Any, files: Path, tmp_path: Path
) -> None:
    folder, out = trained("tagger"), tmp_path / "small"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    same = tmp_path / "link"
    same.symlink_to(folder)
    for arguments, words in (
        ((folder, "--to", "int4", "--out", out), "no precision 'int4': did you mean int8?"),
        ((folder, "--to", "bfloat16", "--out", out), "did you mean bf16?"),
        ((folder, "--to", "INT8", "--out", out), "did you mean int8?"),
        ((folder, "--to", "float32", "--out", out), "give int8 or bf16"),
        ((low("tagger", "int8"), "--to", "float32", "--out", out), 'precision="float32"'),
        ((low("tagger", "bf16"), "--to", "int8", "--out", out), "is in bf16 already"),
        ((folder, "--to", "int8", "--out", tmp_path / "other"), "exists and is not a bundle"),
        ((folder, "--to", "int8", "--out", folder), "is the model that is read"),
        ((folder, "--to", "int8", "--out", same), "is the model that is read"),
        ((folder, "--to", "int8", "--out", trained("chain")), "holds a float32 model already"),
        ((folder, "--to", "int8", "--out", low("chain", "int8")), "--overwrite to replace it"),
        ((folder, "--to", "int8", "--out", out, "--check", "-"), "--check reads a file twice"),
        ((folder, "--to", "int8", "--out", out, "--beam", 2), "are of --check"),
        ((folder, "--to", "int8", "--out", out, "--text"), "are of --check"),
        ((folder, "--to", "int8", "--out", out, "--format", "conll"), "are of --check"),
        ((folder, "--to", "int8", "--out", out, "--check", files / "none.tsv"), "none.tsv"),
        ((tmp_path / "nowhere", "--to", "int8", "--out", out), "there is no such folder"),
    ):
        assert words in call("quantize", *arguments).complaint
    assert not out.exists()
    assert [entry.name for entry in (tmp_path / "other").iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_what_was_there(
    call: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "small"
    assert call("quantize", trained("tagger"), "--to", "bf16", "--out", out).status == 0
    before = {entry.name: entry.read_bytes() for entry in out.iterdir()}

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("birnn.bundle.folder._write", full)
    told = call("quantize", trained("tagger"), "--to", "int8", "--out", out, "--overwrite")
    assert "No space left on device" in told.fault
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["small"]


# ------------------------------------------------------------------ what commands do with it

DEQUANTISED = "the model's weights are int8, dequantised here"
# Words of a call, of which MODEL, DATA, TRAIN and OUT stand for paths; and what is told of int8.
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "predict": (("predict", "MODEL", "DATA"), ""),
    "predict a text": (("predict", "MODEL", "the dog barks", "--probabilities"), ""),
    "evaluate": (("evaluate", "MODEL", "DATA"), "MODEL: in int8"),
    "evaluate two": (("evaluate", "MODEL", "FLOAT", "DATA"), "MODEL: in int8"),
    "explain": (("explain", "MODEL", "the dog barks", "--json"), DEQUANTISED),
    "export": (("export", "MODEL", "--to", "torch", "--out", "OUT.safetensors", "--verify"),
               DEQUANTISED),
    "export onnx": (("export", "MODEL", "--to", "onnx", "--out", "OUT.onnx", "--verify"),
                    DEQUANTISED),
    "train": (("train", "--from", "MODEL", "--train", "TRAIN", "--dev", "DATA", "--out", "OUT",
               "--epochs", "1"), "MODEL is in int8: its weights start dequantised"),
    "push": (("push", "MODEL", "ada/small"), "public"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.filterwarnings(IN_UPLOADS)
def test_every_command_that_takes_a_model_takes_a_quantised_one(
    call: Any, trained: Trained, low: Any, files: Path, tmp_path: Path, name: str
) -> None:
    words, notice = COMMANDS[name]
    model = str(low("tagger", "int8"))
    paths = {
        "MODEL": model,
        "FLOAT": str(trained("tagger")),
        "DATA": str(files / "test.tsv"),
        "TRAIN": str(files / "train.tsv"),
    }
    given = [paths.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in words]
    with standing_in(tmp_path / "cache"):
        told = call(*given)
        if name == "push":
            assert call("predict", "hf://ada/small", files / "test.tsv").status == 0
            assert call("push", trained("tagger"), "ada/full").status == 0
            again = ("quantize", "hf://ada/full", "--to", "int8", "--out", tmp_path / "again")
            assert call(*again).status == 0
            sizes = [located(each, no_notice).size for each in (model, tmp_path / "again")]
            assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    assert told.status == 0, told
    assert told.out
    assert notice.replace("MODEL", model) in told.err
    assert told.err.count(notice.replace("MODEL", model)) == 1 or not notice
    assert "Traceback" not in told.err


def test_a_warm_start_names_the_quantised_file(
    call: Any, low: Any, files: Path, tmp_path: Path
) -> None:
    model = low("tagger", "int8")
    data = ("--train", files / "train.tsv", "--dev", files / "dev.tsv", "--epochs", 1)
    assert call("train", "--from", model, *data, "--out", tmp_path / "out").status == 0
    made = load(tmp_path / "out")
    assert made.spec.precision == "float32"
    assert made.metadata["start"]["sha256"] == io.tensors_digest(load(model))


def test_an_interrupted_copy_is_no_bundle(low: Any, call: Any, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(low("tagger", "int8"), tmp_path / "broken"))
    content = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(content[:-10])
    assert "is truncated" in call("predict", broken, "the dog").complaint
