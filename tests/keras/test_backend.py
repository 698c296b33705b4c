"""On which backend Keras is imported, before it is."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from birnn.errors import ConfigError, MissingExtra
from birnn.keras import backend


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``installed(*packages)``: nothing else is, and Keras was not imported yet."""

    def only(*packages: str) -> list[str]:
        took: list[str] = []
        for name in ("keras", *backend.BACKENDS):
            monkeypatch.delitem(sys.modules, name, raising=False)

        def found(name: str) -> object:
            return object() if name in packages else None

        def require(name: str, *, extra: str) -> ModuleType:
            if name not in packages:
                raise MissingExtra(f"this needs {name}")
            took.append(backend.os.environ.get(backend.VARIABLE, "its own"))
            return ModuleType(name)

        monkeypatch.setattr(importlib.util, "find_spec", found)
        monkeypatch.setattr(backend, "require", require)
        return took

    monkeypatch.delenv(backend.VARIABLE)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return only


@pytest.mark.parametrize(
    ("packages", "chosen"),
    [(("jax", "torch"), "torch"), (("jax",), "jax"), (("tensorflow", "torch"), "its own")],
)
def test_one_that_is_installed_is_chosen(
    installed: Any, packages: tuple[str, ...], chosen: str
) -> None:
    took, told = installed("keras", *packages), []
    backend.load_keras(told.append)
    assert took == [chosen]
    assert backend.VARIABLE not in backend.os.environ
    notice = f"Keras runs on {chosen}, as tensorflow is not installed; "
    assert told == ([] if chosen == "its own" else [f"{notice}KERAS_BACKEND chooses another"])


def test_what_is_set_is_taken(
    installed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert installed("keras", "torch", "jax") == []
    told: list[str] = []
    backend.load_keras(told.append)
    monkeypatch.setenv(backend.VARIABLE, "torch")
    backend.load_keras(told.append)
    assert told == []


@pytest.mark.parametrize(
    ("named", "packages", "error", "message"),
    [
        ("", (), MissingExtra, "this needs keras"),
        ("", ("keras",), MissingExtra, "one of torch, jax, tensorflow beneath it, and none is"),
        ("jax", ("keras", "torch"), MissingExtra, "KERAS_BACKEND is jax, which is not installed"),
        ("torhc", ("keras", "torch"), ConfigError, "is 'torhc': did you mean torch?"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    installed: Any,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    packages: tuple[str, ...],
    error: type[Exception],
    message: str,
) -> None:
    installed(*packages)
    if named:
        monkeypatch.setenv(backend.VARIABLE, named)
    with pytest.raises(error, match=message):
        backend.load_keras()
