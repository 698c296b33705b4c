"""``birnn predict``: its arguments, its work, the lines it writes."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birnn.cli.given_text import annotation_lines, is_text, tell_reading
from birnn.cli.options import Beam, Longest, Model, search_of, with_read_options, with_threads
from birnn.cli.output import STANDARD_INPUT, finite, naming_file, open_output
from birnn.errors import UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data import Example
    from birnn.data.options import ReadOptions
    from birnn.runtime import Predictor, Search

# An example with what the model gives for it: an answer with its probabilities or its n best, or
# an annotation.
Answers = Callable[[Iterator["Example"]], Iterator[Any]]
Lines = Callable[["Example", Any], str]


@with_threads
@with_read_options
def predict(
    model: Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="[F|-|TEXT]", help="File, - for standard input, or a text in quotes."
        ),
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
    entities: Annotated[
        bool,
        typer.Option(
            "--entities",
            help="Of a tagger of spans: the text with its entities, coloured in a terminal. With "
            "--json, of any model: offsets, entities and probabilities.",
        ),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="Of a classifier: the best labels of each text."),
    ] = None,
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
    annotating = entities or top is not None
    if annotating and (with_probabilities or search is not None):
        raise UsageError(
            "--entities and --top bring probabilities with them, and no search. Leave the others "
            "out, or these."
        )
    if top is not None and spec.head.searches:
        raise UsageError(f"--top is of labels; of a {spec.head.task}: --nbest.")
    if data == STANDARD_INPUT and reading.format is None and spec.inputs.holds == "vectors":
        raise UsageError("this model reads vectors: name the --format of standard input.")
    given = spec.inputs.holds != "vectors" and is_text(data)
    tell_reading(data, as_text=given)
    if given:
        examples = iter([predictor.example(data, reading, tell=print_notice)])
    else:
        examples = predictor.read(data, reading, tell=print_notice)
    source, wait = ("the text", True) if given else (data, not _arrives(data))
    if annotating:
        coloured = out is None and sys.stdout.isatty()
        lines = (
            _json_annotations() if as_json else annotation_lines(spec.head, top, coloured=coloured)
        )
        answers: Answers = partial(predictor.stream_annotations, top=top, wait=wait)
    else:
        every = all_probabilities or nbest is not None
        lines = _json_answers(predictor, every) if as_json else _plain_answers(predictor)
        with_probabilities |= as_json and spec.head.probabilities_in_json
        nbests = spec.head.searches and (as_json or nbest is not None)
        answers = _answering(predictor, wait, search, with_probabilities, nbests)
    with open_output(out, reading=STANDARD_INPUT if given else data) as stream:
        for example, found in _answered(examples, answers, source):
            stream.write(lines(example, found))
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
    examples: Iterable[Example], answers: Answers, data: str
) -> Iterator[tuple[Example, Any]]:
    """Each example with what is given for it, in order."""
    waiting: deque[Example] = deque()

    def asked() -> Iterator[Example]:
        for example in examples:
            waiting.append(example)
            yield example

    with naming_file(data):
        for found in answers(asked()):
            yield waiting.popleft(), found


def _answering(
    model: Predictor, wait: bool, search: Search | None, with_probabilities: bool, nbests: bool
) -> Answers:
    """From examples to answers, each with its probabilities, its n best, or None."""

    def answers(examples: Iterator[Example]) -> Iterator[tuple[Any, Any]]:
        inputs = (example.inputs for example in examples)
        if with_probabilities:
            return model.stream_proba(inputs, wait=wait)
        if nbests:
            found = model.stream_nbest(inputs, search=search, wait=wait)
            return ((list(targets[0].symbols), targets) for targets in found)
        return ((a, None) for a in model.stream(inputs, search=search, wait=wait))

    return answers


def _plain_answers(model: Predictor) -> Lines:
    """The lines of an answer as its task writes them."""
    head, labels, tensors = model.spec.head, model.labels, model.bundle.tensors
    return lambda example, found: head.lines(example, found[0], found[1], labels, tensors)


def _json_answers(model: Predictor, every: bool) -> Lines:
    """An object for each sequence: what the file calls it, what was read, the answer."""
    head, labels = model.spec.head, model.labels
    json_line = _JsonLines()

    def lines(example: Example, found: tuple[Any, Any]) -> str:
        answer, chances = found
        record: dict[str, Any] = {}
        if example.text is not None:
            record["text"] = example.text
        if isinstance(example.inputs, tuple):
            record["tokens"] = list(example.inputs)
        record[head.key] = answer
        if chances is not None:
            record |= head.probability_record(answer, chances, labels, every=every)
        return json_line(example, record)

    return lines


def _json_annotations() -> Lines:
    """An object for each annotation."""
    json_line = _JsonLines()
    return lambda example, found: json_line(example, found.record())


class _JsonLines:
    """Writes objects, a line each, with the names that the file has for their sequences."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self, example: Example, record: dict[str, Any]) -> str:
        record = ({} if example.id is None else {"id": example.id}) | record
        whole = finite(record)
        if whole != record and not self._told:
            self._told = True
            print_notice(f"{example.where}: values that are no finite numbers are written as null")
        line = json.dumps(whole, ensure_ascii=False, allow_nan=False)
        return escaped(line, as_json=True) + "\n"
