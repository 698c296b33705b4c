"""JSON lines of Prodigy: a text with its tokens, spans or labels, and what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from birnn.data.annotated import AnnotatedTexts, Tokens
from birnn.data.conversion import shortened
from birnn.data.examples import Example
from birnn.data.json_text import NumberedRecord, json_lines
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.spans import TextSpan, span_of
from birnn.data.writing import WriteRequest, json_line
from birnn.errors import DataError

ACCEPTED = "accept"
LEFT_OUT = ("reject", "ignore")  # answers that say nothing to learn from


def read_prodigy(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""What ``prodigy db-out`` writes: an object on each line.

    ``spans`` have ``start``, ``end`` and ``label``; ``tokens`` are taken as they are, but for those
    of white space. The labels of a text are those it was ``accept``ed for, or its ``label``.
    Examples whose ``answer`` is not ``accept`` are left out where targets are read, and told.

    Raises:
        FormatError: Not JSON, no text, a span or token that is none.

    Source: https://prodi.gy/docs/api-interfaces

    Example:
        >>> text = '{"text": "Ada lives", "spans": [{"start": 0, "end": 3, "label": "PER"}]}\n'
        >>> [example] = read_prodigy(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('Ada', 'lives'), ('B-PER', 'O'))
    """
    yield from prodigy_examples(source, json_lines(source), request)


def looks_like_prodigy(record: Mapping[str, Any], request: ReadRequest) -> bool:
    """Whether a record of JSON lines is Prodigy's, where nothing else was said."""
    if not isinstance(record.get("text"), str):
        return False
    tokens = record.get("tokens")
    if isinstance(tokens, list) and tokens and isinstance(tokens[0], dict):
        return True
    if request.target == "tags":
        return isinstance(record.get("spans"), list)
    return record.get("answer") in (ACCEPTED, *LEFT_OUT) and "_task_hash" in record


def prodigy_examples(
    source: Source, records: Iterable[NumberedRecord], request: ReadRequest
) -> Iterator[Example]:
    """The examples of records, see `read_prodigy`."""
    texts = AnnotatedTexts(source, request)
    for number, record in records:
        where = source.where(number)
        answer = record.get("answer", ACCEPTED)
        if request.labelled and answer in LEFT_OUT:
            texts.count(f"examples whose answer is {answer}, left out", where)
            continue
        try:
            if not isinstance(text := record.get("text"), str):
                raise DataError(f"text is {shortened(text, 40)}, a string is needed.")
            if answer != ACCEPTED and answer not in LEFT_OUT:
                raise DataError(
                    f"answer is {shortened(answer, 40)}, Prodigy's are accept, reject and ignore."
                )
            tokens = _tokens(record, text, texts, where)
            name = None if record.get("id") is None else str(record["id"])
            example: Example | None
            if request.target == "tags":
                spans = _spans(record) if request.labelled else []
                example = texts.tagged(text, spans, where, name, tokens)
            else:
                labels = _labels(record) if request.labelled else []
                example = texts.labelled(text, labels, where, name, tokens, line=number)
        except DataError as error:
            raise source.fault(error, number) from None
        for _ in record.get("relations") or ():
            texts.count("relations, which are not read", where)
        if example is not None:
            yield example
    texts.report()


def _tokens(
    record: Mapping[str, Any], text: str, texts: AnnotatedTexts, where: str
) -> Tokens | None:
    """The tokens of a record, without those of white space; None where it has none."""
    given = record.get("tokens")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(token, dict) for token in given):
        raise DataError(f"tokens is {shortened(given, 40)}, a list of objects is needed.")
    tokens, offsets, last = [], [], 0
    for token in given:
        form, start, end = (token.get(key) for key in ("text", "start", "end"))
        whole = isinstance(start, int) and isinstance(end, int) and isinstance(form, str)
        if not whole or not last <= start <= end or text[start:end] != form:
            raise DataError(
                f"the token {shortened(token)} does not stand in the text from its start to its "
                "end, behind the one before it. Leave tokens out to split the text anew."
            )
        last = end
        if form.strip():
            tokens.append(form)
            offsets.append((start, end))
        else:
            texts.count("tokens of white space, left out", where)
    return tuple(tokens), tuple(offsets)


def _spans(record: Mapping[str, Any]) -> list[TextSpan]:
    given = record.get("spans") or []
    if not isinstance(given, list) or not all(isinstance(span, dict) for span in given):
        raise DataError(f"spans is {shortened(given, 40)}, a list of objects is needed.")
    return [span_of(span.get("start"), span.get("end"), span.get("label")) for span in given]


def _labels(record: Mapping[str, Any]) -> list[str]:
    """The options that were accepted, or the label that was asked for."""
    given = record.get("accept")
    if given is None:
        given = [] if record.get("label") is None else [record["label"]]
    if not isinstance(given, list) or not all(isinstance(x, str | int) for x in given):
        raise DataError(f"accept is {shortened(given, 40)}, a list of labels is needed.")
    return [str(label).strip() for label in given if str(label).strip()]


def write_prodigy(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""Accepted examples with their tokens.

    Example:
        >>> example = Example(("Ada",), ("B-PER",))
        >>> [line] = write_prodigy([example], WriteRequest("tags", "prodigy", "iob2"))
        >>> line[:74]
        '{"text": "Ada", "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0, '
    """
    for example in examples:
        record: dict[str, Any] = {} if example.id is None else {"id": example.id}
        text, offsets = request.placed(example)
        record["text"] = text
        record["tokens"] = [
            {
                "text": text[start:end],
                "start": start,
                "end": end,
                "id": number,
                "ws": text[end : end + 1] == " ",
            }
            for number, (start, end) in enumerate(offsets)
        ]
        if request.target == "tags":
            starts = {start: number for number, (start, _) in enumerate(offsets)}
            ends = {end: number for number, (_, end) in enumerate(offsets)}
            record["spans"] = [
                {
                    "start": span.start,
                    "end": span.end,
                    "label": span.label,
                    "token_start": starts[span.start],
                    "token_end": ends[span.end],
                }
                for span in request.spans(example, offsets)
            ]
        else:
            record["accept"] = request.names(example)
        yield json_line(record | {"answer": ACCEPTED})
