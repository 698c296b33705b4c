"""What watches a training run: patience, signals that end it, the lines and the bar it prints."""

from __future__ import annotations

import csv
import io
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from birnn.errors import Interrupted, OutputError, Tell, no_notice, print_notice
from birnn.training.checkpoints import replace_file

FRAMES = 10  # of the bar in a second


class StopOnSignal(Callback):
    """Turns Ctrl-C and SIGTERM into an orderly end: the best weights stay, a resume goes on.

    The first signal ends the run after the batch at hand; a second one ends it at once.
    """

    def __init__(self) -> None:
        self._wanted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._wanted is None:
            self._wanted = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run where it was asked for."""
        self._stop()

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run where it was asked for."""
        self._stop()

    def interrupted(self) -> Interrupted:
        """What ended the run."""
        return Interrupted.by(self._wanted or signal.SIGTERM)

    def _stop(self) -> None:
        if self._wanted is not None:
            raise self.interrupted()


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

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Print the epoch."""
        logged, monitor = trainer.callback_metrics, pl_module.monitor
        print_notice(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  "
            f"loss {float(logged['loss']):.4f}  "
            f"dev {monitor} {float(logged[f'dev_{monitor}']):.4f}  "
            f"{float(logged['tokens_per_second']):,.0f} tokens/s"
        )


class PatientConsole(Console):
    """A console whose reader may go away; rich's own ends the process then."""

    def on_broken_pipe(self) -> None:
        """Lose what was written."""


class ProgressBar(Callback):
    """One bar over all batches of the run, below the lines of the epochs; for terminals.

    Lightning's counts epochs from 0 and shows each metric beside it, in more than a line.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._done = 0  # batches
        self._shown = 0.0  # when

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Show the bar, of a resumed run where that one had come to."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("batches"),
            TimeRemainingColumn(),
            console=PatientConsole(stderr=True),
            transient=True,
            expand=True,
            # Not by a thread of its own: it would want a core, and meet faults that nobody takes.
            auto_refresh=False,
        )
        batches = int(trainer.num_training_batches)
        self._done = trainer.current_epoch * batches
        epochs = int(trainer.max_epochs or 1)
        epoch = min(trainer.current_epoch + 1, epochs)
        self._progress.add_task(
            f"epoch {epoch}/{epochs}", total=epochs * batches, completed=self._done
        )
        with suppress(OSError, ValueError):
            self._progress.start()

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Name the epoch."""
        self._show(description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Count the batch."""
        self._done += 1
        self._show(completed=self._done)

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Take the bar away: the lines of the epochs stay."""
        self._stop()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Take the bar away, so that the terminal has its cursor again."""
        self._stop()

    def _show(self, **changes: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], **changes)
            now = time.perf_counter()
            if now - self._shown > 1 / FRAMES:
                self._shown = now
                with suppress(OSError, ValueError):
                    self._progress.refresh()

    def _stop(self) -> None:
        if self._progress is not None:
            with suppress(OSError, ValueError):
                self._progress.stop()


def progress() -> list[Callback]:
    """What shows on standard error how far a run is: a line for each epoch, a bar for terminals."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return [ProgressBar(), EpochLines()] if terminal else [EpochLines()]


class EpochLog(Callback):
    """A row for each epoch, part of the state of the run; and a CSV file of them.

    So a resumed run writes them again, whatever became of the file. Lightning's own CSV logger
    starts its file anew.

    Args:
        path: The file; none by default.
        tell: Takes a line where the file of a resumed run is not what was written.
    """

    def __init__(self, path: Path | None = None, tell: Tell = no_notice) -> None:
        self._path = path
        self._tell = tell
        self._rows: list[dict[str, str]] = []

    @property
    def history(self) -> tuple[dict[str, float], ...]:
        """The rows so far, as numbers."""
        return tuple({name: float(value) for name, value in row.items()} for row in self._rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self._rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the run that is resumed."""
        self._rows = list(state_dict["rows"])

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write the rows of the epochs that are behind us, and those alone."""
        if not self._rows or self._path is None:
            return
        try:
            found = self._path.read_bytes()
        except OSError:
            found = b""
        # A kill may have left a row more than the state knows of.
        if not found.startswith(self._text()):
            self._tell(f"{self._path} was missing or changed: its rows are written again")
        self._write(self._path)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add the epoch."""
        names = ("loss", f"dev_{pl_module.monitor}", "tokens_per_second")
        logged = {name: f"{float(trainer.callback_metrics[name]):.6g}" for name in names}
        logged["learning_rate"] = f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}"
        self._rows.append({"epoch": str(trainer.current_epoch + 1), **logged})
        if self._path is not None:
            self._write(self._path)

    def _text(self) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(self._rows[-1]))
        writer.writeheader()
        writer.writerows(self._rows)
        return text.getvalue().encode()

    def _write(self, path: Path) -> None:
        try:
            replace_file(path, lambda file: file.write(self._text()))
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {error.strerror or error}. "
                "Make room, then go on with --resume."
            ) from None
