"""What each command does. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import platform
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import birnn
from birnn.bundle.spec import Symbols, Tags, Values, Vectors
from birnn.cli.output import print_json, tell, writing
from birnn.cli.tables import print_scores, print_table
from birnn.data import Example, ReadOptions, read
from birnn.data.examples import Task
from birnn.errors import DataError, FormatError, UsageError, escaped, nearest, require
from birnn.kernels import isa
from birnn.runtime import Predictor

if TYPE_CHECKING:
    # At run time it would load torch.
    from birnn.training.recipe import Kind
    from birnn.training.recipe import Task as TrainingTask

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
    if result.interrupted:
        tell(
            f"birnn: interrupted after {_epochs(result.epochs)}: "
            f"{result.folder} holds the best model so far; --resume goes on"
        )
        return 130
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
    with _naming(data):
        scores = model.evaluate(data, tell=tell, **reading.model_dump(exclude_unset=True))
    unknown = scores.get("unknown_labels", {})
    if unknown:
        named = ", ".join(f"{label} ({count})" for label, count in unknown.items())
        tell(f"labels that the model never saw, counted as wrong: {named}")
    if as_json:
        print_json(scores)
    else:
        print_scores(scores, title=str(data))
    return 0


def predict(
    folder: Path,
    data: str,
    *,
    out: Path | None,
    reading: ReadOptions,
    probabilities: bool,
    as_json: bool,
) -> int:
    """Label the sequences of a file, as a stream."""
    model = Predictor.load(folder)
    spec = model.spec
    reading = model.read_options(reading)
    if probabilities and isinstance(spec.head, Values):
        raise UsageError("a regressor has no probabilities. Leave --probabilities out.")
    if data == "-" and reading.format is None:
        if isinstance(spec.inputs, Vectors):
            raise UsageError("this model reads vectors: name the --format of standard input.")
        reading = reading.model_copy(update={"format": "text"})
    # Plain text is words, but where the model reads symbols each character is one.
    plain = reading.format == "text" or (
        reading.format is None and data.removesuffix(".gz").endswith(".txt")
    )
    task: Task = "seq2seq" if plain and isinstance(spec.inputs, Symbols) else spec.task
    examples = read(data, task, reading, labelled=False, tell=tell)
    line = _json_line if as_json else _plain_lines
    with writing(out, reading=data) as stream:
        for inputs, answer, chances in _answers(model, examples, data, probabilities):
            stream.write(line(model, inputs, answer, chances))
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

    result = demo.run(out, seed=seed, progress=tell)
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
        print_table(f"settings of a {task} of {kind}", ("setting", "default", "meaning"), rows)
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


def _answers(
    model: Predictor, examples: Iterable[Example], data: str, probabilities: bool
) -> Iterator[tuple[Any, Any, Any]]:
    """Inputs, answer and, where asked for, probabilities of each sequence."""
    waiting: deque[Any] = deque()

    def inputs() -> Iterator[Any]:
        for example in examples:
            waiting.append(example.inputs)
            yield example.inputs

    answered: Iterator[tuple[Any, Any]]
    if probabilities:
        answered = model.stream_proba(inputs())
    else:
        answered = ((answer, None) for answer in model.stream(inputs()))
    with _naming(data):
        for answer, chances in answered:
            yield waiting.popleft(), answer, chances


@contextmanager
def _naming(data: str) -> Iterator[None]:
    """Name the file in what the model says of its sequences: it does not know where they stand."""
    try:
        yield
    except DataError as error:
        if isinstance(error, FormatError) or str(error).startswith(data):
            raise
        raise DataError(f"{data}: {error}") from None


def _chance(labels: Sequence[str], answer: Any, chances: Any) -> Any:
    """The probability of an answer: of each tag, or of the label."""
    ids = {label: i for i, label in enumerate(labels)}
    if isinstance(answer, str):
        return chances[ids[answer]]
    return [row[ids[tag]] for row, tag in zip(chances, answer, strict=True)]


def _plain_lines(model: Predictor, inputs: Any, answer: Any, chances: Any) -> str:
    head = model.spec.head
    if isinstance(head, Tags):
        steps = range(len(answer)) if isinstance(inputs, np.ndarray) else inputs
        rows = [[str(step), escaped(tag)] for step, tag in zip(steps, answer, strict=True)]
        if chances is not None:
            for row, chance in zip(rows, _chance(model.labels, answer, chances), strict=True):
                row.append(f"{chance:.4f}")
        return "".join("\t".join(row) + "\n" for row in rows) + "\n"
    if isinstance(head, Values):
        return "\t".join(f"{value:.6g}" for value in answer) + "\n"
    if chances is not None:
        return f"{escaped(answer)}\t{_chance(model.labels, answer, chances):.4f}\n"
    return f"{escaped(answer)}\n"


def _json_line(model: Predictor, inputs: Any, answer: Any, chances: Any) -> str:
    head = model.spec.head
    told: dict[str, Any] = {} if isinstance(inputs, np.ndarray) else {"tokens": list(inputs)}
    name = "tags" if isinstance(head, Tags) else "values" if isinstance(head, Values) else "label"
    told[name] = answer
    if chances is not None:
        told["probabilities"] = np.round(chances.astype(float), 6).tolist()
        told["labels"] = list(model.labels)
    return json.dumps(told, ensure_ascii=False) + "\n"


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
