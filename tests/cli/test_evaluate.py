"""Evaluation: scores as JSON and as tables."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.cli.printing import print_scores, print_table
from birnn.runtime import Predictor
from birnn.studies.answers import answers, paired

Trained = Callable[[str], Path]

NAMES = {
    "tagger": "test.tsv",
    "chain": "test.iob2",
    "classifier": "test.csv",
    "multilabel": "test-labels.csv",
    "series": "test.ts",
}


@pytest.mark.parametrize("kind", NAMES)
def test_json_holds_the_scores_of_the_library(
    call: Any, trained: Trained, files: Path, kind: str
) -> None:
    told = call("evaluate", trained(kind), files / NAMES[kind], "--json")
    assert (told.status, told.err) == (0, "")
    scores = json.loads(told.out)
    expected = Predictor.load(trained(kind)).evaluate(files / NAMES[kind])
    for volatile in ("seconds", "tokens_per_second"):
        assert scores.pop(volatile) > 0
        expected.pop(volatile)
    intervals = scores.pop("intervals")
    assert scores.pop("model_precision") == "float32"
    assert scores == expected
    found = answers(Predictor.load(trained(kind)), files / NAMES[kind]).intervals()
    assert {name: list(ends) for name, ends in found.items()}.items() <= intervals.items()
    assert (intervals["level"], intervals["resamples"], intervals["seed"]) == (0.95, 1000, 1)
    told = call("evaluate", trained(kind), files / NAMES[kind], "--json", "--level", 0)
    assert "intervals" not in json.loads(told.out)
    assert {"f1", "macro_f1", "tokens", "sequences"} <= set(scores)
    f1_kind = {"chain": "spans", "multilabel": "micro"}.get(kind, "macro")
    assert scores["f1_kind"] == f1_kind


@pytest.mark.parametrize("kind", ["chain", "regressor"])
def test_a_page_shows_the_scores(
    call: Any, trained: Trained, files: Path, tmp_path: Path, kind: str
) -> None:
    data, page = files / NAMES.get(kind, "test.jsonl"), tmp_path / "page.html"
    told = call("evaluate", trained(kind), data, "--json", "--out", page)
    assert (told.status, told.err) == (0, f"report: {page}\n")
    scores, text = json.loads(told.out), page.read_text("utf-8")
    measure = "rmse" if kind == "regressor" else "accuracy"
    assert f">{scores[measure]:.4f}<" in text
    assert text.count("<svg") == (kind == "chain")
    wrong = call("evaluate", trained(kind), data, "--out", tmp_path)
    assert wrong.status == 1
    assert "is a directory" in wrong.err


def test_json_of_a_regressor(call: Any, trained: Trained, files: Path) -> None:
    scores = json.loads(call("evaluate", trained("regressor"), files / "test.jsonl", "--json").out)
    assert scores["rmse"] == pytest.approx(scores["mse"] ** 0.5)


def test_what_json_cannot_hold_is_null(call: Any, trained: Trained, tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl"
    one.write_text('{"text": "dog", "values": [1, 2]}\n')

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told = call("evaluate", trained("regressor"), one, "--json")
    assert told.status == 0
    assert json.loads(told.out, parse_constant=refuse)["sequences"] == 1


@pytest.mark.parametrize("kind", [*NAMES, "regressor"])
def test_tables_fit_eighty_columns_without_colour(
    call: Any, trained: Trained, files: Path, kind: str
) -> None:
    told = call("evaluate", trained(kind), files / NAMES.get(kind, "test.jsonl"))
    assert (told.status, told.err) == (0, "")
    assert "\x1b" not in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    headline = {"regressor": "rmse", "multilabel": "exact match"}.get(kind, "accuracy")
    assert headline in told.out


@pytest.mark.parametrize("kind", [*NAMES, "regressor"])
def test_all_errors_are_written(
    call: Any, trained: Trained, files: Path, tmp_path: Path, kind: str
) -> None:
    data = files / NAMES.get(kind, "test.jsonl")
    expected = [error.record() for error in answers(Predictor.load(trained(kind)), data).errors]
    assert expected
    for name in ("e.jsonl", "e.tsv"):
        told = call("evaluate", trained(kind), data, "--errors", tmp_path / name, "--json")
        assert told.err == f"{len(expected):,} errors: {tmp_path / name}\n"
    lines = (tmp_path / "e.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    header, *rows = (line.split("\t") for line in (tmp_path / "e.tsv").read_text().splitlines())
    assert header == list(expected[0])
    assert [row[header.index("where")] for row in rows] == [e["where"] for e in expected]
    assert all(where.startswith(f"{data}") for where in (row[0] for row in rows))


def test_two_models_on_one_file(
    call: Any, trained: Trained, files: Path, tmp_path: Path, training: Any
) -> None:
    one, data = trained("tagger"), files / "test.tsv"
    other = tmp_path / "other"
    assert call(*training("tagger", other, "--seed", 5, "--epochs", 4)).status == 0
    errors = tmp_path / "apart.jsonl"
    told = call("evaluate", one, other, data, "--json", "--errors", errors)
    assert told.status == 0
    found = json.loads(told.out)
    expected = paired(Predictor.load(one), Predictor.load(other), data)
    assert found["models"] == [str(one), str(other)]
    assert found["test"]["name"] == "McNemar's test"
    assert found["test"]["p"] == expected.test.p
    assert found["test"]["questions"] == found["scores"][0]["tokens"]
    assert found["differences"] == expected.differences()
    assert found["intervals"]["accuracy"] == list(expected.intervals()["accuracy"])
    apart = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [record["model"] for record in apart] == [
        str((one, other)[number]) for number, _ in expected.apart()
    ]
    shown = call("evaluate", one, other, data)
    assert shown.status == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert " ".join(found["test"]["verdict"].split()[-3:]) in " ".join(shown.out.split())
    table = tmp_path / "apart.tsv"
    call("evaluate", one, other, data, "--errors", table)
    assert table.read_text().startswith("model\twhere\t")


def test_labels_that_one_of_two_models_never_saw_are_told(
    call: Any, trained: Trained, files: Path, tmp_path: Path
) -> None:
    one, two = trained("tagger"), tmp_path / "a" / "model"
    shutil.copytree(one, two)
    odd = tmp_path / "odd.tsv"
    odd.write_text((files / "test.tsv").read_text() + "\nnew\tNEVER-SEEN\n")
    told = call("evaluate", one, two, odd)
    assert told.status == 0
    for name in (one, two):
        line = f"labels that {name} never saw, counted as wrong: NEVER-SEEN (1)"
        assert line in told.err.splitlines()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--errors", "e.txt"], ".tsv or .jsonl"),
        (["--level", "95"], "between 0 and 1"),
        (["--level", "-0.5"], "between 0 and 1"),
    ],
)
def test_settings_that_do_not_fit(
    call: Any, trained: Trained, files: Path, more: list[str], said: str
) -> None:
    told = call("evaluate", trained("tagger"), files / "test.tsv", *more)
    assert told.status == 2
    assert said in told.complaint


def test_models_that_cannot_be_compared(call: Any, trained: Trained, files: Path) -> None:
    two = trained("tagger"), trained("classifier")
    assert "the other a classifier" in call("evaluate", *two, files / "test.tsv").complaint
    three = call("evaluate", *two, two[0], files / "test.tsv")
    assert "DIR DIR F" in three.complaint
    page = call("evaluate", two[0], two[0], files / "test.tsv", "--out", "page.html")
    assert "one model" in page.complaint


def test_errors_do_not_take_the_place_of_the_data(call: Any, trained: Trained, files: Path) -> None:
    data = files / "test.tsv"
    before = data.read_bytes()
    told = call("evaluate", trained("tagger"), data, "--errors", data)
    assert f"--errors {data} is the file that is read" in told.complaint
    assert data.read_bytes() == before


def test_labels_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[red]x[/red] :smile:", ("label",), [("[b]",), ("[/b]",), (":cat:",)])
    out = capsys.readouterr().out
    assert all(text in out for text in ("[red]x[/red] :smile:", "[b]", "[/b]", ":cat:"))


def test_a_long_title_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    title = "/a/long/path" * 20
    print_table(title, ("label",), [("x",)])
    assert capsys.readouterr().out.splitlines()[0] == title


def test_only_the_commonest_of_many_labels_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    labels = {f"label{i}": {**row, "support": i} for i in range(50)}
    scores = {"accuracy": 0.5, "per_label": labels, "tokens_per_second": 1.0}
    print_scores(scores, title="many")
    out = capsys.readouterr().out
    assert "label49" in out
    assert "label29" not in out


def test_training_tells_its_scores(call: Any, training: Any, tmp_path: Path) -> None:
    told = call(*training("tagger", tmp_path / "model", "--json"))
    assert (told.status, told.err) == (0, "")
    scores = json.loads(told.out)
    model = Predictor.load(tmp_path / "model")
    assert scores["model"] == str(tmp_path / "model")
    assert (scores["epochs"], scores["interrupted"]) == (1, False)
    assert scores["dev"]["accuracy"] == model.metrics["dev"]["accuracy"]


def test_progress_goes_to_standard_error(
    call: Any, files: Path, small: tuple[str, ...], tmp_path: Path
) -> None:
    told = call(
        *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / "model"),
        *("--epochs", 1, "--test", files / "test.tsv", *small),
    )
    assert told.status == 0
    first, scheme, second, third, single = told.err.splitlines()
    assert single.startswith("every answer on dev is ")
    assert scheme.startswith("the tags mark no spans")
    assert first.startswith("no dev file: 3 of the training examples, drawn with seed 1")
    assert "27 training and 3 dev examples" in second
    assert third.startswith("epoch 1/1  loss ")
    assert all(word in told.out for word in ("dev", "test", "accuracy", "model in", "1 epoch,"))


def test_without_a_dev_file_the_seed_draws_it(
    call: Any, files: Path, small: tuple[str, ...], tmp_path: Path
) -> None:
    models = []
    for name in ("one", "two"):
        call(
            *("train", "tagger", "--train", files / "train.tsv", "--out", tmp_path / name),
            *("--epochs", 1, "--seed", 5, "--quiet", *small),
        )
        models.append((tmp_path / name / "model.safetensors").read_bytes())
    assert models[0] == models[1]


UNIVERSAL = """\
1\tthe\tthe\tDET\tDT\t_\t2\tdet\t_\t_
2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_

1\truns\trun\tVERB\tVBZ\t_\t0\troot\t_\t_

"""


def test_the_field_is_kept_whatever_the_name_of_the_file(
    call: Any, small: tuple[str, ...], tmp_path: Path
) -> None:
    names = ("train.conllu", "T.CONLLU", "t.conllu.gz", "t.conll", "eng.train")
    for name in names:
        content = (UNIVERSAL * 8).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
    for number, name in enumerate(names):
        model = tmp_path / f"model{number}"
        told = call(
            "train", "tagger", "--train", tmp_path / name, "--field", "xpos", "--out", model,
            "--epochs", "1", "--json", *small,
        )  # fmt: skip
        assert told.status == 0
        labels = json.loads((model / "vocab.json").read_text())["labels"]
        assert set(labels) == {"DT", "NN", "VBZ"}
        assert "the option field" not in told.err
        other = tmp_path / names[number - 1]
        scores = json.loads(call("evaluate", model, other, "--json").out)
        assert scores["unknown_labels"] == {}
        assert scores["tokens"] == 24


def test_a_field_that_no_file_has_is_told(
    call: Any, files: Path, small: tuple[str, ...], tmp_path: Path
) -> None:
    told = call(
        "train", "tagger", "--train", files / "dev.tsv", "--field", "xpos", "--out",
        tmp_path / "model", "--epochs", "1", *small,
    )  # fmt: skip
    assert told.status == 0
    assert "the option field serves CoNLL-U, this is no such file" in told.err
