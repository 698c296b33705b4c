"""What watches a training run: patience, Ctrl-C, the lines it prints."""

from __future__ import annotations

import csv
import signal
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping

from birnn.errors import Interrupted


class StopOnInterrupt(Callback):
    """Turns Ctrl-C into an orderly end: the best weights so far stay, a resume goes on.

    The first Ctrl-C ends the run after the batch at hand; a second one ends it at once.
    """

    def __init__(self) -> None:
        self._wanted = False
        self._before: Any = None

    def __enter__(self) -> StopOnInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run where the user asked for it."""
        self._stop()

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run where the user asked for it."""
        self._stop()

    def _stop(self) -> None:
        if self._wanted:
            raise Interrupted("interrupted")


class Patience(EarlyStopping):
    """Early stopping that a resume respects: a run that had stopped does not go on."""

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Stop where the resumed run had stopped, killed before its bundle was written."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class EpochLines(Callback):
    """A line for each epoch: loss, dev score, speed; for logs and for those without a terminal."""

    def __init__(self, monitor: str, epochs: int) -> None:
        self._monitor = monitor
        self._epochs = epochs

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Print the epoch."""
        logged = trainer.callback_metrics
        print(
            f"epoch {trainer.current_epoch + 1}/{self._epochs}  "
            f"loss {float(logged['loss']):.4f}  "
            f"dev {self._monitor} {float(logged[f'dev_{self._monitor}']):.4f}  "
            f"{float(logged['tokens_per_second']):,.0f} tokens/s",
            file=sys.stderr,
            flush=True,
        )


class EpochLog(Callback):
    """A CSV file with a row for each epoch; a resumed run goes on where the file ends.

    Lightning's own CSV logger starts its file anew when a run is resumed.
    """

    def __init__(self, path: Path, monitor: str) -> None:
        self._path = path
        self._score = f"dev_{monitor}"

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keep the rows of the epochs that are behind us, and those alone."""
        rows = [row for row in self._rows() if int(row["epoch"]) <= trainer.current_epoch]
        self._write(rows)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch."""
        names = ("loss", self._score, "tokens_per_second")
        logged = {name: f"{float(trainer.callback_metrics[name]):.6g}" for name in names}
        logged["learning_rate"] = f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}"
        rows = [row for row in self._rows() if int(row["epoch"]) <= trainer.current_epoch]
        self._write([*rows, {"epoch": str(trainer.current_epoch + 1), **logged}])

    def _rows(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def _write(self, rows: list[dict[str, str]]) -> None:
        if not rows:
            return
        # Renamed into place, so that a kill leaves either the log before or the one after.
        fresh = self._path.with_name(f".{self._path.name}.new")
        with fresh.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[-1]))
            writer.writeheader()
            writer.writerows(rows)
        fresh.replace(self._path)
