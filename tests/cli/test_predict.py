"""Prediction: every format, in order, empty sequences in their place, memory flat."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import save
from birnn.data import read, tokenise
from birnn.runtime import Predictor
from birnn.runtime.batches import WINDOW

Trained = Callable[[str], Path]


def blocks(out: str) -> list[list[list[str]]]:
    """Tokens and tags of each sequence of a tagger's plain answer."""
    return [
        [line.split("\t") for line in block.splitlines()]
        for block in out.removesuffix("\n").split("\n\n")
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tagger", "test.tsv"),
        ("chain", "test.iob2"),
        ("residues", "test.3line"),
        ("classifier", "test.csv"),
        ("multilabel", "test-labels.csv"),
        ("series", "test.ts"),
        ("regressor", "test.jsonl"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_answers_are_those_of_the_library(
    call: Any, trained: Trained, files: Path, kind: str, name: str, labelled: bool
) -> None:
    model = Predictor.load(trained(kind))
    examples = list(read(files / name, model.spec.head.target, labelled=labelled))
    expected = model.predict(example.inputs for example in examples)
    told = call("predict", trained(kind), files / name, "--json")
    assert told.status == 0
    # Of a labelled table it is told that the label is not read, and of columns the tags.
    assert told.err.count("\n") == name.endswith(("csv", "jsonl", "tsv", "iob2"))
    assert "not read: " in told.err or not told.err
    lines = [json.loads(line) for line in told.out.splitlines()]
    key = model.spec.head.target
    assert [line[key] for line in lines] == expected
    if kind != "series":
        assert [line["tokens"] for line in lines] == [list(e.inputs) for e in examples]


def test_a_tagger_writes_token_and_tag_and_an_empty_line(
    call: Any, trained: Trained, files: Path
) -> None:
    out = call("predict", trained("tagger"), files / "test.tsv").out
    given = list(read(files / "test.tsv", "tags"))
    assert [[row[0] for row in block] for block in blocks(out)] == [list(e.inputs) for e in given]
    assert {row[1] for block in blocks(out) for row in block} <= {"DET", "NOUN", "VERB", "ADJ"}


def test_a_tagger_of_series_writes_the_step(call: Any, tmp_path: Path, small: Any) -> None:
    draw = np.random.default_rng(0)
    data = tmp_path / "data.npz"
    np.savez(
        data,
        values=draw.normal(size=(12, 2)),
        lengths=[3, 0, 9],
        tags=["a", "b", "a"] * 4,
    )
    training = ("train", "tagger", "--train", data, "--dev", data, "--out", tmp_path / "model")
    assert call(*training, "--epochs", 1, *small).status == 0
    told = call("predict", tmp_path / "model", data)
    steps = [line.split("\t")[0] for line in told.out.splitlines()]
    assert steps == ["0", "1", "2", "", "", *map(str, range(9)), ""]


def test_targets_are_not_needed_and_not_read(call: Any, trained: Trained, tmp_path: Path) -> None:
    rows = ["1\tdog\t_\tJUNK\t_\t_\t_\t_\t_\t_", "2\truns\t_\t_\t_\t_\t_\t_\t_\t_", ""]
    (tmp_path / "a.conllu").write_text("\n".join(rows) + "\n")
    (tmp_path / "b.tsv").write_text("dog\nruns\n\n")
    (tmp_path / "c.jsonl").write_text('{"tokens": ["dog", "runs"]}\n')
    (tmp_path / "d.txt").write_text("dog runs\n")
    answers = {
        name: call("predict", trained("tagger"), tmp_path / name).out
        for name in ("a.conllu", "b.tsv", "c.jsonl", "d.txt")
    }
    assert len(set(answers.values())) == 1
    assert [row[0] for row in blocks(answers["d.txt"])[0]] == ["dog", "runs"]


@pytest.mark.parametrize("arguments", [[], ["-"], ["-", "--format", "text"]])
def test_standard_input_is_plain_text(call: Any, trained: Trained, arguments: list[str]) -> None:
    told = call("predict", trained("tagger"), *arguments, "--json", stdin=b"the dog, runs\n")
    assert [json.loads(line)["tokens"] for line in told.out.splitlines()] == [
        list(tokenise("the dog, runs"))
    ]


def test_standard_input_of_another_format(call: Any, trained: Trained, files: Path) -> None:
    content = (files / "test.tsv").read_bytes()
    told = call("predict", trained("tagger"), "--format", "conll", stdin=content)
    assert told.err.startswith(
        "standard input:1: tokens are read from column 1; not read: column 2"
    )
    assert told.out == call("predict", trained("tagger"), files / "test.tsv").out


@pytest.mark.parametrize(
    ("kind", "line", "formats"),
    [
        ("tagger", b"1\tThe\tthe\tDET\t_\t_\t0\troot\t_\t_\n", "conll|conllu"),
        ("tagger", b"the\tD\ncat\tN\n\n", "conll|conllu"),
        ("classifier", b"good film\tpos\n", "tsv"),
    ],
)
def test_a_table_on_standard_input_is_refused_as_plain_text(
    call: Any, trained: Trained, kind: str, line: bytes, formats: str, tmp_path: Path
) -> None:
    told = call("predict", trained(kind), stdin=line)
    assert told.status == 1
    assert told.complaint.startswith("birnn: standard input:1: a tab")
    assert f"--format {formats}, or --format text" in told.complaint
    (tmp_path / "data.txt").write_bytes(line)
    told = call("predict", trained(kind), tmp_path / "data.txt")
    assert f"{tmp_path / 'data.txt'}:1: a tab" in told.complaint
    assert call("predict", trained(kind), "--format", "text", stdin=line).status == 0


def test_standard_input_of_a_model_of_vectors_needs_its_format(call: Any, trained: Trained) -> None:
    told = call("predict", trained("series"), stdin=b"1 2 3\n")
    assert told.status == 2
    assert "--format" in told.complaint


def test_compressed_files(call: Any, trained: Trained, files: Path, tmp_path: Path) -> None:
    packed = tmp_path / "test.tsv.gz"
    packed.write_bytes(gzip.compress((files / "test.tsv").read_bytes()))
    told = call("predict", trained("tagger"), packed)
    assert told.status == 0
    assert told.out == call("predict", trained("tagger"), files / "test.tsv").out


def test_a_string_of_symbols_is_read_alike_everywhere(
    call: Any, trained: Trained, tmp_path: Path
) -> None:
    bundle = trained("residues")
    [expected] = Predictor.load(bundle).predict([["A", "C", "D"]])
    assert Predictor.load(bundle).predict(["A C\tD"]) == [expected]
    (tmp_path / "A.TXT").write_text("A CD\n")
    (tmp_path / "a.fasta").write_text(">a\nA C\nD\n")
    for name in ("A.TXT", "a.fasta"):
        told = json.loads(call("predict", bundle, tmp_path / name, "--json").out)
        assert (told["tokens"], told["tags"]) == (["A", "C", "D"], expected)
    told = call("explain", bundle, "A C D", "--json")
    assert json.loads(told.out)["tokens"] == ["A", "C", "D"]


def test_texts_of_symbols_are_strings_of_them(
    call: Any, small: tuple[str, ...], tmp_path: Path
) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text,label\n" + "ACGT AC,in\nGGT,out\nacg,in\n" * 8)
    model = tmp_path / "model"
    told = call(
        "train", "classifier", "--train", table, "--out", model, "--set", "inputs.kind=symbols",
        "--epochs", "1", *small,
    )  # fmt: skip
    assert told.status == 0
    assert set(json.loads((model / "vocab.json").read_text())["symbols"]) == {"<unk>", *"ACGTacg"}
    for name, content in {"a.csv": None, "b.jsonl": '{"text": "ACGT AC", "label": "in"}'}.items():
        if content is not None:
            (tmp_path / name).write_text(content)
        first = json.loads(call("predict", model, tmp_path / name, "--json").out.splitlines()[0])
        assert first["tokens"] == list("ACGTAC")
    scores = json.loads(call("evaluate", model, table, "--json").out)
    assert scores["tokens"] == 8 * (6 + 3 + 3)


def test_tags_under_residues_are_not_read(call: Any, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(">a\nACDACDA\nHECHECH\n")
    (tmp_path / "a.3line").write_text(">a\nACDACDA\nHECHECH\n")
    told = call("predict", trained("residues"), tmp_path / "a.fasta")
    assert told.out == call("predict", trained("residues"), tmp_path / "a.3line").out
    assert len(told.out.splitlines()) == 8
    assert told.err.count("\n") == 1
    assert "--format 3line" in told.err


def test_symbols_are_read_character_by_character(call: Any, trained: Trained) -> None:
    told = call("predict", trained("residues"), "--json", stdin=b"ACDA\n\nA C\n")
    assert [json.loads(line)["tokens"] for line in told.out.splitlines()] == [
        ["A", "C", "D", "A"],
        [],
        ["A", "C"],
    ]


@pytest.mark.parametrize("kind", ["tagger", "chain", "classifier", "regressor"])
def test_empty_lines_keep_their_place(call: Any, trained: Trained, kind: str) -> None:
    told = call("predict", trained(kind), "--json", stdin=b"the dog\n\n\nruns\n\n")
    assert told.status == 0
    assert [json.loads(line)["tokens"] for line in told.out.splitlines()] == [
        ["the", "dog"],
        [],
        [],
        ["runs"],
        [],
    ]
    plain = call("predict", trained(kind), stdin=b"the dog\n\n\nruns\n\n").out
    if kind in ("tagger", "chain"):
        assert [line.split("\t")[0] for line in plain.splitlines()] == [
            *("the", "dog", "", "", "", "runs", "", "")
        ]
    else:
        assert len(plain.splitlines()) == 5


@pytest.mark.parametrize("kind", ["tagger", "chain", "classifier", "series"])
def test_probabilities_are_those_of_the_answers(
    call: Any, trained: Trained, files: Path, kind: str
) -> None:
    name = {"tagger": "test.tsv", "chain": "test.iob2", "series": "test.ts"}.get(kind, "test.csv")
    predictor = Predictor.load(trained(kind))
    examples = read(files / name, predictor.spec.head.target, labelled=False)
    plain = call("predict", trained(kind), files / name).out
    told = call("predict", trained(kind), files / name, "--probabilities").out
    rows = [line.split("\t") for line in told.splitlines()]
    # The answers are the same with and without their probabilities.
    assert ["\t".join(row[:-1]) for row in rows] == plain.splitlines()
    expected = []
    for answer, chances in predictor.stream_proba(e.inputs for e in examples):
        of_step = (
            [(answer, chances)] if isinstance(answer, str) else zip(answer, chances, strict=True)
        )
        expected += [row[predictor.labels.index(label)] for label, row in of_step]
    np.testing.assert_allclose([float(row[-1]) for row in rows if row[0]], expected, atol=1e-4)
    found: list[float] = []
    for line in call("predict", trained(kind), files / name, "--probabilities", "--json").objects:
        found += line["probabilities"] if "tags" in line else [line["probability"]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["tagger", "chain", "classifier", "multilabel"])
def test_all_probabilities_name_every_label(
    call: Any, trained: Trained, files: Path, kind: str
) -> None:
    name = {"tagger": "test.tsv", "chain": "test.iob2"}.get(kind, "test.csv")
    model = Predictor.load(trained(kind))
    inputs = [e.inputs for e in read(files / name, model.spec.head.target, labelled=False)]
    told = call("predict", trained(kind), files / name, "--all-probabilities", "--json")
    for line, expected in zip(told.objects, model.predict_proba(inputs), strict=True):
        given = line["probabilities"]
        rows = given if "tags" in line else [given]
        assert all(tuple(row) == model.labels for row in rows)
        values = np.array([list(row.values()) for row in rows]).reshape(-1, len(model.labels))
        np.testing.assert_allclose(values, expected.reshape(values.shape), atol=1e-6)
    told = call("predict", trained(kind), files / name, "--all-probabilities")
    assert (told.status, "--json" in told.complaint) == (2, True)


def test_a_chain_shows_its_best_sequence_not_the_best_tag_of_each_step(
    call: Any, trained: Trained, tmp_path: Path
) -> None:
    # Emissions that say nothing, and transitions by hand: after O any of three is as likely, while
    # B-ACT B-ACT has no rival of its own weight.
    bundle = Predictor.load(trained("chain")).bundle
    labels = bundle.vocabularies["labels"]
    act, outside = labels.index("B-ACT"), labels.index("O")
    tensors = {name: tensor.copy() for name, tensor in bundle.tensors.items()}
    for name in ("head.linear.weight", "head.linear.bias", "head.crf.transitions", "head.crf.end"):
        tensors[name][:] = 0.0
    tensors["head.crf.start"][:] = -9.0
    tensors["head.crf.start"][[act, outside]] = 0.6, 0.0
    tensors["head.crf.transitions"][act] = -9.0
    tensors["head.crf.transitions"][act, act] = 0.0
    model = tmp_path / "model"
    save(replace(bundle, tensors=tensors), model)
    told = call("predict", model, "--probabilities", stdin=b"dog dog\n").out
    (first, second), *_ = [[row[1:] for row in block] for block in blocks(told)]
    assert (first[0], second[0]) == ("B-ACT", "B-ACT")
    # exp(0.6) against the sequences O x over all x that may follow O.
    rivals = sum(not label.startswith("I-") for label in labels)
    expected = np.exp(0.6) / (np.exp(0.6) + rivals)
    assert float(first[1]) == pytest.approx(expected, abs=2e-3)
    assert expected < 0.5 < 1 - expected


def test_a_regressor_has_no_probabilities(call: Any, trained: Trained, files: Path) -> None:
    told = call("predict", trained("regressor"), files / "test.jsonl", "--probabilities")
    assert told.status == 2
    assert "--probabilities" in told.complaint


def test_answers_come_while_the_file_is_still_read(
    call: Any, trained: Trained, tmp_path: Path
) -> None:
    data = tmp_path / "data.tsv"
    good = "dog\tNOUN\n\n" * (2 * WINDOW)
    data.write_bytes(good.encode() + b"\xff\n")
    told = call("predict", trained("tagger"), data, "--columns", "token=1")
    assert told.status == 1
    assert told.err.startswith(f"birnn: {data}:{4 * WINDOW + 1}: not UTF-8")
    assert len(blocks(told.out)) >= WINDOW


@pytest.mark.parametrize("kind", ["tagger", "classifier"])
def test_a_pipe_is_answered_line_by_line(start: Any, trained: Trained, kind: str) -> None:
    with start("predict", trained(kind), "--json", stdin=subprocess.PIPE) as process:
        for text in ("the dog", "", "a cat runs"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            # The next line is written when this one is answered: it is not waited for.
            assert json.loads(process.stdout.readline())["tokens"] == text.split()
        process.stdin.close()
        assert (process.stdout.read(), process.wait(timeout=60)) == (b"", 0)


def test_interrupted_while_it_waits_for_a_line(start: Any, trained: Trained) -> None:
    with start("predict", trained("tagger"), stdin=subprocess.PIPE) as process:
        process.stdin.write(b"dog\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"dog\t")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"birnn: interrupted\n")


def test_a_fault_in_a_pipe_comes_after_the_answers_before_it(start: Any, trained: Trained) -> None:
    with start("predict", trained("tagger"), "--json", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"dog\ncat\n\xff\n", timeout=60)
    assert [json.loads(line)["tokens"] for line in out.splitlines()] == [["dog"], ["cat"]]
    assert process.returncode == 1
    assert err.startswith(b"birnn: standard input:3: not UTF-8")


def test_json_has_no_word_for_infinity(
    call: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(self: Predictor, sequences: Any, *, search: Any, wait: bool) -> Any:
        return ([1.5, (np.nan, np.inf)[n % 2]] for n, _ in enumerate(sequences))

    monkeypatch.setattr(Predictor, "stream", answers)
    data = tmp_path / "data.txt"
    data.write_text("dog\nruns\n")
    told = call("predict", trained("regressor"), data, "--json")
    assert told.status == 0
    assert [line["values"] for line in told.objects] == [[1.5, None], [1.5, None]]
    assert told.err.splitlines() == [
        f"{data}:1: values that are no finite numbers are written as null"
    ]


@pytest.mark.parametrize("option", ["--probabilities", "--all-probabilities"])
def test_json_has_no_word_for_a_probability_that_is_nan(
    call: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def answers(self: Predictor, sequences: Any, *, wait: bool) -> Any:
        chances = np.full((1, len(self.labels)), np.nan)
        return (([self.labels[0]], chances) for _ in sequences)

    monkeypatch.setattr(Predictor, "stream_proba", answers)
    data = tmp_path / "data.txt"
    data.write_text("dog\nruns\n")
    told = call("predict", trained("tagger"), data, "--json", option)
    assert told.status == 0
    for line in told.objects:
        [chances] = line["probabilities"]
        assert chances is None or set(chances.values()) == {None}
    assert told.err.splitlines() == [
        f"{data}:1: values that are no finite numbers are written as null"
    ]


def test_tokens_with_tabs_and_line_ends_stay_on_their_line(
    call: Any, trained: Trained, tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"tokens": ["a\tb", "c\nd", "\x1b[31m"]}) + "\n")
    rows = call("predict", trained("tagger"), data).out.split("\n")
    assert [row.split("\t")[0] for row in rows[:3]] == [r"a\tb", r"c\nd", r"\x1b[31m"]
    assert [len(row.split("\t")) for row in rows[:3]] == [2, 2, 2]


PEAK = """
import resource, sys
from birnn.cli.main import main
status = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.slow
def test_memory_is_flat_on_a_file_of_a_million_tokens(
    start: Any, trained: Trained, tmp_path: Path
) -> None:
    peaks = []
    line = "the green dog runs a cat barks the dog runs\n"
    for tokens in (100_000, 1_000_000):
        data, out = tmp_path / "data.txt", tmp_path / "out.tsv"
        data.write_text(line * (tokens // 10))
        with start("predict", trained("tagger"), data, "--out", out, program=PEAK) as process:
            _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        with out.open() as stream:
            assert sum(row != "\n" for row in stream) == tokens
        peaks.append(int(err))
    assert peaks[1] < peaks[0] * 1.1
