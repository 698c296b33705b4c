"""What scripts of several hours share: results kept as they come, and targets held against them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
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
        where: What all of it hangs on: the machine, engines, versions.
    """

    def __init__(self, path: Path, where: dict[str, Any]) -> None:
        self._path = path
        self._kept: dict[str, Any] = {"where": where, "measured": {}}
        if path.is_file():
            found = json.loads(path.read_text())
            if found["where"] != where:
                raise SystemExit(
                    f"{path} was measured with {found['where']}, here is {where}. "
                    "Name another file by --results."
                )
            self._kept = found

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """What was measured under this name, now or before."""
        measured = self._kept["measured"]
        if key not in measured:
            measured[key] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            written = self._path.with_suffix(".new")
            written.write_text(json.dumps(self._kept, indent=1))
            written.replace(self._path)
            print(f"{key}: measured", file=sys.stderr, flush=True)
        return measured[key]


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
