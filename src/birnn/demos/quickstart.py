"""The quickstart: one direction against two, on data that comes with the package.

Two demos, `senses` and `brackets`, small enough for a first minute: four taggers with the same
settings but for the direction, one report, and one tagger to go on with.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from birnn.demos import pages, runner
from birnn.demos.demo import Size
from birnn.errors import OutputError, Tell, no_notice
from birnn.report.parts import Table
from birnn.studies.compare.contest import Contest
from birnn.training.workspace import LOCK, Workspace, acquire

SIZES = {
    "senses": runner.DEMOS["senses"].size,
    "brackets": Size(train=500, test=1000, epochs=15),
}


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """What was measured, and what was left.

    Args:
        senses: Accuracy at the ambiguous word, by where the evidence stands.
        brackets: Accuracy of all positions, by position.
        bundle: Folder of the tagger of senses with two directions.
        report: The page.
        sentence: A sentence to try the tagger on.
        seconds: Time that it all took.
    """

    senses: Contest
    brackets: Contest
    bundle: Path
    report: Path
    sentence: str
    seconds: float

    def tables(self) -> list[Table]:
        """The numbers as tables."""
        return [contest.table() for contest in (self.senses, self.brackets)]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain Python objects."""
        return {
            "senses": self.senses.to_dict(),
            "brackets": self.brackets.to_dict(),
            "bundle": str(self.bundle),
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
        }


def run(
    out: Path | str,
    *,
    seed: int = 1,
    tell: Tell = no_notice,
    sizes: Mapping[str, Size] | None = None,
) -> QuickstartResult:
    """Train, evaluate and compare; leave ``out/bundle`` and ``out/report.html``.

    Args:
        out: Folder, made where it does not exist; a bundle of an earlier run is replaced.
        seed: Of the data and the models.
        tell: Takes a line before and after each training.
        sizes: How much each demo trains and tests.

    Raises:
        OutputError: The folder cannot be written, ``bundle`` in it is something else, or another
            quickstart is at work there.
        Interrupted: Ctrl-C.
    """
    begun = time.perf_counter()
    out = Path(out)
    bundle = out / "bundle"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made a folder: {error.strerror}") from None
    lock = FileLock(out / LOCK)
    acquire(lock, out)
    try:
        with Workspace.open(bundle, resume=False, overwrite=True):
            pass  # refused now, not after training
        shown = {}
        for name, size in (sizes or SIZES).items():
            tell(f"{name}: {size.train} training and {size.test} test sequences")
            keep = {"both": bundle} if name == "senses" else None
            shown[name] = runner.run(
                name, seeds=(seed,), seed=seed, size=size, keep=keep, tell=tell
            )
        seconds = time.perf_counter() - begun
        report = pages.write_quickstart(
            out / "report.html", shown["senses"], shown["brackets"], bundle=bundle, seconds=seconds
        )
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
    return QuickstartResult(
        senses=shown["senses"].contest,
        brackets=shown["brackets"].contest,
        bundle=bundle,
        report=report,
        sentence=pages.example_sentence(shown["senses"])[0],
        seconds=seconds,
    )
