"""What is told and where it goes: results to standard output or a file, all else to errors."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from birnn.errors import (
    DataError,
    FormatError,
    OutputError,
    UsageError,
    escaped,
    print_notice,
    require,
)

STANDARD_INPUT = "-"  # as birnn.data.source has it, which would be slow to import here


def require_training(*, plots: bool = False) -> None:
    """Say now what is not installed, not after an hour of training.

    Args:
        plots: Whether a page with figures is to be written.

    Raises:
        MissingExtra: It is not.
    """
    for module in ("torch", "lightning"):
        require(module, extra="train")
    if plots:
        _require_plots()


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Refuse two forms of one answer.

    Raises:
        UsageError: Both are asked for.
    """
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of one answer: choose one.")


def check_page(path: Path | None) -> None:
    """Refuse a page that cannot be drawn or written now, not after an hour of work.

    Raises:
        MissingExtra: What draws it is not installed.
        OutputError: A directory stands there, or there is no folder to write it to.
    """
    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"{path} is a directory. Give --out a file.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise OutputError(f"{path}: there is no folder that can be written to. Give another --out.")
    _require_plots()


def tell_unknown_labels(scores: dict[str, Any], name: str) -> None:
    """Tell which labels of a file a model never saw, if there are any.

    Args:
        scores: What `birnn.runtime.Predictor.evaluate` gives.
        name: What the model is called.
    """
    from birnn.metrics import named_counts

    if unknown := scores.get("unknown_labels"):
        print_notice(f"labels that {name} never saw, counted as wrong: {named_counts(unknown)}")


def _require_plots() -> None:
    for module in ("matplotlib", "jinja2"):
        require(module, extra="plots")


@contextmanager
def open_output(path: Path | None, *, reading: str, option: str = "--out") -> Iterator[TextIO]:
    """A stream to write to: standard output where no path is given.

    A file is written beside its place and renamed into it at the end, so what stood there stays
    until the new one is whole.

    Args:
        path: Where to write.
        reading: The file that is read meanwhile.
        option: What the path was given by, for messages.

    Raises:
        UsageError: Both are the same file.
        OutputError: The place cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    if path.is_dir():
        raise OutputError(f"{path} is a directory. Give {option} a file.")
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
    if path.exists() and reading != STANDARD_INPUT and path.samefile(reading):
        raise UsageError(f"{option} {path} is the file that is read. Give {option} another.")
    # Devices and pipes are no files that could be replaced.
    if path.exists() and not path.is_file():
        with _output_errors(path, option), path.open("w", **how) as stream:
            yield stream
        return
    place = path.resolve()
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        with _output_errors(path, option):
            with part.open("x", **how) as stream:
                yield stream
            part.replace(place)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def _output_errors(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}. Give another {option}."
        ) from None


def print_json(told: dict[str, Any]) -> None:
    """Print one JSON object."""
    line = json.dumps(finite(told), ensure_ascii=False, allow_nan=False)
    print(escaped(line, as_json=True))


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def naming_file(data: str) -> Iterator[None]:
    """Name the file in what the model says of its sequences: it does not know where they stand."""
    try:
        yield
    except DataError as error:
        if isinstance(error, FormatError) or str(error).startswith(data):
            raise
        raise DataError(f"{data}: {error}") from None
