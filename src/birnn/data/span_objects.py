"""Texts with spans that Python programs hold: records of annotation tools, spaCy's training data.

They are made records of doccano or Prodigy, and read as files of these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from birnn.data.conversion import is_list
from birnn.data.doccano import SPANS, doccano_examples, looks_like_doccano
from birnn.data.examples import Example
from birnn.data.frames import in_python
from birnn.data.json_text import NumberedRecord
from birnn.data.options import ReadRequest
from birnn.data.prodigy import looks_like_prodigy, prodigy_examples
from birnn.data.source import Source
from birnn.errors import DataError, Tell

Reader = Callable[[Source, Iterable[NumberedRecord], ReadRequest], Iterator[Example]]


def span_reader(first: Any, request: ReadRequest) -> Reader | None:
    """What reads examples of which this is the first; None where it is no text with spans.

    Example:
        >>> span_reader(("Ada sings", {"entities": [(0, 3, "PER")]}), ReadRequest()).__name__
        'prodigy_examples'
        >>> span_reader((["Ada", "sings"], ["B-PER", "O"]), ReadRequest())
    """
    if request.target != "tags" or not request.labelled:
        return None
    record = _record(first)
    if record is None:
        return None
    if looks_like_prodigy(record, request):
        return prodigy_examples
    return doccano_examples if looks_like_doccano(record, request) else None


def span_examples(
    reader: Reader, given: Iterable[Any], request: ReadRequest, tell: Tell, where: str
) -> Iterator[Example]:
    """The examples of texts with spans.

    Args:
        reader: What `span_reader` says of the first.
        given: Records, pairs (text, {"entities": spans}) or (text, spans), documents of spaCy.
        request: What is read.
        tell: Takes each notice.
        where: What messages begin with.

    Raises:
        DataError: One that is no text with spans, or spans that are to be refused.

    Example:
        >>> given = [("Ada sings", [(0, 3, "PER")])]
        >>> [example] = span_examples(prodigy_examples, given, ReadRequest(), print, "")
        >>> example.inputs, example.target
        (('Ada', 'sings'), ('B-PER', 'O'))
    """
    source = _Given("", _no_bytes, lambda line: tell(in_python(line)))

    def records() -> Iterator[NumberedRecord]:
        for number, item in enumerate(given):
            record = _record(item)
            if record is None:
                raise DataError(f"{source.where(number)} is no text with spans, as the first is.")
            yield number, record

    try:
        yield from reader(source, records(), request)
    except DataError as error:
        raise DataError(in_python(f"{where}{error}")) from None


@dataclass(frozen=True)
class _Given(Source):
    """Examples of a program, which messages count from 0."""

    def where(self, line: int | None = None) -> str:
        return f"example {line}"


def _no_bytes() -> Any:
    raise OSError("is no file")


def _record(item: Any) -> dict[str, Any] | None:
    """The record that an example is as a tool writes it; None where it is none."""
    if isinstance(item, Mapping):
        return {str(key): _plain(given) if key in SPANS else given for key, given in item.items()}
    document = getattr(item, "reference", item)  # of an example of spaCy
    if hasattr(document, "ents") and hasattr(document, "text"):
        tokens = [(t.text, t.idx, t.idx + len(t.text)) for t in document]
        return {
            "text": document.text,
            "tokens": [{"text": text, "start": a, "end": b} for text, a, b in tokens],
            "spans": _spans((e.start_char, e.end_char, e.label_) for e in document.ents),
        }
    if not isinstance(item, list | tuple) or len(item) != 2 or not isinstance(item[0], str):
        return None
    text, given = item
    if isinstance(given, Mapping):
        given = given.get("entities")
    elif not (is_list(given) and len(given) and all(map(_is_span, given))):
        return None
    if not is_list(given) or not all(is_list(span) and len(span) == 3 for span in given):
        return None
    return {"text": text, "spans": _spans(given)}


def _spans(given: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in given]


def _is_span(given: Any) -> bool:
    return is_list(given) and len(given) == 3 and isinstance(given[0], int)


def _plain(given: Any) -> Any:
    """Spans as JSON has them."""
    if is_list(given):
        return [list(span) if is_list(span) else span for span in given]
    return given
