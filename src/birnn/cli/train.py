"""``birnn train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birnn.cli.options import (
    TASK_NAMES,
    Config,
    Dev,
    Epochs,
    Freeze,
    Json,
    Seed,
    Settings,
    StartFrom,
    with_epochs,
    with_read_options,
    with_threads,
)
from birnn.cli.output import print_json, require_training
from birnn.errors import Interrupted, UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data.options import ReadOptions


@with_threads
@with_read_options
def train(
    train: Annotated[str, typer.Option(metavar="F", help="File of labelled examples.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the trained model.")],
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help=f"{TASK_NAMES} With --from: its own.")
    ] = None,
    dev: Dev = None,
    test: Annotated[str | None, typer.Option(metavar="F", help="Scored once at the end.")] = None,
    config: Config = None,
    settings: Settings = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="F", help="Pretrained word vectors, text format.")
    ] = None,
    start_from: StartFrom = None,
    freeze: Freeze = None,
    seed: Seed = 1,
    epochs: Epochs = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model at --out.")
    ] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no notices.")] = False,
    *,
    reading: ReadOptions,
) -> int:
    """Train a model on a labelled file."""
    if task is None and start_from is None:
        raise UsageError(
            f"TASK is not given. Name it: {TASK_NAMES} Or give a model to go on with: --from DIR."
        )
    if freeze and start_from is None:
        raise UsageError("--freeze keeps parts of a trained model: it needs --from DIR.")
    require_training()
    from birnn.cli.printing import print_scores
    from birnn.training.fit import run_training
    from birnn.training.recipe import Recipe
    from birnn.training.sets import DataSources
    from birnn.training.start import WarmStart
    from birnn.training.workspace import Workspace

    overrides = with_epochs(settings, epochs)
    if vectors is not None:
        overrides = [*overrides, f"inputs.vectors={json.dumps(str(vectors))}"]
    start = None if start_from is None else WarmStart.of(start_from, freeze or ())
    task = str(task) if start is None else start.check_task(task)
    if start is not None:
        start.check_out(out)
    recipe = Recipe.load(task, config=config, overrides=overrides)
    sources = DataSources(train, dev, test, reading)
    with Workspace.open(out, resume=resume, overwrite=overwrite) as workspace:
        result = run_training(task, sources, recipe, workspace, seed=seed, start=start, quiet=quiet)
    metrics, count = result.bundle.metrics, f"{result.epochs} epoch{'s' * (result.epochs != 1)}"
    if as_json:
        print_json(
            {
                "model": str(out),
                "epochs": result.epochs,
                "seconds": round(result.seconds, 1),
                "interrupted": result.stopped is not None,
                **metrics,
            }
        )
    else:
        for name, scores in metrics.items():
            print_scores(scores, title=name)
        print(f"model in {escaped(str(out))}, {count}, {result.seconds:.0f} s")
    if result.stopped is not None:
        number = result.stopped.exit_status - 128
        words = f"after {count}: {out} holds the best model so far; --resume goes on"
        stopped = Interrupted.by(number, words)
        print_notice(f"birnn: {stopped}")
        return stopped.exit_status
    return 0
