"""What scripts of several hours share: results kept as they come, and targets held against them."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from birnn.cli.printing import print_tables
from birnn.engine import isa
from birnn.reference.low_precision import PRECISIONS
from birnn.report.parts import Table
from birnn.studies.turns import machine


class Check(NamedTuple):
    """A target, and what was measured.

    Args:
        text: What is to be reached.
        want: The value that reaches it.
        got: What was measured.
        form: How values are shown.
        most: Whether ``want`` is the most that it may be, not the least that it must.
    """

    text: str
    want: float
    got: float
    form: str = "{:.2f}x"
    most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.got <= self.want if self.most else self.got >= self.want

    def row(self) -> tuple[str, ...]:
        """Cells of the table of targets."""
        bound = "at most" if self.most else "at least"
        want, got = self.form.format(self.want), self.form.format(self.got)
        return self.text, f"{bound} {want}", got, "yes" if self.met else "no"


class Results:
    """What was measured so far, in a file.

    Args:
        path: The file; it need not be there.
        where: What all of it hangs on: `conditions`, versions.

    Raises:
        SystemExit: The file is another one, or was measured under other conditions.
    """

    def __init__(self, path: Path, where: dict[str, Any]) -> None:
        self._path = path
        try:
            # Before hours are measured that have no place to go.
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SystemExit(f"{path.parent}: cannot be made: {error.strerror}.") from None
        self._kept: dict[str, Any] = {"where": where, "measured": {}}
        if path.is_file():
            found = _kept(path)
            before, other = found["where"], "Name another file by --results."
            changed = [name for name in before | where if before.get(name) != where.get(name)]
            if changed:
                told = (f"{n} {before.get(n)}, here is {where.get(n)}" for n in changed)
                raise SystemExit(f"{path} was measured with {'; with '.join(told)}. {other}")
            self._kept = found

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """What was measured under this name, now or before."""
        measured = self._kept["measured"]
        if key not in measured:
            measured[key] = measure()
            written = self._path.with_suffix(".new")
            written.write_text(json.dumps(self._kept, indent=1))
            written.replace(self._path)
            print(f"{key}: measured", file=sys.stderr, flush=True)
        return measured[key]


def _kept(path: Path) -> dict[str, Any]:
    """The contents of a file of results."""
    with suppress(ValueError):
        match json.loads(path.read_bytes()):
            case {"where": dict(), "measured": dict()} as found:
                return found
    raise SystemExit(f"{path} holds no results. Name another file by --results, or remove it.")


def positive(text: str) -> int:
    """A whole number above zero, as an argument."""
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")


def conditions() -> dict[str, Any]:
    """What measurements hang on: machine, engines, and the very build of them."""
    module = isa.native_module()
    build = module and module.__file__ and digest(Path(module.__file__))
    return {"machine": machine(), "engines": engines(), "build": build}


def digest(*files: Path) -> str:
    """What tells files from changed ones: the beginning of their SHA-256."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def engines() -> dict[str, str]:
    """The instruction set that runs in each precision."""
    return {precision: isa.active(precision).name for precision in PRECISIONS}


def here(engines: Mapping[str, str]) -> str:
    """The machine, and what ran on it."""
    told = machine()
    ran = ", ".join(f"{engine} for {precision}" for precision, engine in engines.items())
    return f"{told['processor']}, {told['cores']} cores, birnn {told['birnn']}; engines: {ran}."


def tell_checks(checks: Iterable[Check]) -> None:
    """Print the targets; end with status 1 where one is missed."""
    rows = [check.row() for check in checks]
    if rows:
        header = ("target", "wanted", "measured", "met")
        print_tables([Table(header, rows, "Targets")], as_markdown=True, titles=True)
    missed = [f"{text} ({got}, {want})" for text, want, got, met in rows if met == "no"]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        sys.exit(1)
