"""What each command does. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import birnn
from birnn.cli.output import naming, print_json
from birnn.cli.reading import with_epochs
from birnn.cli.tables import print_scores, print_table
from birnn.data import ReadOptions
from birnn.engine import isa
from birnn.errors import Interrupted, UsageError, escaped, nearest, print_notice, require
from birnn.metrics import named_counts
from birnn.runtime import Predictor

if TYPE_CHECKING:
    # At run time it would load torch.
    from birnn.training.recipe import Task as TrainingTask
    from birnn.training.settings import Kind

PACKAGES = ("numpy", "torch", "lightning", "safetensors", "pydantic", "onnx", "keras", "flax")


def train(
    task: str,
    *,
    train: str,
    dev: str | None,
    test: str | None,
    out: Path,
    config: Path | None,
    settings: Sequence[str],
    vectors: Path | None,
    seed: int,
    epochs: int | None,
    resume: bool,
    overwrite: bool,
    reading: ReadOptions,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train a model and tell its scores."""
    for module in ("torch", "lightning"):
        require(module, extra="train")
    from birnn.training import fit as fitting
    from birnn.training.recipe import TASKS, Recipe

    if task not in TASKS:
        raise UsageError(f"no task {task!r}: {nearest(task, TASKS)}")
    overrides = with_epochs(settings, epochs)
    if vectors is not None:
        overrides = [*overrides, f"inputs.vectors={json.dumps(str(vectors))}"]
    recipe = Recipe.load(task, config=config, overrides=overrides)
    result = fitting.fit(
        task,
        train=train,
        dev=dev,
        test=test,
        out=out,
        recipe=recipe,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        reading=reading,
        quiet=quiet,
    )
    told = {
        "model": str(result.folder),
        "epochs": result.epochs,
        "seconds": round(result.seconds, 1),
        "interrupted": result.interrupted,
        **result.metrics,
    }
    if as_json:
        print_json(told)
    else:
        for name, scores in result.metrics.items():
            print_scores(scores, title=name)
        place = escaped(str(result.folder))
        print(f"model in {place}, {_epochs(result.epochs)}, {result.seconds:.0f} s")
    if result.signal is not None:
        stopped = Interrupted.by(
            result.signal,
            f"after {_epochs(result.epochs)}: {result.folder} holds the best model so far; "
            "--resume goes on",
        )
        print_notice(f"birnn: {stopped}")
        return stopped.exit_status
    return 0


def evaluate(
    folder: Path,
    data: str,
    *,
    reading: ReadOptions,
    as_json: bool,
) -> int:
    """Score a model on a labelled file."""
    if data == "-":
        raise UsageError("evaluate reads a file, standard input serves predict only.")
    model = Predictor.load(folder)
    with naming(data):
        scores = model.evaluate(data, tell=print_notice, **reading.model_dump(exclude_unset=True))
    unknown = scores.get("unknown_labels", {})
    if unknown:
        print_notice(f"labels that the model never saw, counted as wrong: {named_counts(unknown)}")
    if as_json:
        print_json(scores)
    else:
        print_scores(scores, title=str(data))
    return 0


def quickstart(out: Path, *, seed: int, as_json: bool) -> int:
    """Train and compare one and two directions on embedded data."""
    for module, extra in (
        ("torch", "train"),
        ("lightning", "train"),
        ("matplotlib", "plots"),
        ("jinja2", "plots"),
    ):
        require(module, extra=extra)
    from birnn.experiments import quickstart as demo

    result = demo.run(out, seed=seed, progress=print_notice)
    if as_json:
        print_json(result.to_dict())
        return 0
    for table in result.tables():
        print_table(table.title, table.header, table.rows)
    print(f"report: {result.report}")
    print(f"model:  {result.bundle}")
    print(f'try:    echo "{result.sentence}" | birnn predict {result.bundle}')
    return 0


def settings(task: TrainingTask, kind: Kind, *, as_json: bool) -> int:
    """List the settings of training."""
    require("torch", extra="train")
    from birnn.training.recipe import settings_table

    rows = settings_table(task, kind)
    if as_json:
        print_json({name: {"default": value, "meaning": text} for name, value, text in rows})
    else:
        shown = [(name, _as_set(value), text) for name, value, text in rows]
        print_table(f"settings of a {task} of {kind}", ("setting", "default", "meaning"), shown)
    return 0


def info(*, as_json: bool) -> int:
    """Tell versions, engine and threads."""
    engine = isa.active()
    native = isa.native_module()
    told: dict[str, Any] = {
        "birnn": birnn.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "engine": f"{engine.name} ({engine.detail})",
        "native module": (
            f"built with {native.compiler}" if native is not None else isa.why_no_native()
        ),
        "threads": isa.get_num_threads(),
        "threads set by": isa.threads_set_by(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }
    if as_json:
        print_json(told)
        return 0
    for name, value in told.items():
        text = (
            ", ".join(f"{package} {number}" for package, number in value.items())
            if isinstance(value, dict)
            else value
        )
        print(f"{name + ':':16}{text}")
    return 0


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _as_set(value: Any) -> str:
    """A setting's value as ``--set`` takes it."""
    if value is None or isinstance(value, str):
        return value or "none"
    return json.dumps(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
