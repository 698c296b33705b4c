"""``birnn predict``: its arguments, its work, the lines it writes."""

from __future__ import annotations

import itertools
import json
import math
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.options import Model, with_read_options, with_threads
from birnn.cli.output import finite, naming, writing
from birnn.data.options import ReadOptions
from birnn.data.source import STANDARD_INPUT
from birnn.errors import UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data import Example
    from birnn.runtime import Predictor

# An example, its answer and, where asked for, its probabilities.
Answered = tuple["Example", Any, Any]


@with_threads
@with_read_options
def predict(
    model: Model,
    data: Annotated[
        str, typer.Argument(metavar="[F|-]", help="File, or - for standard input.")
    ] = STANDARD_INPUT,
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="Write here, not to standard output.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="The probability of each answer beside it.")
    ] = False,
    all_probabilities: Annotated[
        bool,
        typer.Option("--all-probabilities", help="With --json: the probability of every label."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each sequence, a line each.")
    ] = False,
    *,
    reading: ReadOptions,
) -> int:
    """Label the sequences of a file as a stream: memory does not grow with it."""
    from birnn.inputs import Vectors
    from birnn.runtime import Predictor

    if all_probabilities and not as_json:
        raise UsageError("--all-probabilities goes with --json. For the answer's: --probabilities.")
    predictor = Predictor.load(model)
    spec = predictor.spec
    if (probabilities or all_probabilities) and not predictor.labels:
        raise UsageError("a regressor has no probabilities. Leave --probabilities out.")
    if data == STANDARD_INPUT and reading.format is None and isinstance(spec.inputs, Vectors):
        raise UsageError("this model reads vectors: name the --format of standard input.")
    examples = predictor.read(data, reading, tell=print_notice)
    wait = not _arrives(data)
    line = _json_lines(predictor, all_probabilities) if as_json else _plain_lines(predictor)
    answered = _answered(
        predictor, examples, data, probabilities=probabilities or all_probabilities, wait=wait
    )
    with writing(out, reading=data) as stream:
        for example, answer, chances in answered:
            stream.write(line(example, answer, chances))
            if not wait:
                stream.flush()
    return 0


def _arrives(data: str) -> bool:
    """Whether a file is a pipe or a terminal, whose lines come one after another."""
    try:
        mode = (os.fstat(0) if data == STANDARD_INPUT else Path(data).stat()).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _answered(
    model: Predictor, examples: Iterable[Example], data: str, *, probabilities: bool, wait: bool
) -> Iterator[Answered]:
    """Each example with its answer, in order."""
    waiting: deque[Example] = deque()

    def inputs() -> Iterator[Any]:
        for example in examples:
            waiting.append(example)
            yield example.inputs

    answers: Iterator[tuple[Any, Any]]
    if probabilities:
        answers = model.stream_proba(inputs(), wait=wait)
    else:
        answers = ((answer, None) for answer in model.stream(inputs(), wait=wait))
    with naming(data):
        for answer, chances in answers:
            yield waiting.popleft(), answer, chances


def _plain_lines(model: Predictor) -> Callable[[Example, Any, Any], str]:
    """A line for each step of a tagger and an empty one after them, otherwise one line."""
    far = getattr(model.spec.head, "offset", ())
    scales = model.bundle.tensors["head.scale"] if far else itertools.repeat(math.inf)

    def lines(example: Example, answer: Any, chances: Any) -> str:
        if model.spec.task == "tagger":
            tokens = example.inputs
            steps = tokens if isinstance(tokens, tuple) else range(len(answer))
            rows = [
                [escaped(str(step)), escaped(tag)] for step, tag in zip(steps, answer, strict=True)
            ]
            if chances is not None:
                for row, chance in zip(
                    rows, _of_answer(model.labels, answer, chances), strict=True
                ):
                    row.append(f"{chance:.4f}")
            return "".join("\t".join(row) + "\n" for row in rows) + "\n"
        if not model.labels:
            return "\t".join(map(_six_digits, answer, scales)) + "\n"
        label = escaped(answer)
        if chances is not None:
            return f"{label}\t{_of_answer(model.labels, answer, chances):.4f}\n"
        return f"{label}\n"

    return lines


def _six_digits(value: float, scale: float) -> str:
    """A value with six digits, or six of what it differs by where it stands far from zero.

    Example:
        >>> _six_digits(1700000000.25, 0.5), _six_digits(0.1234567, math.inf)
        ('1700000000.25', '0.123457')
    """
    apart = math.isfinite(value) and abs(value) > scale
    far = math.ceil(math.log10(abs(value) / scale)) if apart else 0
    return f"{value:.{min(6 + far, 17)}g}"


def _json_lines(model: Predictor, all_probabilities: bool) -> Callable[[Example, Any, Any], str]:
    """An object for each sequence: what the file calls it, what was read, the answer."""
    name = {"tagger": "tags", "classifier": "label", "regressor": "values"}[model.spec.task]
    told = False

    def named(row: Any) -> dict[str, float]:
        return {
            label: round(float(chance), 6) for label, chance in zip(model.labels, row, strict=True)
        }

    def lines(example: Example, answer: Any, chances: Any) -> str:
        nonlocal told
        record: dict[str, Any] = {}
        if example.id is not None:
            record["id"] = example.id
        if example.text is not None:
            record["text"] = example.text
        if isinstance(example.inputs, tuple):
            record["tokens"] = list(example.inputs)
        record[name] = answer
        if chances is not None and all_probabilities:
            tagged = name == "tags"
            record["probabilities"] = [named(row) for row in chances] if tagged else named(chances)
        elif chances is not None and name == "tags":
            each = _of_answer(model.labels, answer, chances)
            record["probabilities"] = [round(float(chance), 6) for chance in each]
        elif chances is not None:
            chance = _of_answer(model.labels, answer, chances)
            record["probability"] = round(float(chance), 6)
        whole = finite(record)
        if whole != record and not told:
            told = True
            print_notice(f"{example.where}: values that are no finite numbers are written as null")
        line = json.dumps(whole, ensure_ascii=False, allow_nan=False)
        return escaped(line, as_json=True) + "\n"

    return lines


def _of_answer(labels: Sequence[str], answer: Any, chances: Any) -> Any:
    """The probability of an answer: of each tag, or of the label."""
    ids = {label: i for i, label in enumerate(labels)}
    if isinstance(answer, str):
        return chances[ids[answer]]
    return [row[ids[tag]] for row, tag in zip(chances, answer, strict=True)]
