"""`birnn.train`: the command line's ``birnn train`` as a function, importable without torch."""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birnn.data.options import ReadOptions
from birnn.errors import UsageError, require
from birnn.runtime import Predictor

if TYPE_CHECKING:
    from birnn.bundle import BundleSource
    from birnn.training.sets import DataSource


def train(
    task: str | None = None,
    *,
    train: DataSource,
    out: str | Path | None = None,
    dev: DataSource | None = None,
    test: DataSource | None = None,
    config: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    seed: int = 1,
    start_from: BundleSource | None = None,
    freeze: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **reading: Any,
) -> Predictor:
    """Train a model; write its bundle where there is a folder for it.

    Args:
        task: A name in `birnn.tasks.TASKS`: ``tagger``, ``seq2seq`` ...; may be left to the model
            that training starts from.
        train: File of labelled examples, or the examples themselves: `birnn.data.Example` objects,
            pairs (text or tokens, label or tags), all sequences and all targets ``(X, y)``, tagged
            sentences as lists of tuples (word, tag), dicts, a data frame, a data set of Hugging
            Face (of its splits ``train`` and ``validation`` are read); gone through once.
        out: Folder of the bundle; the model is in memory alone by default.
        dev: What decides which weights are kept; a seeded tenth of ``train`` by default.
        test: Scored once at the end, into the bundle's metrics.
        config: TOML file of settings.
        settings: Settings by their full name, such as ``{"encoder.hidden_size": 128}``.
        seed: One seed gives one model.
        start_from: A trained model that is trained further, with the labels and words of ``train``
            beside its own: what `birnn.load` takes or gives. Its architecture stays.
        freeze: Parts of it that stay as they are: ``encoder``, ``inputs``.
        resume: Go on with a run that was stopped, whose state stands beside ``out``.
        overwrite: Replace the bundle at ``out``.
        quiet: No notices, no progress.
        reading: How files are read, the arguments of `birnn.data.ReadOptions`: ``format``,
            ``field``, ``columns``, ``text_column``, ``label_column``, ``delimiter``, ``header``...

    Returns:
        The trained model, ready to predict.

    Raises:
        MissingExtra: PyTorch or Lightning is not installed.
        DataError: Data that cannot be read or learnt from.
        ConfigError: Settings that do not exist or do not fit.
        OutputError: A place that cannot be written, or that holds something already, or where
            another training is at work.
        TrainingError: A loss that is not finite. The best model so far stands at ``out``, if an
            epoch was scored.
        MemoryError: No memory for the model and a batch of it.
        Interrupted: Ctrl-C or SIGTERM before there was a model to keep.

    Example:
        >>> import birnn
        >>> from birnn.demos import senses
        >>> cases = [case.example for case in senses.generate(60, seed=1)]
        >>> model = birnn.train(
        ...     "tagger", train=cases, quiet=True,
        ...     settings={"training.epochs": 1, "encoder.hidden_size": 8},
        ... )
        >>> [len(tags) for tags in model.predict([["the", "bank"]])]
        [2]
    """
    python = random.getstate()
    for module in ("torch", "lightning"):
        require(module, extra="train")
    _refuse_settings(reading)
    if task is None and start_from is None:
        raise UsageError("task is not given: name one, or a model to start_from.")
    if freeze and start_from is None:
        raise UsageError("freeze keeps parts of a trained model: give it as start_from.")
    from birnn.training.fit import run_training
    from birnn.training.recipe import Recipe
    from birnn.training.sets import DataSources
    from birnn.training.start import WarmStart
    from birnn.training.workspace import Workspace

    # Some library draws random numbers as it is imported.
    random.setstate(python)
    start = None if start_from is None else WarmStart.of(start_from, freeze)
    task = str(task) if start is None else start.check_task(task)
    recipe = Recipe.load(task, config=config).with_settings(settings or {})
    sources = DataSources(train, dev, test, ReadOptions.of(reading))
    run: dict[str, Any] = {"seed": seed, "start": start, "quiet": quiet}
    if out is None:
        if resume or overwrite:
            raise UsageError("resume and overwrite are about a folder. Give out, or neither.")
        return Predictor(run_training(task, sources, recipe, **run).bundle)
    if start is not None:
        start.check_out(out)
    with Workspace.open(out, resume=resume, overwrite=overwrite) as workspace:
        run_training(task, sources, recipe, workspace, **run)
    return Predictor.load(out)


def _refuse_settings(given: Mapping[str, Any]) -> None:
    """Say where settings of training go, which are easily taken for arguments."""
    from birnn.training.settings import TrainingSettings

    for name in given.keys() - ReadOptions.model_fields.keys():
        for setting in difflib.get_close_matches(name, TrainingSettings.model_fields, 1, 0.8):
            raise UsageError(
                f"{name} is no argument, {setting} is a setting of training: "
                f"settings={{'training.{setting}': {given[name]!r}}}."
            )
