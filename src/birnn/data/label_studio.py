"""Exports of Label Studio: JSON of tasks and their annotations, and JSON-MIN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from birnn.data.annotated import AnnotatedTexts
from birnn.data.conversion import shortened
from birnn.data.examples import Example
from birnn.data.headers import LABEL, LABELS, TEXT, plain_name
from birnn.data.json_text import json_items, refuse_halves
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.spans import TextSpan, in_units, span_of
from birnn.data.writing import WriteRequest, json_line
from birnn.errors import DataError

# Keys of JSON-MIN that are no data and no answer.
_ABOUT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
_OF_TASK = ("annotations", "completions")  # the second before version 1.0


class _Answer(NamedTuple):
    """What an annotator answered of one text."""

    spans: list[TextSpan]
    labels: list[str]


def read_label_studio(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""What Label Studio exports as JSON or as JSON-MIN: one list of objects.

    Spans are regions of type ``labels``, labels those of type ``choices``; other regions are
    counted and told. Of several annotations of a text the ground truth is read, or the first that
    is not cancelled; texts without any are left out where targets are read. Offsets count UTF-16
    units, unless the regions' own texts show that they count characters.

    Raises:
        FormatError: No such list, a task without text, a region that is no span.

    Source: https://labelstud.io/guide/export; what offsets count: Label Studio's issue 1347.

    Example:
        >>> text = '[{"text": "Ada lives", "label": [{"start": 0, "end": 3, "labels": ["PER"]}]}]'
        >>> [example] = read_label_studio(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('Ada', 'lives'), ('B-PER', 'O'))
    """
    texts = AnnotatedTexts(source, request, unit="utf16")
    read: set[str] = set()  # tasks of JSON-MIN, which stand once for each annotator
    for line, task in json_items(source):
        where = source.where(line)
        try:
            whole = isinstance(task.get("data"), dict)
            data: Mapping[str, Any] = task["data"] if whole else task
            key = _text_key(data, request)
            text = data[key]
            refuse_halves(text)
            given = task.get("id", data.get("id"))
            name = None if given is None else str(given)
            answer = _Answer([], [])
            if whole and request.labelled:
                regions = _annotation(task, texts, where)
                if regions is None:
                    continue
                answer = _answer(regions, request, texts, where)
            elif not whole:
                if name is not None and name in read:
                    texts.count("further annotations of a text, left out", where)
                    continue
                read.update([name] if name is not None else [])
                if request.labelled:
                    answer = _minimal(data, key, request, texts, where)
            example: Example | None
            if request.target == "tags":
                example = texts.tagged(text, answer.spans, where, name)
            else:
                example = texts.labelled(text, answer.labels, where, name, line=line)
        except DataError as error:
            raise source.fault(error, line) from None
        if example is not None:
            yield example
    texts.report()


def _text_key(data: Mapping[str, Any], request: ReadRequest) -> str:
    """The key of a task's text."""
    strings = [key for key, value in data.items() if isinstance(value, str) and key not in _ABOUT]
    if (wanted := request.options.text_column) is not None:
        strings = [key for key in strings if key == wanted]
    known = [key for key in strings if plain_name(key) in TEXT]
    found = known or strings
    if not found or (len(found) > 1 and not known):
        has = ", ".join(list(data)[:12]) or "nothing"
        raise DataError(f"no text known among the data: {has}. Name its key: --text-column.")
    return min(known, key=lambda key: TEXT.index(plain_name(key))) if known else found[0]


def _annotation(
    task: Mapping[str, Any], texts: AnnotatedTexts, where: str
) -> list[Mapping[str, Any]] | None:
    """The regions of the annotation that is read; None where a task has none."""
    given = next((task[key] for key in _OF_TASK if key in task), None)
    if given is not None and not _is_objects(given):
        raise DataError(f"annotations is {shortened(given, 40)}, a list of objects is needed.")
    if task.get("predictions") and not given:
        texts.count("texts with predictions alone, left out", where)
        return None
    done = [each for each in given or () if not each.get("was_cancelled")]
    if not done:
        texts.count("texts that were not annotated or were skipped, left out", where)
        return None
    truth = [each for each in done if each.get("ground_truth")]
    for _ in done[1:]:
        texts.count("further annotations of a text, left out", where)
    result = (truth or done)[0].get("result") or []
    if not _is_objects(result):
        raise DataError(f"result is {shortened(result, 40)}, a list of objects is needed.")
    return list(result)


def _answer(
    regions: list[Mapping[str, Any]], request: ReadRequest, texts: AnnotatedTexts, where: str
) -> _Answer:
    answer = _Answer([], [])
    wanted = "labels" if request.target == "tags" else "choices"
    for region in regions:
        kind, value = region.get("type"), region.get("value")
        if kind != wanted or not isinstance(value, dict):
            what = "relations" if kind == "relation" else f"regions of the type {kind}"
            texts.count(f"{what}, which are not read", where)
        elif kind == "labels":
            answer.spans.extend(_spans(value, texts, where))
        else:
            answer.labels.extend(_names(value.get("choices"), "choices"))
    return answer


def _minimal(
    data: Mapping[str, Any], text: str, request: ReadRequest, texts: AnnotatedTexts, where: str
) -> _Answer:
    """The answer of an object of JSON-MIN, whose keys are names of the labelling interface."""
    answer = _Answer([], [])
    for key, value in data.items():
        if key == text or key in _ABOUT or request.options.label_column not in (None, key):
            continue
        if _is_objects(value) and value and "start" in value[0]:
            for region in value:
                answer.spans.extend(_spans(region, texts, where))
        elif isinstance(value, dict) and "choices" in value:
            answer.labels.extend(_names(value["choices"], key))
        elif isinstance(value, str) and _is_choice(key, request):
            answer.labels.append(value)
    return answer


def _is_choice(key: str, request: ReadRequest) -> bool:
    return key == request.options.label_column or plain_name(key) in (*LABEL, *LABELS, "choice")


def _spans(value: Mapping[str, Any], texts: AnnotatedTexts, where: str) -> list[TextSpan]:
    """The spans of a region: one for each of its labels."""
    labels = value.get("labels")
    if labels is None or labels == []:
        texts.count("regions without a label, left out", where)
        return []
    start, end, text = (value.get(key) for key in ("start", "end", "text"))
    return [span_of(start, end, label, text) for label in _names(labels, "labels")]


def _names(given: Any, key: str) -> list[str]:
    names = given if isinstance(given, list) else [given]
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{key} is {shortened(given, 40)}, a list of names is needed.")
    return [name.strip() for name in names]


def _is_objects(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(item, dict) for item in given)


def write_label_studio(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    """The list of annotated tasks that Label Studio imports, with the text of each region.

    Regions are of ``label`` to ``text``, choices of ``choice`` to ``text``, as its templates name
    them; offsets count UTF-16 units.
    """
    before = "[\n"
    for example in examples:
        regions: list[dict[str, Any]]
        if request.target == "tags":
            text, offsets = request.placed(example)
            spans = request.spans(example, offsets)
            regions = [
                {
                    "from_name": "label",
                    "to_name": "text",
                    "type": "labels",
                    "value": {
                        "start": placed.start,
                        "end": placed.end,
                        "text": text[span.start : span.end],
                        "labels": [span.label],
                    },
                }
                for span, placed in zip(spans, in_units(text, spans, "utf16"), strict=True)
            ]
        else:
            text = request.text(example)
            choices = request.names(example)
            regions = (
                [
                    {
                        "from_name": "choice",
                        "to_name": "text",
                        "type": "choices",
                        "value": {"choices": choices},
                    }
                ]
                if choices
                else []
            )
        data = {"text": text} | ({} if example.id is None else {"id": example.id})
        yield before + json_line({"data": data, "annotations": [{"result": regions}]}).rstrip()
        before = ",\n"
    yield "\n]\n"
