"""Libraries in each precision do the work that they are timed for; the script keeps what it has."""

# B sequences, T steps, N rows

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import precision
import results
from birnn.engine import isa
from birnn.studies import turns
from birnn.studies.bench import Case, Shape
from birnn.studies.bench.cases import problem
from peers.precisions import VARIANTS, Variant
from results import Check, Results, conditions, positive

SHAPE = Shape(3, 40, 33, 6)
ROUNDING = 1e-5  # more than float32 is wrong by, on sums of 40 products


def never(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_way_answers_in_its_precision(variant: Variant) -> None:
    drawn = problem(Case(SHAPE))
    wanted = precision.exact(drawn.case)
    for peer in variant.ways:
        if not peer.installed():
            pytest.skip(f"{peer.packages[0]} is not installed: {peer.how_to_install()}")
    found = [error for _, error, _ in precision.right_ways(variant, drawn, wanted, 1)]
    ways = [way for peer in variant.ways for way in peer.implement(drawn, "forward", 1)]
    assert len(found) == len(ways), "a way was left out"
    for error in found:
        # What claims a lower precision and answers as float32 does is not what it is called.
        assert (error > ROUNDING) == (variant.precision != "float32")


def test_what_answers_otherwise_is_left_out_and_ours_is_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = problem(Case(SHAPE))
    wrong = precision.exact(drawn.case) + 1
    by_name = {variant.name: variant for variant in VARIANTS}
    assert not list(precision.right_ways(by_name["torch float32"], drawn, wrong, 1))
    assert "torch float32 packed, 3x40x33x6: wrong by 1" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="birnn float32, 3x40x33x6: wrong by 1"):
        list(precision.right_ways(by_name["birnn float32"], drawn, wrong, 1))
    assert not list(precision.right_ways(by_name["torch bf16"], drawn, wrong * np.nan, 1))


def test_goals_go_by_the_engine_that_ran() -> None:
    times = {"birnn float32": 3.0, "birnn int8": 2.0, "birnn bf16": 2.0, "torch bf16": 3.0}
    timings: precision.Timings = {
        1: {"32x128x256x25": {name: {"seconds": each} for name, each in times.items()}}
    }

    def held(int8: str, bf16: str) -> list[tuple[float, float, bool]]:
        engines = {"float32": "avx512", "int8": int8, "bf16": bf16}
        return [(c.want, c.got, c.met) for c in precision.checks(timings, engines)]

    assert held("avx2", "avx2") == []
    assert held("avx512_vnni", "avx512_bf16") == [(1.4, 1.5, True)]
    assert held("amx", "amx") == [(4, 1.5, False), (3, 1.5, False), (1.5, 1.5, True)]


def test_the_script_prints_markdown_and_measures_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PAUSE", "WARM", "TURN"):
        monkeypatch.setattr(turns, name, 0.0)
    only = [v for v in VARIANTS if v.library in {"birnn", "torch"} and v.precision == "float32"]
    monkeypatch.setattr(precision, "VARIANTS", only)
    kept = tmp_path / "runs" / "precision.json"
    words = ["--shapes", "2x3x4x5", "--threads", "1", "--rounds", "1", "--results", str(kept)]
    monkeypatch.setattr(sys, "argv", ["precision.py", *words])
    precision.main()
    first = capsys.readouterr()
    assert "| shape | birnn float32 | torch float32 |" in first.out
    assert first.out.count("| 2x3x4x5 |") == 2  # milliseconds, errors
    assert "2x3x4x5, threads 1, rounds 1: measured" in first.err
    monkeypatch.setattr(precision, "measure", never)
    precision.main()
    assert capsys.readouterr().out == first.out


def test_results_of_another_machine_are_not_mixed_with_ours(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    assert Results(path, {"machine": "this"}).get("a", lambda: 1) == 1
    assert json.loads(path.read_text())["measured"] == {"a": 1}
    assert Results(path, {"machine": "this"}).get("a", never) == 1
    with pytest.raises(SystemExit, match=r"with machine this, here is that\. Name another file"):
        Results(path, {"machine": "that"})


def test_results_of_another_build_are_not_mixed_with_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, path = tmp_path / "module.so", tmp_path / "kept.json"
    monkeypatch.setattr(isa, "native_module", lambda: SimpleNamespace(__file__=str(module)))
    monkeypatch.setattr(results, "engines", dict)
    module.write_bytes(b"one")
    assert Results(path, conditions()).get("a", lambda: 1) == 1
    assert Results(path, conditions()).get("a", never) == 1
    module.write_bytes(b"other")
    with pytest.raises(SystemExit, match="was measured with build"):
        Results(path, conditions())


@pytest.mark.parametrize("content", ["", '{"a', "[1]", '{"where": {}, "measured": 3}'])
def test_what_is_no_file_of_results_is_told_and_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(content)
    with pytest.raises(SystemExit, match="holds no results"):
        Results(path, {})
    assert path.read_text() == content
    with pytest.raises(SystemExit, match="cannot be made: "):
        Results(path / "kept.json", {})


def test_numbers_of_rounds_and_threads_are_at_least_one() -> None:
    assert positive("3") == 3
    for text in ("0", "-1", "1.5", "x", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="is no whole number above 0"):
            positive(text)


def test_a_target_is_the_least_or_the_most() -> None:
    assert Check("", 1.4, 1.4).met
    assert not Check("", 1.4, 1.39).met
    assert Check("", 0.3, 0.2, most=True).met
    assert Check("lost", 0.3, 0.31, "{:.2f}", most=True).row() == (
        "lost",
        "at most 0.30",
        "0.31",
        "no",
    )
