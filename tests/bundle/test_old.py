"""Bundles that earlier code wrote load, and answer as they did: see ``old/README.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birnn
from birnn.cli.main import main
from birnn.engine import available

OLD = Path(__file__).parent / "old"
NAMES = sorted(path.parent.name for path in OLD.glob("*/answers.json"))
ENGINES = ("avx512", "avx2", "generic", "reference")


def known(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((OLD / name / "answers.json").read_text("utf-8"))
    return content


def numbers(recorded: list[list[str]]) -> list[np.ndarray]:
    return [np.frombuffer(bytes.fromhex(content), dtype) for dtype, content in recorded]


def test_each_kind_is_there() -> None:
    assert len(NAMES) == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_description_is_written_as_then(name: str) -> None:
    """What came later (hidden layers, a dense layer) is left out where a model has none."""
    written = json.loads((OLD / name / "bundle" / "birnn.json").read_text("utf-8"))["spec"]
    assert birnn.load(OLD / name / "bundle").spec.model_dump(mode="json") == written


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_same_to_the_last_bit(
    name: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the native engines; NumPy's products have the bits that its BLAS has for a processor."""
    if engine not in available():
        pytest.skip(f"the engine {engine} does not run here")
    # Without AVX2, NumPy's exponential has other last bits, and softmax with it.
    exact = engine != "reference" and "avx2" in available()
    monkeypatch.setenv("BIRNN_ISA", engine)
    recorded = known(name)
    then = recorded["engines"][engine]
    model = birnn.load(OLD / name / "bundle")

    predicted = model.predict(recorded["sequences"])
    if "values" in then:
        answers = [np.asarray(each) for each in predicted]
    else:
        labels = [each if isinstance(each, str) else list(each) for each in predicted]
        assert labels == then["labels"]
        answers = [np.asarray(each) for each in model.predict_proba(recorded["sequences"])]
    before_all = numbers(then.get("values", then.get("probabilities")))
    for now, before in zip(answers, before_all, strict=True):
        assert now.dtype == before.dtype
        if exact:
            assert now.tobytes() == before.tobytes()
        else:
            np.testing.assert_allclose(now.ravel(), before, rtol=1e-5, atol=1e-6)

    (test,) = (OLD / name).glob("test.*")
    scores = model.evaluate(test)
    if exact:
        assert {key: scores[key] for key in then["scores"]} == then["scores"]
    else:
        same(scores, then["scores"], name)


def same(now: Any, then: Any, where: str) -> None:
    """The same keys and words, and numbers as near as engines are."""
    if isinstance(then, dict):
        for key in then:
            same(now[key], then[key], f"{where}.{key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for number, pair in enumerate(zip(now, then, strict=True)):
            same(*pair, f"{where}[{number}]")
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-3, abs=1e-4), where
    else:
        assert now == then, where


@pytest.mark.parametrize("name", NAMES)
def test_explanations_have_the_same_numbers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = known(name)
    asked = recorded["asked"]
    if asked.startswith("test."):
        asked = str(OLD / name / asked)
    assert main(["explain", str(OLD / name / "bundle"), asked, "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert len(recorded["explain"]["left_out"]) == len(now["left_out"])
    then = {key: value for key, value in recorded["explain"].items() if key != "left_out"}
    same(now, then, name)
