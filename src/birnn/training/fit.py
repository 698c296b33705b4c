"""A training run: in memory, from examples to a bundle; and around it, from files to a folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from birnn.bundle.io import Bundle, save
from birnn.data.batching import batches
from birnn.errors import Interrupted, Tell, TrainingError, UsageError, no_notice, print_notice
from birnn.inputs import kind_of
from birnn.metrics import named_counts
from birnn.models import Network, build, mean_states
from birnn.nn.threads import own_threads
from birnn.runtime import Predictor
from birnn.training.callbacks import progress
from birnn.training.datamodule import DEV_TOKENS
from birnn.training.fingerprint import describe
from birnn.training.loop import LoopResult, check_device, process_state_restored, run_loop
from birnn.training.memory import check_size, keep_freed_memory, memory_errors_explained
from birnn.training.prepare import Prepared, prepare
from birnn.training.recipe import Recipe
from birnn.training.sets import DataSources, Sets
from birnn.training.start import WarmStart
from birnn.training.workspace import Workspace

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run gives.

    Args:
        bundle: The best model, its metadata, and its metrics on the dev and the test set.
        epochs: Whole rounds over the training data.
        history: A row for each epoch: loss, dev score, tokens a second, learning rate.
        seconds: How long the run took.
        stopped: What ended the run early, if anything: the model is the best of the epochs before.
    """

    bundle: Bundle
    epochs: int
    history: tuple[Mapping[str, float], ...]
    seconds: float
    stopped: Interrupted | TrainingError | None


@own_threads()
def fit(
    task: str,
    sets: Sets,
    recipe: Recipe | None = None,
    *,
    seed: int = 1,
    start: WarmStart | None = None,
    workspace: Workspace | None = None,
    callbacks: Sequence[Callback] = (),
    tell: Tell = no_notice,
) -> FitResult:
    """Train a model in memory: no file is read, and none is written without a workspace.

    Args:
        task: A name in `birnn.tasks.TASKS`: ``tagger``, ``seq2seq`` ...
        sets: The examples, as `birnn.training.sets.DataSources.read` gives them.
        recipe: Settings; the defaults of the task where not given.
        seed: One seed gives one model, on any number of threads.
        start: The model that training starts from; a fresh one by default.
        workspace: Where the state of the run is kept after each epoch, for a resume; in memory by
            default.
        callbacks: Lightning's, besides those that training needs.
        tell: Takes each notice, one line; nobody hears them by default.

    Raises:
        DataError: Data that cannot be learnt from.
        ConfigError: Settings that do not fit the data or the machine.
        TrainingError: A number that is not finite, before an epoch was scored.
        MemoryError: No memory for the model and a batch of it.
        Interrupted: Ctrl-C or SIGTERM before an epoch was scored.

    Example:
        >>> from birnn.demos import senses
        >>> examples = [case.example for case in senses.generate(40, seed=1)]
        >>> recipe = Recipe.load("tagger", overrides=["training.epochs=2", "encoder.hidden_size=4"])
        >>> result = fit("tagger", Sets(examples[8:], examples[:8]), recipe)
        >>> len(result.history), sorted(result.bundle.metrics), result.stopped
        (2, ['dev'], None)
    """
    check_seed(seed)
    begun = time.perf_counter()
    recipe = Recipe.load(task) if recipe is None else recipe
    check_device(recipe.training.device)
    if start is not None:
        start.check_task(task)
        recipe = start.recipe(recipe)
    recipe = recipe.for_kind(task, kind_of(sets.train, recipe.inputs), sets.reading)
    prepared = prepare(task, sets.train, sets.dev, recipe, start)
    check_size(prepared.spec)
    for note in (*sets.notes, *prepared.notes):
        tell(note)
    settings = recipe.model_dump(mode="json")
    if workspace is not None:
        vectors = recipe.inputs.vectors
        run = describe(
            task=task,
            seed=seed,
            recipe=settings,
            sets=sets,
            vectors=None if vectors is None else (str(vectors), prepared.initial),
            start=start,
        )
        workspace.begin(run, tell=tell)
    tell(
        f"{task}: {len(sets.train)} training and {len(sets.dev)} dev examples, "
        f"{prepared.spec.parameter_count():,} parameters"
    )
    keep_freed_memory()
    with process_state_restored(recipe.training.device), memory_errors_explained():
        network = _initial_network(prepared, recipe, seed, start)
        loop = run_loop(
            network,
            prepared,
            recipe.training,
            seed=seed,
            workspace=workspace,
            callbacks=callbacks,
            tell=tell,
        )
        if loop.tensors is None:
            if workspace is not None and isinstance(loop.stopped, TrainingError):
                workspace.drop()
            raise _nothing_to_keep(loop)
        stopped = loop.stopped
        metadata = {
            "seed": seed,
            "train": sets.name_of("train"),
            "dev": sets.name_of("dev"),
            "train_examples": len(sets.train),
            "train_steps": int(prepared.train.lengths.sum()),
            "epochs": loop.epochs,
            "reading": sets.reading,
            "recipe": settings,
            **({} if start is None else {"start": start.record()}),
            "metric": prepared.monitor,
            "interrupted": isinstance(stopped, Interrupted),
            "failed": str(stopped) if isinstance(stopped, TrainingError) else None,
            "torch": str(torch.__version__),  # a plain string: a pickle of it must not need torch
        }
        bundle = Bundle(
            prepared.spec,
            {name: known.items for name, known in prepared.vocabularies.items()},
            loop.tensors,
            metadata,
            mean_states=_mean_states(network, loop.tensors, prepared),
        )
    bundle = _tuned(bundle, prepared)
    metrics = {"dev": Predictor(bundle).evaluate(prepared.dev_examples, tell=tell)}
    _tell_single_answer(metrics["dev"], tell)
    if sets.test:
        metrics["test"] = Predictor(bundle).evaluate(sets.test, tell=tell)
        if unknown := metrics["test"].get("unknown_labels"):
            named = named_counts(unknown)
            tell(f"labels in test that training never saw, counted as wrong: {named}")
    return FitResult(
        bundle=replace(bundle, metrics=metrics),
        epochs=loop.epochs,
        history=loop.history,
        seconds=time.perf_counter() - begun,
        stopped=stopped,
    )


def run_training(
    task: str,
    sources: DataSources | Sets,
    recipe: Recipe,
    workspace: Workspace | None = None,
    *,
    seed: int = 1,
    start: WarmStart | None = None,
    quiet: bool = False,
) -> FitResult:
    """Read the examples, train a model and, where there is a workspace, write its bundle there.

    Args:
        task: A name in `birnn.tasks.TASKS`: ``tagger``, ``seq2seq`` ...
        sources: Files of labelled examples, or the examples themselves; or what was read of them.
        recipe: Settings.
        workspace: Open; what a resume needs stays in it where the run is interrupted.
        seed: One seed gives one model, on any number of threads.
        start: The model that training starts from; a fresh one by default.
        quiet: No notices, no progress; both go to standard error otherwise.

    Raises:
        DataError: Data that cannot be read or learnt from.
        OutputError: A place that cannot be written.
        TrainingError: A number that is not finite. The best model so far stands in the workspace's
            folder, if an epoch was scored.
        BirnnError: As `fit` does.
    """
    check_seed(seed)
    check_device(recipe.training.device)
    begun = time.perf_counter()
    tell = no_notice if quiet else print_notice
    if start is not None:
        start.check_task(task)
        recipe = start.recipe(recipe)
    if isinstance(sources, Sets):
        sets = sources
    else:
        if start is not None:
            sources = replace(sources, reading=start.reading(sources.reading))
        sets = sources.read(task, kind=recipe.inputs.kind, seed=seed, tell=tell)
    shown = () if quiet else progress()
    result = fit(
        task,
        sets,
        recipe,
        seed=seed,
        start=start,
        workspace=workspace,
        callbacks=shown,
        tell=tell,
    )
    failed = result.stopped if isinstance(result.stopped, TrainingError) else None
    if workspace is None:
        if failed is not None:
            raise failed
        return replace(result, seconds=time.perf_counter() - begun)
    save(result.bundle, workspace.folder)
    if not isinstance(result.stopped, Interrupted):
        workspace.close()
    if failed is not None:
        raise TrainingError(
            f"{failed} {workspace.folder} holds the best model of the "
            f"{result.epochs} epoch(s) before."
        )
    return replace(result, seconds=time.perf_counter() - begun)


def check_seed(seed: int) -> None:
    """Refuse a seed that cannot be.

    Raises:
        UsageError: It is out of range.
    """
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed is {seed!r}. Give one from 0 to {LARGEST_SEED}.")


def _tuned(bundle: Bundle, prepared: Prepared) -> Bundle:
    """The bundle with what the dev set decides of its head."""
    spec = bundle.spec
    examples = prepared.dev_examples
    head = spec.head.tuned(
        lambda: Predictor(bundle).scores(examples),
        prepared.dev_golds,
        prepared.labels,
        prepared.settings,
    )
    return replace(bundle, spec=spec.model_copy(update={"head": head}))


def _initial_network(
    prepared: Prepared, recipe: Recipe, seed: int, start: WarmStart | None
) -> Network:
    """The model before its first step, the same for the same seed and the same start."""
    torch.default_generator.manual_seed(seed)  # not CUDA's too: it is made on the host
    network = build(
        prepared.spec,
        dropout=recipe.dropout,
        labels=prepared.labels,
        word_counts=prepared.word_counts,
        class_weights=prepared.class_weights,
        label_smoothing=recipe.training.label_smoothing,
        head_settings=recipe.head,
        checkpoint=recipe.training.checkpoint,
    )
    fresh = network.tensors() | prepared.initial
    network.load_tensors(fresh if start is None else start.weights(fresh))
    if start is not None:
        network.freeze(start.freeze)
    return network


def _tell_single_answer(scores: Mapping[str, Any], tell: Tell) -> None:
    """Give notice of a model that answers with one label, whatever it is asked."""
    confusion = scores.get("confusion", {})
    answers = {answer for answered in confusion.values() for answer in answered}
    if len(answers) == 1 < len(confusion):
        tell(
            f"every answer on dev is {answers.pop()!r}: too few steps of training, or too few "
            "examples of the other labels. More epochs and training.batch_sequences=8 help, and "
            "training.class_weights=balanced (of a tagger with head.decoder=softmax)"
        )


def _nothing_to_keep(loop: LoopResult) -> TrainingError | Interrupted:
    """The error of a run that ended before there was a best model."""
    if isinstance(loop.stopped, TrainingError):
        return TrainingError(
            f"{loop.stopped} No epoch was scored before: there is no model to keep."
        )
    assert loop.stopped is not None
    return Interrupted.by(
        loop.stopped.exit_status - 128,
        "before the first epoch was scored: there is no model to keep. Start the run anew.",
    )


def _mean_states(
    network: Network, tensors: Mapping[str, np.ndarray[Any, Any]], prepared: Prepared
) -> dict[str, Any]:
    """Mean hidden states over the dev set, which explanations put in the place of a half."""
    network.load_tensors(tensors)
    network.eval()
    groups = batches(prepared.dev.lengths, tokens=DEV_TOKENS, seed=0, epoch=0)
    return mean_states(network, map(prepared.dev.batch, groups))
