"""The loop over epochs: Lightning, what watches it, and the process left as it was."""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from birnn.errors import ConfigError, Interrupted, MissingExtra, Tell, TrainingError, require
from birnn.models import Network
from birnn.training.averaging import AveragedWeights
from birnn.training.callbacks import EpochLog, Patience, StopOnSignal
from birnn.training.checkpoints import BEST, LAST, MemoryCheckpoints
from birnn.training.datamodule import DataModule
from birnn.training.module import SELECTION, NotFinite, TrainingModule
from birnn.training.prepare import Prepared
from birnn.training.settings import TrainingSettings
from birnn.training.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What a loop over epochs leaves.

    Args:
        epochs: Whole ones.
        history: A row for each.
        tensors: The best weights by their names in the spec; ``None`` where no epoch was scored.
        stopped: A signal or a number that is not finite, where one of them ended the loop early.
    """

    epochs: int
    history: tuple[dict[str, float], ...]
    tensors: dict[str, np.ndarray[Any, Any]] | None
    stopped: Interrupted | TrainingError | None


def run_loop(
    network: Network,
    prepared: Prepared,
    settings: TrainingSettings,
    *,
    seed: int,
    workspace: Workspace | None,
    callbacks: Sequence[Callback],
    tell: Tell,
) -> LoopResult:
    """Train until the epochs are done, patience is at its end, or something stops it.

    Args:
        network: The model before its first step.
        prepared: The data.
        settings: Optimiser and schedule.
        seed: Of the batches and of dropout.
        workspace: Where checkpoints and log are kept; a run that stands there is resumed.
        callbacks: Besides those that training needs.
        tell: Takes each notice, one line.
    """
    epochs = planned_epochs(settings, int(prepared.train.sizes.sum()))
    data = DataModule(prepared, settings, seed=seed)
    module = TrainingModule(
        network,
        settings,
        steps=epochs * len(data.groups(0)),
        seed=seed,
        labels=prepared.labels,
        scorer=prepared.new_scorer,
        monitor=prepared.monitor,
    )
    memory = MemoryCheckpoints()
    log = EpochLog(None if workspace is None else workspace.log, tell)
    signals = StopOnSignal()
    stopped: Interrupted | TrainingError | None = None
    with quiet_lightning(), signals:
        trainer = lightning.Trainer(
            **_device(settings.device),
            max_epochs=epochs,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            gradient_clip_val=settings.clip,
            logger=workspace is not None and _tensorboard(workspace),
            log_every_n_steps=1_000_000,  # the log holds epochs
            callbacks=[
                signals,
                *([AveragedWeights(settings.ema)] if settings.ema else []),
                *_selection(prepared, settings, workspace),
                log,
                *callbacks,
            ],
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            plugins=[memory if workspace is None else workspace.checkpoints()],
        )
        try:
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=None if workspace is None else workspace.last_checkpoint(),
                weights_only=True,
            )
        except Interrupted as error:
            stopped = error
        except SIGTERMException:
            # Lightning's answer to a signal that came after ours had looked.
            stopped = signals.interrupted()
        except NotFinite as error:
            first = data.groups(error.epoch)[error.batch or 0][0]
            stopped = error.at(prepared.train_where[first])
        except SystemExit:
            # Lightning's answer to a second Ctrl-C, which means at once.
            raise KeyboardInterrupt from None
    best = memory.weights if workspace is None else workspace.best_weights()
    tensors = (
        None
        if best is None
        else {name: best[f"network.{name}"].numpy() for name in prepared.spec.tensors()}
    )
    return LoopResult(trainer.current_epoch, log.history, tensors, stopped)


def planned_epochs(settings: TrainingSettings, rows: int) -> int:
    """Epochs of a run: as set, or as many as make up the wanted rows, within the range."""
    if settings.epochs is not None:
        return settings.epochs
    fewest, most = settings.epochs_range
    return min(most, max(fewest, round(settings.rows / max(1, rows))))


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ConfigError: There is no such device.

    Example:
        >>> check_device("auto")
        >>> check_device("cuda:99")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        ...
        birnn.errors.ConfigError: training.device is cuda:99, this machine has no CUDA device. ...
    """
    if not device.startswith("cuda"):
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(device.partition(":")[2] or 0) >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count)) or "no CUDA device that torch can use"
        raise ConfigError(
            f"training.device is {device}, this machine has {there}. Set it to auto or cpu."
        )


def _device(device: str) -> dict[str, Any]:
    """A setting of a device as Lightning's two."""
    if device.startswith("cuda"):
        return {"accelerator": "cuda", "devices": [int(device.partition(":")[2] or 0)]}
    return {"accelerator": device, "devices": 1}


@contextmanager
def process_state_restored(device: str) -> Iterator[None]:
    """Tensors are float32 on the host by default meanwhile, and what the process had comes back.

    Its random numbers go on as if nothing had happened: those of torch, NumPy and Python.

    Args:
        device: The setting of the run; CUDA is not started for one on the host.
    """
    dtype, place = torch.get_default_dtype(), torch.get_default_device()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - whoever uses it
    try:
        # Not where it is the default already: the mode costs each call of torch some time.
        if place.type != "cpu":
            torch.set_default_device("cpu")
        torch.set_default_dtype(torch.float32)
        cuda = device != "cpu" or torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        with torch.random.fork_rng(devices=range(torch.cuda.device_count() if cuda else 0)):
            yield
    finally:
        torch.set_default_dtype(dtype)
        if place.type != "cpu":
            torch.set_default_device(place)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _selection(
    prepared: Prepared, settings: TrainingSettings, workspace: Workspace | None
) -> Iterator[Callback]:
    """What watches the dev score: when to stop, which weights to keep."""
    mode = "max" if prepared.larger_is_better else "min"
    yield Patience(SELECTION, mode=mode, patience=settings.patience, check_on_train_epoch_end=True)
    kept: dict[str, Any] = {
        "dirpath": Path(os.devnull) if workspace is None else workspace.state,
        "enable_version_counter": False,
        "save_on_train_epoch_end": True,
    }
    # The best weights first: the state saved last must know of them. Not with `save_weights_only`:
    # those would be the last ones, as Lightning then leaves the averaged ones out.
    yield ModelCheckpoint(filename=Path(BEST).stem, monitor=SELECTION, mode=mode, **kept)
    if workspace is not None:
        yield ModelCheckpoint(filename=Path(LAST).stem, **kept)


def _tensorboard(workspace: Workspace) -> TensorBoardLogger | bool:
    """TensorBoard's log where it is installed; the CSV log is always written."""
    try:
        require("tensorboard", extra="train")
    except MissingExtra:
        return False
    log = workspace.tensorboard
    return TensorBoardLogger(log.parent, name=None, version=log.name)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's notices about its own set-up are no news to our users."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
