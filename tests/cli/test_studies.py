"""compare, demo and cost through the command line, on data and sizes too small to learn from."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from birnn import demos
from birnn.demos import Size, forecast
from birnn.metrics.significance import percent

TINY = Size(train=20, test=20, epochs=1)


@pytest.fixture
def compared(files: Path, small: tuple[str, ...]) -> list[str]:
    return [
        *("compare", "tagger", "--train", f"{files}/train.tsv", "--dev", f"{files}/dev.tsv"),
        *("--test", f"{files}/test.tsv", "--epochs", "1", "--seeds", "2", *small),
    ]


def test_the_help_of_demo_names_every_demo(call: Any) -> None:
    named = re.findall(r"\w+", call("demo", "--help").out)
    assert {*demos.DEMOS, "forecast"} <= set(named)


def test_compare_tells_all_four_ways_and_leaves_a_page(
    call: Any, compared: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    told = call(*compared, "--json", "--out", page)
    assert told.status == 0, told.err
    found = json.loads(told.out)
    hidden = {way: found[way]["hidden_size"] for way in ("forward", "both", "half", "equal")}
    assert (hidden["forward"], hidden["both"], hidden["half"]) == (4, 4, 2)
    assert hidden["half"] <= hidden["equal"] < 4
    assert len(found["mcnemar"]["steps"]) == 2
    assert told.err.count("seed 1") == told.err.count("seed 2") == 4
    text = page.read_text("utf-8")
    assert text.count("<svg") == 3
    assert all(f"{found[way]['accuracy_median']:.4f}" in text for way in hidden)


def test_compare_prints_tables_for_people_and_for_pages(call: Any, compared: list[str]) -> None:
    chosen = ("--way", "forward", "--way", "both")
    people, markdown = call(*compared, *chosen), call(*compared, *chosen, "--markdown")
    assert people.status == markdown.status == 0
    assert max(map(len, people.out.splitlines()[:12])) <= 80
    assert markdown.out.startswith("| way of reading | hidden |")
    assert "half" not in markdown.out
    assert "McNemar" not in people.err
    assert "Of sequences, " in people.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("regressor",), "got 'regressor': known: classifier"),
        (("tagger", "--way", "boht"), "'boht' is no way of reading: did you mean both?"),
        (("tagger", "--json", "--markdown"), "choose one"),
        (("tagger", "--set", "encoder.hiden=3"), "did you mean"),
    ],
)
def test_compare_refuses_before_it_reads(call: Any, arguments: Any, message: str) -> None:
    told = call("compare", *arguments, "--train", "none.tsv", "--test", "none.tsv")
    assert told.status == 2
    assert message in told.complaint


def test_compare_of_missing_files_and_too_little_data(
    call: Any, tmp_path: Path, small: tuple[str, ...]
) -> None:
    told = call("compare", "tagger", "--train", tmp_path / "no.tsv", "--test", tmp_path / "no.tsv")
    assert told.status == 1
    assert "no.tsv" in told.complaint
    (tmp_path / "two.tsv").write_text("a\tx\nb\ty\n\n" * 3)
    file = tmp_path / "two.tsv"
    told = call(
        *("compare", "tagger", "--train", file, "--test", file, "--epochs", 1, "--seeds", 1),
        *(*small, "--way", "forward", "--way", "both", "--out", tmp_path / "page.html"),
    )
    assert told.status == 0, told.err
    assert "too few differing answers for a test of significance" in told.out
    assert "too few differing answers" in (tmp_path / "page.html").read_text()


def test_demo_tells_each_direction(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demos, "run", functools.partial(demos.run, size=TINY))
    page = tmp_path / "page.html"
    told = call("demo", "brackets", "--seeds", "2", "--json", "--out", page)
    assert told.status == 0, told.err
    found = json.loads(told.out)
    for way in ("forward", "both"):
        low, middle, high = (found[way][f"accuracy_{key}"] for key in ("min", "median", "max"))
        assert low <= middle <= high
        assert percent(middle) in page.read_text("utf-8")
    plain = call("demo", "brackets", "--seeds", "1")
    assert plain.status == 0
    assert "limit" in plain.out


def test_every_demo_is_named_in_the_help_and_in_the_docs(call: Any) -> None:
    told = call("demo", "--help").out
    page = Path(__file__).parents[2].joinpath("docs", "how", "demo.md").read_text("utf-8")
    for name in (*demos.DEMOS, "forecast"):
        assert name in told
        assert f"| `{name}` |" in page


def test_demo_on_files_of_the_user(call: Any, files: Path, small: tuple[str, ...]) -> None:
    told = call(
        *("demo", "residues", "--train", f"{files}/train.3line", "--test", f"{files}/test.3line"),
        *("--seeds", 1, "--epochs", 1, "--set", "encoder.hidden_size=4", "--json"),
    )
    assert told.status == 0, told.err
    assert json.loads(told.out)["limit_of_one_direction"] is None


def test_variants_are_compared_on_a_demo(
    call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demos, "run_variants", functools.partial(demos.run_variants, size=TINY))
    page = tmp_path / "page.html"
    arguments = (
        "demo",
        "brackets",
        "--vary",
        "merge",
        "--seeds",
        1,
        "--set",
        "encoder.hidden_size=4",
    )
    told = call(*arguments, "--markdown", "--out", page)
    assert told.status == 0, told.err
    assert told.out.startswith("| merge | row | parameters | accuracy |")
    assert "| sum | 0 | 0 of 3 |" in told.out
    assert "| product | 1 | 0.1 | 0.01 | 0 |" in told.out
    assert "vanishes" in page.read_text("utf-8")


def test_forecast_says_why_two_directions_are_refused(
    call: Any, files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Size(train=8, test=4, epochs=1)
    monkeypatch.setattr(forecast, "SIZE", small)
    told = call("demo", "forecast", "--seeds", 1, "--out", tmp_path / "page.html")
    assert told.status == 0, told.err
    assert "two directions: refused" in told.out
    assert "bidirectional=False" in told.out
    assert "<svg" in (tmp_path / "page.html").read_text()
    own = call("demo", "forecast", "--seeds", 1, "--train", f"{files}/train.ts", "--json")
    assert own.status == 0, own.err
    assert json.loads(own.out)["floor"] is None


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    call: Any, compared: list[str], tmp_path: Path
) -> None:
    for out in (tmp_path, tmp_path / "none" / "page.html"):
        for command in (compared, ("demo", "brackets"), ("demo", "forecast"), ("cost",)):
            told = call(*command, "--out", out)
            assert told.status == 1
            assert str(out) in told.complaint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("braket",), "no demo 'braket': did you mean brackets?"),
        (("brackets", "--train", "x.tsv"), "both --train and --test"),
        (("forecast", "--test", "x.ts"), "forecast takes --train"),
        (("forecast", "--vary", "merge"), "forecast takes --train"),
        (("braket", "--vary", "cell"), "no demo 'braket': did you mean brackets?"),
        (("brackets", "--vary", "cels"), "nothing called 'cels' is varied: did you mean cell?"),
        (("brackets", "--vary", "cell", "--set", "encoder.cell=gru"), "cell is what is compared"),
        (("brackets", "--json", "--markdown"), "choose one"),
    ],
)
def test_demo_refuses_what_cannot_be(call: Any, arguments: Any, message: str) -> None:
    told = call("demo", *arguments)
    assert told.status == 2
    assert message in told.complaint


def test_cost_counts_as_promised(call: Any, tmp_path: Path) -> None:
    page = tmp_path / "cost.html"
    told = call("cost", "--no-measure", "--json", "--out", page)
    assert told.status == 0, told.err
    text = json.dumps(json.loads(told.out))
    for count in (365568, 366592, 731136, 733184, 234496, 235520):
        assert str(count) in text
    assert "<svg" in page.read_text("utf-8")
    plain = call("cost", "--cell", "gru", "--cell", "rnn_tanh", "--no-measure")
    assert plain.status == 0
    assert max(map(len, plain.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cell", "lsmt"), "did you mean lstm?"),
        (("--hidden", "0"), "hidden_size is 0"),
        (("--hidden", "1"), "hidden_size is 1"),
        (("--input", "-3"), "input_size is -3"),
        (("--merge", "add"), "merge"),
        (("--hidden", "900000"), "--no-measure"),
    ],
)
def test_cost_refuses_sizes_that_cannot_be(call: Any, arguments: Any, message: str) -> None:
    told = call("cost", *arguments)
    assert told.status == 2
    assert message in told.complaint


def test_compare_counts_the_errors_of_target_sequences(call: Any, tmp_path: Path) -> None:
    pairs = [f"{a}{b}\t{b.upper()} {a.upper()}" for a in "abc" for b in "abcd"]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join([*pairs, "aa\tA"]) + "\n")  # one source has two targets
    small = (
        "--set",
        "encoder.hidden_size=4",
        "--set",
        "head.dim=4",
        "--set",
        "head.attention=general",
    )
    told = call(
        "compare", "seq2seq", "--train", path, "--dev", path, "--test", path, "--seeds", 1,
        "--epochs", 1, "--way", "forward", "--way", "both", *small, "--json",
    )  # fmt: skip
    assert told.status == 0, told.err
    found = json.loads(told.out)
    assert (found["metric"], found["test_sequences"]) == ("token error rate", len(pairs))
    [test] = found["permutation"]["symbols"]
    for way in ("forward", "both"):
        assert found[way]["token_error_rate_median"] == found[way]["scores"][0]
        assert test[f"errors_{way}"] > 0
    assert found["answer"]
