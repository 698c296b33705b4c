"""The script that measures whole models in each precision, on a tiny one."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birnn
import precision_models
from accuracy import Set
from birnn.bundle import Bundle, Encoder, Spec, Tags, save
from birnn.cli.main import main
from birnn.inputs import Symbols
from random_tensors import random_tensors
from results import Check

SEQUENCES = ("ACA", "CC")
TOKENS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tagger of symbols in ``models/tiny``, its labelled file in ``data/tiny``."""
    spec = Spec(inputs=Symbols(size=3, dim=20), encoder=Encoder(hidden_size=40), head=Tags(size=2))
    vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}
    tensors = random_tensors(spec, np.random.default_rng(0))
    save(Bundle(spec, vocabularies, tensors), tmp_path / "models" / "tiny")
    place = tmp_path / "data" / "tiny"
    place.mkdir(parents=True)
    lines = ["\n".join(f"{symbol}\tx" for symbol in sequence) for sequence in SEQUENCES]
    (place / "test.conll").write_text("\n\n".join(lines) + "\n")
    return tmp_path


def in_this_process(*words: str | Path, threads: int | None = None) -> str:
    """What a command prints, as of `precision_models.command`."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([str(word) for word in words]) == 0, words
    return out.getvalue()


def test_a_model_is_scored_weighed_and_timed_in_each_precision(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {"tiny": Set("tagger", "", None, "test.conll", "accuracy", "accuracy", None, 0.0)}
    monkeypatch.setattr(precision_models, "SETS", sets)
    monkeypatch.setattr(precision_models, "SPEED_OF", "tiny")
    words = [str(folder / "models"), "--data", str(folder / "data"), "--repeats", "2"]
    words += ["--threads", "1", "--rounds", "1", "--results", str(folder / "runs" / "kept.json")]
    monkeypatch.setattr(sys, "argv", ["precision_models.py", *words])
    monkeypatch.setattr(precision_models, "command", in_this_process)
    # whether a tiny model gains is not what is asked here
    monkeypatch.setattr(Check, "met", True)
    precision_models.main()
    first = capsys.readouterr()
    model = birnn.load(folder / "models" / "tiny")
    answers = [tag for tags in model.predict(SEQUENCES) for tag in tags]
    score = f"{answers.count('x') / TOKENS:.4f}"
    assert f"| tiny | accuracy | {score} |" in first.out
    assert first.out.count(f" of {TOKENS} |") == 2  # answers compared with those of float32
    size = sum(file.stat().st_size for file in (folder / "models" / "tiny").iterdir())
    assert f"| tiny | {size / 1e6:.2f} |" in first.out
    assert "`birnn predict`, tiny, tokens/s" in first.out

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(precision_models, "command", never)
    precision_models.main()
    assert capsys.readouterr().out == first.out
    test = folder / "data" / "tiny" / "test.conll"
    test.write_text(test.read_text() * 2)
    with pytest.raises(AssertionError):  # it would be measured again
        precision_models.main()


def test_what_a_command_refuses_ends_the_script(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"birnn predict .*: birnn: .*no-such-model"):
        precision_models.command("predict", folder / "no-such-model", "x")


def test_losses_are_points_of_the_score() -> None:
    def found(score: float) -> dict[str, float]:
        return {"score": score, "bytes": 1.0}

    scores = {"sst2": {"float32": found(0.84), "bf16": found(0.8391), "int8": found(0.836)}}
    bf16, int8 = precision_models.checks(scores, {})
    assert (round(bf16.got, 9), bf16.met) == (0.09, True)
    assert (round(int8.got, 9), int8.met) == (0.4, False)
