"""Train a model from files to a bundle."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from birnn.bundle.io import Bundle, save
from birnn.data import ReadOptions
from birnn.data.batching import batches
from birnn.errors import Interrupted, TrainingError, UsageError, print_notice
from birnn.metrics import named_counts
from birnn.models import Network, build, mean_states
from birnn.nn.threads import own_threads
from birnn.runtime import Predictor
from birnn.training.datamodule import DEV_ROWS
from birnn.training.fingerprint import describe
from birnn.training.inputs import input_kind
from birnn.training.loop import Outcome, check_device, process_untouched, run_loop
from birnn.training.memory import check_size, keep_freed_memory, memory_named
from birnn.training.prepare import Prepared, prepare
from birnn.training.recipe import Recipe, Task
from birnn.training.sets import Source, name_of, read_sets
from birnn.training.workspace import Workspace

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run leaves."""

    folder: Path
    metrics: dict[str, Any]  # "dev", and "test" where a test set was given
    epochs: int
    seconds: float
    signal: int | None  # that ended the run early: Ctrl-C's or SIGTERM
    notes: tuple[str, ...]

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run early."""
        return self.signal is not None

    def load(self) -> Predictor:
        """The trained model."""
        return Predictor.load(self.folder)


@own_threads()
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
        seed: One seed gives one model, on any number of threads.
        resume: Go on from what ``out.training`` holds; the result is that of one run.
        overwrite: Replace what stands at ``out``.
        reading: What is set about the reading of files.
        say: Takes each notice, one line; standard error by default.
        quiet: No notices, no progress.

    Raises:
        DataError: Data that cannot be read or learnt from.
        ConfigError: Settings that do not exist or do not fit.
        OutputError: A place that cannot be written, or that holds something already, or where
            another training is at work.
        TrainingError: A loss that is not finite. The best model so far stands at ``out``, if an
            epoch was scored.
        MemoryError: No memory for the model and a batch of it.
        Interrupted: Ctrl-C or SIGTERM before there was a model to keep.

    Returns:
        Where the bundle is, and its scores.
    """
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed is {seed!r}. Give one from 0 to {LARGEST_SEED}.")
    recipe = Recipe.load(task) if recipe is None else recipe
    check_device(recipe.training.device)
    say = _say_nothing if quiet else say or print_notice
    begun = time.perf_counter()
    with Workspace.open(Path(out), resume=resume, overwrite=overwrite) as workspace:
        sets = read_sets(
            *(train, dev, test),
            task=task,
            reading=reading,
            seed=seed,
            say=say,
            kind=recipe.inputs.kind,
        )
        recipe = recipe.for_kind(task, input_kind(sets.train, recipe.inputs))
        prepared = prepare(task, sets.train, sets.dev, recipe)
        check_size(prepared.spec)
        notes = [*sets.notes, *prepared.notes]
        for note in notes:
            say(note)
        settings = recipe.model_dump(mode="json")
        sources = {"training data": name_of(train)}
        sources |= {"dev data": name_of(dev)} if dev is not None else {}
        vectors = recipe.inputs.vectors
        run = describe(
            task=task,
            seed=seed,
            recipe=settings,
            train=sets.train,
            dev=sets.dev,
            sources=sources | {"pretrained vectors": str(vectors)},
            vectors=None if vectors is None else prepared.initial,
        )
        workspace.begin(run, resume=resume, say=say)
        say(
            f"{task}: {len(sets.train)} training and {len(sets.dev)} dev examples, "
            f"{prepared.spec.parameter_count():,} parameters"
        )
        keep_freed_memory()
        with process_untouched(recipe.training.device), memory_named():
            network = _fresh_network(prepared, recipe, seed)
            outcome = run_loop(
                network, prepared, recipe.training, workspace, seed=seed, say=say, quiet=quiet
            )
            facts = {
                "seed": seed,
                "train": name_of(train),
                "dev": name_of(dev) if dev is not None else "held out from train",
                "train_examples": len(sets.train),
                "train_steps": int(prepared.train.lengths.sum()),
                "epochs": outcome.epochs,
                "reading": sets.reading,
                "recipe": settings,
                "interrupted": outcome.interrupted is not None,
                "failed": str(outcome.failed) if outcome.failed is not None else None,
                "torch": torch.__version__,
            }
            bundle = _best_bundle(prepared, workspace, facts, outcome)
            bundle = replace(bundle, background=_background(network, bundle, prepared))
        metrics = {"dev": Predictor(bundle).evaluate(prepared.dev_examples)}
        if sets.test:
            metrics["test"] = Predictor(bundle).evaluate(sets.test)
            if unknown := metrics["test"].get("unknown_labels"):
                named = named_counts(unknown)
                say(f"labels in test that training never saw, counted as wrong: {named}")
        save(replace(bundle, metrics=metrics), workspace.folder)
        if outcome.interrupted is None:
            workspace.close()
    if outcome.failed is not None:
        raise TrainingError(
            f"{outcome.failed} {workspace.folder} holds the best model of the "
            f"{outcome.epochs} epoch(s) before."
        )
    stopped = outcome.interrupted
    return FitResult(
        folder=workspace.folder,
        metrics=metrics,
        epochs=outcome.epochs,
        seconds=time.perf_counter() - begun,
        signal=None if stopped is None else stopped.exit_status - 128,
        notes=tuple(notes),
    )


def _fresh_network(prepared: Prepared, recipe: Recipe, seed: int) -> Network:
    """The model before its first step, the same for the same seed."""
    torch.default_generator.manual_seed(seed)  # not CUDA's too: it is made on the host
    network = build(
        prepared.spec,
        dropout=recipe.dropout,
        labels=prepared.labels,
        word_counts=prepared.word_counts,
        class_weights=prepared.class_weights,
        label_smoothing=recipe.training.label_smoothing,
        checkpoint=recipe.training.checkpoint,
    )
    network.load_tensors(network.tensors() | prepared.initial)
    return network


def _best_bundle(
    prepared: Prepared, workspace: Workspace, facts: dict[str, Any], outcome: Outcome
) -> Bundle:
    """The best weights of the run, and all that is needed to run them.

    Raises:
        TrainingError: Training failed before there were any.
        Interrupted: It was stopped before there were any.
    """
    best = workspace.best_tensors(prepared.spec.tensors())
    if best is None and outcome.failed is not None:
        workspace.drop()
        raise TrainingError(
            f"{outcome.failed} No epoch was scored before: there is no model to keep."
        )
    if best is None:
        number = outcome.interrupted.exit_status - 128 if outcome.interrupted is not None else 2
        raise Interrupted.by(
            number,
            "before the first epoch was scored: there is no model to keep. Start the run anew.",
        )
    vocabularies = {name: known.items for name, known in prepared.vocabularies.items()}
    return Bundle(prepared.spec, vocabularies, best, facts)


def _background(network: Network, bundle: Bundle, prepared: Prepared) -> dict[str, Any]:
    """What the encoder says on average of the dev set, for explanations."""
    network.load_tensors(bundle.tensors)
    network.eval()
    groups = batches(prepared.dev.lengths, tokens=DEV_ROWS, seed=0, epoch=0)
    return mean_states(network, map(prepared.dev.batch, groups))


def _say_nothing(line: str) -> None:
    pass
