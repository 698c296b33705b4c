"""`birnn predict` and `birnn evaluate` of a model that writes sequences."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Spec, Symbols, save
from birnn.runtime import Predictor, Search
from birnn.tasks import TargetSequence
from random_tensors import random_tensors

TARGETS = ("<s>", "AE1", "K", "T", "S")
SOURCES = ["cat", "", "tac", "xyz", "a"]


def write_model(place: Path, separator: str = " ", end: float = 0.0) -> None:
    spec = Spec(
        inputs=Symbols(size=4, dim=3),
        encoder=Encoder(hidden_size=4),
        head=TargetSequence(size=5, dim=4, hidden_size=8, longest=(2, 1.0), separator=separator),
    )
    tensors = random_tensors(spec, np.random.default_rng(1))
    tensors["head.linear.bias"][0] += end
    vocabularies = {"symbols": ("<unk>", "a", "c", "t"), "targets": TARGETS}
    reading = {"source_split": "characters", "target_split": "spaces"}
    save(Bundle(spec, vocabularies, tensors, metadata={"reading": reading}), place)


@pytest.fixture(scope="session")
def model(made_once: Callable[..., Path]) -> Path:
    return made_once("bundle seq2seq random", write_model)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{source}\n" for source in SOURCES))
    return path


def test_a_line_for_each_source(call: Any, model: Path, data: Path) -> None:
    predictor = Predictor.load(model)
    for options, search in (((), Search()), (("--beam", 1), Search(beam=1))):
        told = call("predict", model, data, *options)
        assert told.status == 0
        answers = predictor.predict(SOURCES, search=search)
        assert told.out == "".join(f"{' '.join(answer)}\n" for answer in answers)
    # A table of sources alone, with and without a header, in which an empty line is a source, too.
    for header in ("", "source\n"):
        table = data.with_name("sources.tsv")
        table.write_text(header + data.read_text())
        assert call("predict", model, table, "--beam", 1).out == told.out
    # Sources with targets, which are not read, or need not be there.
    for number, cells in enumerate((["AE1 K"] * 5, None)):
        pairs = data.with_name(f"{number}.jsonl")
        rows = [{"source": s, **({} if cells is None else {"target": cells[0]})} for s in SOURCES]
        pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert call("predict", model, pairs, "--beam", 1).out == told.out


def test_the_n_best_in_columns(call: Any, model: Path, data: Path) -> None:
    told = call("predict", model, data, "--nbest", 7)
    found = Predictor.load(model).predict_nbest(SOURCES, search=Search(beam=7, nbest=7))
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert rows == [
        [source, str(rank), f"{each.score:.4f}", " ".join(each.symbols)]
        + ([] if each.ended else ["cut"])
        for source, nbest in zip(SOURCES, found, strict=True)
        for rank, each in enumerate(nbest, 1)
    ]
    assert {len(nbest) for nbest in found} == {7}


def test_the_n_best_as_json(call: Any, model: Path, data: Path) -> None:
    found = Predictor.load(model).predict_nbest(SOURCES, search=Search(nbest=2))
    plain = call("predict", model, data, "--json").objects
    every = call("predict", model, data, "--json", "--nbest", 2).objects
    for source, nbest, one, all_of_it in zip(SOURCES, found, plain, every, strict=True):
        records = [
            {
                "target": list(each.symbols),
                "score": round(each.score, 6),
                "log_probability": round(each.log_probability, 6),
                "ended": each.ended,
            }
            for each in nbest
        ]
        assert one == {"text": source, "tokens": list(source), **records[0]}
        assert all_of_it == {**one, "nbest": records}


def test_a_target_with_tabs_stays_one_column(call: Any, tmp_path: Path, data: Path) -> None:
    write_model(tmp_path / "model", separator="\t")
    for line in call("predict", tmp_path / "model", data, "--nbest", 1).out.splitlines():
        assert line.count("\t") == 3


def test_answers_stand_in_the_lines_of_their_sources(
    call: Any, model: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("cat\tK\ntac\tT\na\tK\n\ncat\tK\nt\tT\n")
    told = call("predict", model, pairs, "--beam", 1)
    sources = [line.split("\t")[0] for line in pairs.read_text().splitlines()]
    answers = Predictor.load(model).predict(sources, search=Search(beam=1))
    assert told.out == "".join(f"{' '.join(answer)}\n" for answer in answers)
    scored = call("evaluate", model, pairs, "--json", "--beam", 1)
    assert "4: an empty line here, left out" in scored.err


@pytest.mark.parametrize("bad", ['{"source": null}', "{"])
def test_what_stands_before_a_fault_is_answered(
    call: Any, model: Path, tmp_path: Path, bad: str
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f'{{"source": "cat"}}\n{{"source": "tac"}}\n{bad}\n{{"source": "a"}}\n')
    told = call("predict", model, rows, "--beam", 1)
    assert told.status == 1
    answers = Predictor.load(model).predict(["cat", "tac"], search=Search(beam=1))
    assert told.out == "".join(f"{' '.join(answer)}\n" for answer in answers)
    assert "rows.jsonl:3" in told.err
    # A file is written whole or not at all.
    assert call("predict", model, rows, "--out", tmp_path / "answers").status == 1
    assert not (tmp_path / "answers").exists()


def test_answers_that_are_cut_are_told_once(
    call: Any, tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_model(tmp_path / "model", end=-60.0)
    told = call("predict", tmp_path / "model", data, "--beam", 1)
    assert told.status == 0
    assert [len(line.split()) for line in told.out.splitlines()] == [5, 2, 5, 5, 3]
    assert caplog.text.count("did not end within") == 1
    assert "5 of 5 answers did not end" in caplog.text
    assert "of sequence 0, 1, 2, 3, 4 (counted from 0)" in caplog.text
    assert "--longest N" in caplog.text
    nbest = call("predict", tmp_path / "model", data, "--beam", 1, "--nbest", 1, "--longest", 3).out
    assert [line.split("\t")[3:] for line in nbest.splitlines()] == [
        [line.split("\t")[3], "cut"] for line in nbest.splitlines()
    ]
    assert {len(line.split("\t")[3].split()) for line in nbest.splitlines()} == {3}
    caplog.clear()
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("cat\tK\ntac\tT\n")
    short = call("evaluate", tmp_path / "model", pairs, "--json", "--longest", 1, "--beam", 1)
    assert "2 of 2 answers did not end within the most symbols that the search" in short.err
    assert short.objects[0]["insertions"] == 0
    assert (
        call("predict", tmp_path / "model", data, "--beam", 1, "--json").objects[0]["ended"]
        is False
    )


def test_evaluation(call: Any, model: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(model)
    best, greedy = predictor.predict(SOURCES), predictor.predict(SOURCES, search=Search(beam=1))
    pairs = tmp_path / "pairs.tsv"
    rows = list(zip(SOURCES, best, strict=True))
    pairs.write_text("".join(f"{s}\t{' '.join(t)}\n" for s, t in rows if s))
    told = call("evaluate", model, pairs, "--json")
    assert told.status == 0
    [scores] = told.objects
    assert scores["token_error_rate"] == scores["sequence_error_rate"] == 0
    [scores] = call("evaluate", model, pairs, "--json", "--beam", 1).objects
    wrong = sum(b != g for s, b, g in zip(SOURCES, best, greedy, strict=True) if s)
    assert scores["sequence_error_rate"] == pytest.approx(wrong / 4)
    assert call("evaluate", model, pairs).status == 0


def test_a_pipe_is_answered_line_by_line(start: Any, model: Path) -> None:
    with start("predict", model, "--nbest", 2, stdin=subprocess.PIPE) as process:
        for text in ("cat", "", "tact"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            # The next line is written when this one is answered: it is not waited for.
            for rank in (b"1", b"2"):
                assert process.stdout.readline().split(b"\t")[:2] == [text.encode(), rank]
        process.stdin.close()
        assert (process.stdout.read(), process.wait(timeout=60)) == (b"", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--beam", 2, "--nbest", 3), "nbest is 3, a beam of 2 gives at most 2"),
        (("--beam", 0), "--beam"),
        (("--beam", 10**6), "beam is 1000000, it must be from 1 to 1,000"),
        (("--probabilities",), "a seq2seq has no probabilities. Leave --probabilities out"),
        (("--json", "--all-probabilities"), "a seq2seq has no probabilities"),
    ],
)
def test_wrong_use(call: Any, model: Path, data: Path, options: Any, message: str) -> None:
    told = call("predict", model, data, *options)
    assert told.status == 2
    assert message in told.complaint


@pytest.mark.parametrize("option", ["--beam", "--nbest"])
def test_other_tasks_do_not_search(
    call: Any, trained: Callable[[str], Path], files: Path, option: str
) -> None:
    for command in ("predict", "evaluate") if option == "--beam" else ("predict",):
        told = call(command, trained("tagger"), files / "test.tsv", option, 3)
        assert told.status == 2
        assert f"{option} is for models that search for their answers" in told.complaint


def test_an_answer_is_explained_and_only_its_page_needs_torch(
    call: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    told = call("explain", model, "cat", "--json", "--out", page)
    assert told.status == 0, told.err
    found = json.loads(told.out)
    assert found["answer"] == Predictor.load(model).predict(["cat"])[0]
    assert np.array(found["attention"]).shape == (len(found["steps"]), 3)
    np.testing.assert_allclose(found["coverage"], np.sum(found["attention"], axis=0))
    assert page.read_text("utf-8").count("<svg") == 2
    assert "the bundle has no mean states" in found["left_out"][0]
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'birnn[train]'" in call("explain", model, "cat", "--out", page).err
    other = call("explain", model, "cat", "--target", "K T S", "--data", write_sources(tmp_path))
    assert other.status == 0, other.err
    assert other.out.startswith("K T S (")
    assert "without backward" in other.out
    for given, line in (
        (("--step", "1"), "--step is of a tagger or a filler"),
        (("--target", "K X"), "'X' is no symbol that this model writes"),
    ):
        refused = call("explain", model, "cat", *given)
        assert refused.status in (1, 2)
        assert line in refused.err
    empty = call("explain", model, "")
    assert (empty.status, empty.out) == (1, "")
    assert "the source has no steps" in empty.err


def write_sources(place: Path) -> Path:
    path = place / "sources.txt"
    path.write_text("cat\n\ntac\n")
    return path
