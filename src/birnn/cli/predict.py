"""``birnn predict``: its arguments, its work, the lines it writes."""

from __future__ import annotations

import json
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.options import Beam, Longest, Model, search_of, with_read_options, with_threads
from birnn.cli.output import STANDARD_INPUT, finite, naming_file, open_output
from birnn.errors import UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data import Example
    from birnn.data.options import ReadOptions
    from birnn.runtime import Predictor

# An example, its answer and, where asked for, its probabilities; of a search the n best.
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
    beam: Beam = None,
    nbest: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Of seq2seq: the best of each source, with rank and score."
        ),
    ] = None,
    longest: Longest = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each sequence, a line each.")
    ] = False,
    *,
    reading: ReadOptions,
) -> int:
    """Answer for the sequences of a file as a stream: memory does not grow with it."""
    from birnn.runtime import Predictor

    if all_probabilities and not as_json:
        raise UsageError("--all-probabilities goes with --json. For the answer's: --probabilities.")
    predictor = Predictor.load(model)
    spec = predictor.spec
    search = search_of(spec.head, beam, longest, nbest)
    with_probabilities = probabilities or all_probabilities
    if with_probabilities and (spec.head.searches or not predictor.labels):
        raise spec.head.no_probabilities("Leave --probabilities out.")
    if data == STANDARD_INPUT and reading.format is None and spec.inputs.holds == "vectors":
        raise UsageError("this model reads vectors: name the --format of standard input.")
    examples = predictor.read(data, reading, tell=print_notice)
    wait = not _arrives(data)
    every = all_probabilities or nbest is not None
    line = _json_lines(predictor, every) if as_json else _plain_lines(predictor)

    def answers(inputs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        if with_probabilities or (as_json and spec.head.probabilities_in_json):
            return predictor.stream_proba(inputs, wait=wait)
        if spec.head.searches and (as_json or nbest is not None):
            found = predictor.stream_nbest(inputs, search=search, wait=wait)
            return ((list(targets[0].symbols), targets) for targets in found)
        return ((a, None) for a in predictor.stream(inputs, search=search, wait=wait))

    answered = _answered(examples, answers, data)
    with open_output(out, reading=data) as stream:
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
    examples: Iterable[Example],
    answers: Callable[[Iterable[Any]], Iterator[tuple[Any, Any]]],
    data: str,
) -> Iterator[Answered]:
    """Each example with its answer, in order."""
    waiting: deque[Example] = deque()

    def inputs() -> Iterator[Any]:
        for example in examples:
            waiting.append(example)
            yield example.inputs

    with naming_file(data):
        for answer, chances in answers(inputs()):
            yield waiting.popleft(), answer, chances


def _plain_lines(model: Predictor) -> Callable[[Example, Any, Any], str]:
    """The lines of an answer as its task writes them."""
    head, labels, tensors = model.spec.head, model.labels, model.bundle.tensors
    return lambda example, answer, chances: head.lines(example, answer, chances, labels, tensors)


def _json_lines(model: Predictor, every: bool) -> Callable[[Example, Any, Any], str]:
    """An object for each sequence: what the file calls it, what was read, the answer."""
    head, labels, told = model.spec.head, model.labels, False

    def lines(example: Example, answer: Any, chances: Any) -> str:
        nonlocal told
        record: dict[str, Any] = {}
        if example.id is not None:
            record["id"] = example.id
        if example.text is not None:
            record["text"] = example.text
        if isinstance(example.inputs, tuple):
            record["tokens"] = list(example.inputs)
        record[head.key] = answer
        if chances is not None:
            record |= head.probability_record(answer, chances, labels, every=every)
        whole = finite(record)
        if whole != record and not told:
            told = True
            print_notice(f"{example.where}: values that are no finite numbers are written as null")
        line = json.dumps(whole, ensure_ascii=False, allow_nan=False)
        return escaped(line, as_json=True) + "\n"

    return lines
