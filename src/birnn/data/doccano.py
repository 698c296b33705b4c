"""JSON lines of doccano: a text and its spans, its labels, or the texts that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from birnn.data.annotated import AnnotatedTexts
from birnn.data.conversion import is_list, shortened
from birnn.data.examples import Example
from birnn.data.json_text import NumberedRecord, json_lines
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.spans import TextSpan, in_units, span_of
from birnn.data.writing import WriteRequest, json_line
from birnn.errors import DataError

TEXTS = ("text", "data")
SPANS = ("entities", "label", "labels", "annotations")
LABELS = ("label", "labels", "cats", "annotations")
IDS = ("id", "doc_id")


def read_doccano(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""What doccano exports as JSONL, and imports.

    Spans stand under ``entities`` (objects of ``start_offset``, ``end_offset``, ``label``) or, as
    lists ``[start, end, label]``, under ``label`` or ``labels``; labels of a text are strings
    there. Offsets count UTF-16 units where the texts do not show that they count characters.
    Relations are not read, and told.

    Raises:
        FormatError: Not JSON, no text, a span that is none, or not one label of a text.

    Source: https://doccano.github.io/doccano/; what offsets count: doccano's issue 2290.

    Example:
        >>> text = '{"text": "Ada lives", "label": [[0, 3, "PER"]]}\n'
        >>> [example] = read_doccano(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('Ada', 'lives'), ('B-PER', 'O'))
    """
    yield from doccano_examples(source, json_lines(source), request)


def looks_like_doccano(record: Mapping[str, Any], request: ReadRequest) -> bool:
    """Whether a record of JSON lines is doccano's, where nothing else was said."""
    if not isinstance(record.get("text"), str) or "tokens" in record or not request.labelled:
        return False
    lists = [given for key in SPANS if isinstance(given := record.get(key), list)]
    if request.target == "label":
        return bool(lists) and all(isinstance(label, str) for label in lists[0])
    if request.target != "tags" or not lists:
        return False
    first = next((given[0] for given in lists if given), None)
    if isinstance(first, dict):
        return "start_offset" in first
    return first is None or (isinstance(first, list) and len(first) == 3)


def doccano_examples(
    source: Source, records: Iterable[NumberedRecord], request: ReadRequest
) -> Iterator[Example]:
    """The examples of records, see `read_doccano`."""
    texts = AnnotatedTexts(source, request, unit="utf16")
    for number, record in records:
        where = source.where(number)
        try:
            text = _text(record, request)
            name = next((str(record[key]) for key in IDS if record.get(key) is not None), None)
            example: Example | None
            if request.target == "tags":
                spans = _spans(record) if request.labelled else []
                example = texts.tagged(text, spans, where, name)
            else:
                labels = _labels(record) if request.labelled else []
                example = texts.labelled(text, labels, where, name, line=number)
        except DataError as error:
            raise source.fault(error, number) from None
        for _ in record.get("relations") or ():
            texts.count("relations, which are not read", where)
        if example is not None:
            yield example
    texts.report()


def _text(record: Mapping[str, Any], request: ReadRequest) -> str:
    keys = (request.options.text_column,) if request.options.text_column else TEXTS
    for key in keys:
        if isinstance(text := record.get(key), str):
            return text
    has = ", ".join(list(record)[:12]) or "nothing"
    raise DataError(f"no text under {' or '.join(keys)}, it has {has}. Name it: --text-column.")


def _given(record: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, Any]:
    """The first of these keys that a record has, and what stands there."""
    for key in keys:
        if record.get(key) is not None:
            return key, record[key]
    raise DataError(f"no key {' or '.join(keys)}. Write an empty list where there is nothing.")


def _spans(record: Mapping[str, Any]) -> list[TextSpan]:
    key, given = _given(record, SPANS)
    if not is_list(given):
        raise DataError(f"{key} is {shortened(given, 40)}, a list of spans is needed.")
    found = []
    for item in given:
        if isinstance(item, dict):
            values = [item.get(name) for name in ("start_offset", "end_offset", "label")]
        elif is_list(item) and len(item) == 3:
            values = list(item)
        else:
            raise DataError(
                f"{key} holds {shortened(item, 40)}, spans [start, end, label] are needed. Labels "
                "of whole texts are for a classifier."
            )
        found.append(span_of(*values))
    return found


def _labels(record: Mapping[str, Any]) -> list[str]:
    key, given = _given(record, LABELS)
    found = []
    for item in given if is_list(given) else [given]:
        label = item.get("label", item.get("text")) if isinstance(item, dict) else item
        if not isinstance(label, str | int) or isinstance(label, bool) or not str(label).strip():
            raise DataError(
                f"{key} holds {shortened(item, 40)}, names of labels are needed. Spans of a text "
                "are for a tagger."
            )
        found.append(str(label).strip())
    return found


def write_doccano(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""What doccano imports: ``text`` and ``label``; offsets count UTF-16 units, as its own do.

    Example:
        >>> example = Example(("Ada", "lives"), ("B-PER", "O"))
        >>> "".join(write_doccano([example], WriteRequest("tags", "doccano", "iob2")))
        '{"text": "Ada lives", "label": [[0, 3, "PER"]]}\n'
    """
    for example in examples:
        record: dict[str, Any] = {} if example.id is None else {"id": example.id}
        if request.target == "tags":
            record["text"], offsets = request.placed(example)
            spans = in_units(record["text"], request.spans(example, offsets), "utf16")
            record["label"] = [[span.start, span.end, span.label] for span in spans]
        elif request.target == "sequence":
            record["text"] = request.text(example)
            targets = (example.target or (), *example.references)
            record["label"] = [request.sequence(each) for each in targets]
        else:
            record |= {"text": request.text(example), "label": request.names(example)}
        yield json_line(record)
