"""What each command does. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import birnn
from birnn.bundle.spec import Tags, Values
from birnn.cli.tables import print_scores, print_table
from birnn.data import read
from birnn.errors import OutputError, UsageError, nearest, require
from birnn.kernels import isa
from birnn.runtime import Predictor

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
    format: str | None,  # noqa: A002
    field: str,
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
    recipe = Recipe.load(task, config=config, overrides=settings)
    if epochs is not None:
        recipe = recipe.with_settings({"training.epochs": epochs})
    if vectors is not None:
        recipe = recipe.with_settings({"inputs.vectors": vectors})
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
        format=format,
        field=field,
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
        _print_json(told)
    else:
        for name, scores in result.metrics.items():
            print_scores(scores, title=name)
        print(f"model in {result.folder}, {result.epochs} epochs, {result.seconds:.0f} s")
    if result.interrupted:
        _tell(
            f"interrupted after {result.epochs} epochs: {result.folder} holds the best model so "
            "far; --resume goes on"
        )
        return 130
    return 0


def evaluate(
    folder: Path,
    data: str,
    *,
    format: str | None,  # noqa: A002
    field: str | None,
    as_json: bool,
) -> int:
    """Score a model on a labelled file."""
    model = Predictor.load(folder)
    if data == "-":
        raise UsageError("evaluate reads a file, standard input serves predict only")
    scores = model.evaluate(data, format=format, field=field)
    unknown = scores.get("unknown_labels", {})
    if unknown:
        named = ", ".join(f"{label} ({count})" for label, count in unknown.items())
        _tell(f"labels that the model never saw, counted as wrong: {named}")
    if as_json:
        _print_json(scores)
    else:
        print_scores(scores, title=str(data))
    return 0


def predict(
    folder: Path,
    data: str,
    *,
    out: Path | None,
    format: str | None,  # noqa: A002
    probabilities: bool,
    as_json: bool,
) -> int:
    """Label the sequences of a file, as a stream."""
    model = Predictor.load(folder)
    if probabilities and isinstance(model.spec.head, Values):
        raise UsageError("a regressor has no probabilities. Leave --probabilities out.")
    if data == "-" and format is None:
        format = "text"  # noqa: A001
    examples = read(data, model.spec.task, format=format, labelled=False)
    with _output(out) as stream:
        for inputs, answer, chances in _answers(model, examples, probabilities):
            line = _json_line if as_json else _plain_lines
            stream.write(line(model, inputs, answer, chances))
    return 0


def quickstart(out: Path, *, seed: int, as_json: bool) -> int:
    """Train and compare one and two directions on embedded data."""
    for module, extra in (("torch", "train"), ("lightning", "train"), ("matplotlib", "plots")):
        require(module, extra=extra)
    from birnn.experiments import quickstart as demo

    result = demo.run(out, seed=seed, progress=_tell)
    if as_json:
        _print_json(result.to_dict())
        return 0
    for table in result.tables():
        print_table(table.title, table.header, table.rows)
    print(f"report: {result.report}")
    print(f"model:  {result.bundle}")
    print(f'try:    echo "{result.sentence}" | birnn predict {result.bundle}')
    return 0


def settings(task: str, *, as_json: bool) -> int:
    """List the settings of training."""
    require("torch", extra="train")
    from birnn.training.recipe import settings_table

    rows = settings_table(task)  # type: ignore[arg-type] # typer has checked it
    if as_json:
        _print_json({name: {"default": value, "meaning": text} for name, value, text in rows})
    else:
        print_table(f"settings of a {task}", ("setting", "default", "meaning"), rows)
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
        "threads": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }
    if as_json:
        _print_json(told)
        return 0
    for name, value in told.items():
        text = (
            ", ".join(f"{package} {number}" for package, number in value.items())
            if isinstance(value, dict)
            else value
        )
        print(f"{name + ':':16}{text}")
    return 0


def _answers(
    model: Predictor, examples: Iterable[Any], probabilities: bool
) -> Iterator[tuple[Any, Any, Any]]:
    """Inputs, answer and, where asked for, probabilities of each sequence."""
    waiting: list[Any] = []

    def inputs() -> Iterator[Any]:
        for example in examples:
            waiting.append(example.inputs)
            yield example.inputs

    if not probabilities:
        for answer in model.stream(inputs()):
            yield waiting.pop(0), answer, None
        return
    for chances in model.stream_proba(inputs()):
        best = np.argmax(chances, axis=-1)
        if isinstance(model.spec.head, Tags):
            answer = [model.labels[i] for i in best]
        else:
            answer = model.labels[int(best)]
        yield waiting.pop(0), answer, chances


def _plain_lines(model: Predictor, inputs: Any, answer: Any, chances: Any) -> str:
    head = model.spec.head
    if isinstance(head, Tags):
        steps = range(len(answer)) if isinstance(inputs, np.ndarray) else inputs
        rows = [[str(step), tag] for step, tag in zip(steps, answer, strict=True)]
        if chances is not None:
            for row, chance in zip(rows, chances, strict=True):
                row.append(f"{chance.max():.4f}")
        return "".join("\t".join(row) + "\n" for row in rows) + "\n"
    if isinstance(head, Values):
        return "\t".join(f"{value:.6g}" for value in answer) + "\n"
    chance = f"\t{chances.max():.4f}" if chances is not None else ""
    return f"{answer}{chance}\n"


def _json_line(model: Predictor, inputs: Any, answer: Any, chances: Any) -> str:
    head = model.spec.head
    told: dict[str, Any] = {} if isinstance(inputs, np.ndarray) else {"tokens": list(inputs)}
    name = "tags" if isinstance(head, Tags) else "values" if isinstance(head, Values) else "label"
    told[name] = answer
    if chances is not None:
        told["probabilities"] = np.round(chances.astype(float), 6).tolist()
        told["labels"] = list(model.labels)
    return json.dumps(told, ensure_ascii=False) + "\n"


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears only once it is whole."""
    if path is None:
        yield sys.stdout
        return
    part = path.with_name(f"{path.name}.part")
    try:
        stream = part.open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}. Give another --out."
        ) from None
    try:
        with stream:
            yield stream
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _print_json(told: dict[str, Any]) -> None:
    print(json.dumps(told, ensure_ascii=False, allow_nan=False))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
