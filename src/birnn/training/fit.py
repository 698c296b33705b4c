"""Train a model from files to a bundle."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from birnn.bundle.io import Bundle, save
from birnn.data import ReadOptions
from birnn.data.batching import batches
from birnn.errors import Interrupted, MissingExtra, UsageError, escaped, require
from birnn.models import Network, build, mean_states
from birnn.runtime import Predictor
from birnn.training.allocator import keep_freed_memory
from birnn.training.averaging import AveragedWeights
from birnn.training.callbacks import (
    EpochLines,
    EpochLog,
    Patience,
    StopOnInterrupt,
)
from birnn.training.datamodule import DEV_ROWS, DataModule
from birnn.training.fingerprint import describe
from birnn.training.inputs import input_kind
from birnn.training.module import CHOICE, TrainingModule
from birnn.training.prepare import Prepared, prepare
from birnn.training.recipe import Recipe, Task, TrainingSettings
from birnn.training.sets import Source, name_of, read_sets
from birnn.training.workspace import WholeCheckpoints, Workspace

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run leaves."""

    folder: Path
    metrics: dict[str, Any]  # "dev", and "test" where a test set was given
    epochs: int
    seconds: float
    interrupted: bool
    notes: tuple[str, ...]

    def load(self) -> Predictor:
        """The trained model."""
        return Predictor.load(self.folder)


def fit(
    task: Task,
    *,
    train: Source,
    out: str | Path,
    dev: Source | None = None,
    test: Source | None = None,
    recipe: Recipe | None = None,
    seed: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    reading: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
    say: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> FitResult:
    """Train a model and write it to a bundle.

    Args:
        task: ``tagger``, ``classifier`` or ``regressor``.
        train: File of labelled examples, or the examples themselves.
        out: Folder of the bundle; beside it ``out.training`` holds what a resume needs.
        dev: What decides which weights are kept; a seeded tenth of ``train`` by default.
        test: Scored once at the end.
        recipe: Settings; the defaults of the task where not given.
        seed: One seed gives one model (on one machine with one number of threads).
        resume: Go on from what ``out.training`` holds; the result is that of one run.
        overwrite: Replace what stands at ``out``.
        reading: What is set about the reading of files.
        say: Takes each notice, one line; standard error by default.
        quiet: No notices, no progress.

    Raises:
        DataError: Data that cannot be read or learnt from.
        ConfigError: Settings that do not exist or do not fit.
        OutputError: A place that cannot be written, or that holds something already.
        Interrupted: Ctrl-C before there was a model to keep.

    Returns:
        Where the bundle is, and its scores.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed is {seed}. Give one from 0 to {LARGEST_SEED}.")
    recipe = Recipe.load(task) if recipe is None else recipe
    say = _say_nothing if quiet else say or _say
    workspace = Workspace.open(Path(out), resume=resume, overwrite=overwrite)
    begun = time.perf_counter()
    sets = read_sets(train, dev, test, task=task, reading=reading, seed=seed, say=say)
    recipe = recipe.for_kind(task, input_kind(sets.train, recipe.inputs))
    prepared = prepare(task, sets.train, sets.dev, recipe)
    notes = [*sets.notes, *prepared.notes]
    for note in notes:
        say(note)
    settings = recipe.model_dump(mode="json")
    run = describe(
        task=task,
        seed=seed,
        recipe=settings,
        train=sets.train,
        dev=sets.dev,
        initial=prepared.initial,
    )
    workspace.begin(run, resume=resume)
    network = _fresh_network(prepared, recipe, seed)
    say(
        f"{task}: {len(sets.train)} training and {len(sets.dev)} dev examples, "
        f"{prepared.spec.parameter_count():,} parameters"
    )
    epochs, interrupted = _run(network, prepared, recipe.training, workspace, seed, quiet)
    facts = {
        "seed": seed,
        "train": name_of(train),
        "dev": name_of(dev) if dev is not None else "held out from train",
        "train_examples": len(sets.train),
        "train_steps": int(prepared.train.lengths.sum()),
        "epochs": epochs,
        "reading": reading.kept(),
        "recipe": settings,
        "interrupted": interrupted,
        "torch": torch.__version__,
    }
    bundle = _best_bundle(prepared, workspace, facts)
    bundle = replace(bundle, background=_background(network, bundle, prepared))
    metrics = {"dev": Predictor(bundle).evaluate(sets.dev)}
    if sets.test:
        metrics["test"] = Predictor(bundle).evaluate(sets.test)
        if unknown := metrics["test"].get("unknown_labels"):
            named = ", ".join(f"{label} ({count})" for label, count in sorted(unknown.items()))
            say(f"labels in test that training never saw, counted as wrong: {named}")
    save(replace(bundle, metrics=metrics), workspace.folder)
    if not interrupted:
        workspace.close()
    return FitResult(
        folder=workspace.folder,
        metrics=metrics,
        epochs=epochs,
        seconds=time.perf_counter() - begun,
        interrupted=interrupted,
        notes=tuple(notes),
    )


def _fresh_network(prepared: Prepared, recipe: Recipe, seed: int) -> Network:
    """The model before its first step, the same for the same seed."""
    torch.manual_seed(seed)
    network = build(
        prepared.spec,
        dropout=recipe.dropout,
        labels=prepared.labels,
        word_counts=prepared.word_counts,
        class_weights=prepared.class_weights,
        label_smoothing=recipe.training.label_smoothing,
    )
    network.load_tensors(network.tensors() | prepared.initial)
    return network


def _best_bundle(prepared: Prepared, workspace: Workspace, facts: dict[str, Any]) -> Bundle:
    """The best weights of the run, and all that is needed to run them."""
    best = workspace.best_tensors(prepared.spec.tensors())
    if best is None:
        raise Interrupted(
            "interrupted before the first epoch was scored: there is no model to keep. "
            "Start the run anew."
        )
    vocabularies = {name: tuple(items) for name, items in prepared.vocabularies.to_dict().items()}
    return Bundle(prepared.spec, vocabularies, best, facts)


def _background(network: Network, bundle: Bundle, prepared: Prepared) -> dict[str, Any]:
    """What the encoder says on average of the dev set, for explanations."""
    network.load_tensors(bundle.tensors)
    network.eval()
    groups = batches(prepared.dev.lengths, tokens=DEV_ROWS, seed=0, epoch=0)
    return mean_states(network, map(prepared.dev.batch, groups))


def planned_epochs(settings: TrainingSettings, rows: int) -> int:
    """Epochs of a run: as set, or as many as make up the wanted rows, within the range."""
    if settings.epochs is not None:
        return settings.epochs
    fewest, most = settings.epochs_range
    return min(most, max(fewest, round(settings.rows / max(1, rows))))


def _run(
    network: Network,
    prepared: Prepared,
    settings: TrainingSettings,
    workspace: Workspace,
    seed: int,
    quiet: bool,
) -> tuple[int, bool]:
    """Run the loop; the number of epochs done, and whether the user ended it."""
    epochs = planned_epochs(settings, int(prepared.train.lengths.sum()))
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
    keep_freed_memory()
    interrupt = StopOnInterrupt()
    with _peaceful(), interrupt:
        trainer = lightning.Trainer(
            accelerator=settings.device,
            devices=1,
            max_epochs=epochs,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            gradient_clip_val=settings.clip,
            logger=_tensorboard(workspace),
            log_every_n_steps=1_000_000,  # the log holds epochs
            callbacks=[
                interrupt,
                *_callbacks(prepared, settings, workspace, epochs, quiet),
            ],
            enable_model_summary=False,
            enable_progress_bar=not quiet and sys.stderr.isatty(),
            use_distributed_sampler=False,
            plugins=[WholeCheckpoints()],
        )
        try:
            trainer.fit(
                module, datamodule=data, ckpt_path=workspace.last_checkpoint(), weights_only=True
            )
        except Interrupted:
            return trainer.current_epoch, True
        except SystemExit:
            # Lightning's answer to a second Ctrl-C, which means at once.
            raise KeyboardInterrupt from None
    return trainer.current_epoch, False


def _callbacks(
    prepared: Prepared, settings: TrainingSettings, workspace: Workspace, epochs: int, quiet: bool
) -> Iterator[Callback]:
    monitor, mode = CHOICE, "max" if prepared.larger_is_better else "min"
    if settings.ema:
        yield AveragedWeights(settings.ema)
    yield Patience(monitor, mode=mode, patience=settings.patience, check_on_train_epoch_end=True)
    yield EpochLog(workspace.log, prepared.monitor)
    if not quiet:
        yield EpochLines(prepared.monitor, epochs)
        if sys.stderr.isatty():
            yield RichProgressBar(leave=False, console_kwargs={"stderr": True})
    # The best weights first: the state saved last must know of them.
    kept = {"dirpath": workspace.state, "save_on_train_epoch_end": True}
    yield ModelCheckpoint(
        filename=workspace.BEST,
        monitor=monitor,
        mode=mode,
        # Weights alone would be the last ones: Lightning then leaves the averaged ones out.
        save_weights_only=False,
        enable_version_counter=False,
        **kept,  # type: ignore[arg-type]
    )
    yield ModelCheckpoint(filename=workspace.LAST, enable_version_counter=False, **kept)  # type: ignore[arg-type]


def _tensorboard(workspace: Workspace) -> TensorBoardLogger | bool:
    """TensorBoard's log where it is installed; the CSV log is always written."""
    try:
        require("tensorboard", extra="train")
    except MissingExtra:
        return False
    log = workspace.tensorboard
    return TensorBoardLogger(log.parent, name=None, version=log.name)


@contextmanager
def _peaceful() -> Iterator[None]:
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


def _say_nothing(line: str) -> None:
    pass


def _say(line: str) -> None:
    print(escaped(line), file=sys.stderr, flush=True)
