"""The quickstart through the command line, on data too small to learn from."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from birnn.demos import Size, quickstart
from birnn.runtime import Predictor

TINY = {"senses": Size(train=60, test=60, epochs=1), "brackets": Size(train=20, test=20, epochs=1)}


def test_quickstart_leaves_a_bundle_and_a_report(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "run", functools.partial(quickstart.run, sizes=TINY))
    told = call("quickstart", "--out", tmp_path / "quick")
    assert told.status == 0
    assert Predictor.load(tmp_path / "quick" / "bundle").predict([["the", "bank"]])
    assert "<html" in (tmp_path / "quick" / "report.html").read_text()
    # Results on standard output, progress on standard error.
    assert all(word in told.out for word in ("directions", "report.html", "birnn predict"))
    assert told.err
    assert max(len(line) for line in told.out.splitlines() if str(tmp_path) not in line) <= 80
    again = call("quickstart", "--out", tmp_path / "quick", "--json")
    assert again.status == 0
    assert json.loads(again.out)["bundle"] == str(tmp_path / "quick" / "bundle")


def test_quickstart_where_nothing_can_be_written(call: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "quick"):
        told = call("quickstart", "--out", out)
        assert told.status == 1
        assert str(out) in told.complaint
