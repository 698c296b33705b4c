"""JSON as files of records hold it: an object on each line, or a list of objects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from birnn.data.source import Source
from birnn.errors import DataError

# An object of a file, and the line on which it begins.
NumberedRecord = tuple[int, dict[str, Any]]

_HALF = re.compile("[\ud800-\udfff]")  # of a pair of surrogates
_BLANKS = re.compile(r"[ \t\r\n]*")


def json_lines(source: Source) -> Iterator[NumberedRecord]:
    r"""The objects of a file that has one on each line; blank lines are none.

    Raises:
        FormatError: A line that is no JSON, no object, or holds half of a character.

    Example:
        >>> list(json_lines(Source.from_text('{"a": 1}\n\n{"a": 2}\n')))
        [(1, {'a': 1}), (3, {'a': 2})]
    """
    for number, line in enumerate(source.lines(), 1):
        if line.strip():
            try:
                yield number, _record(line)
            except DataError as error:
                raise source.fault(error, number) from None


def json_items(source: Source) -> Iterator[NumberedRecord]:
    r"""The objects of a file that is one list of objects; they become Python's one by one.

    Raises:
        FormatError: No list of objects, or no JSON; the line is named.

    Example:
        >>> list(json_items(Source.from_text('[{"a": 1},\n {"a": 2}]')))
        [(1, {'a': 1}), (2, {'a': 2})]
    """
    text = source.text()
    line, counted = 1, 0

    def fault(what: str, at: int) -> DataError:
        return source.fault(what, text.count("\n", 0, at) + 1)

    at = _after_blanks(text, 0)
    if not text.startswith("[", at):
        raise fault("a list of objects is needed: [{...}, {...}]. Is it JSON lines?", at)
    at = _after_blanks(text, at + 1)
    closed = text.startswith("]", at)
    if closed:
        at = _after_blanks(text, at + 1)
    while not closed:
        line += text.count("\n", counted, at)
        counted = at
        try:
            item, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise fault(f"not JSON: {error.msg} (column {error.colno}).", error.pos) from None
        except DataError as error:
            raise source.fault(error, line) from None
        except (RecursionError, ValueError) as error:
            raise source.fault(_unreadable(error), line) from None
        if not isinstance(item, dict):
            raise source.fault(f"{json.dumps(item)[:40]} in the list, objects are needed.", line)
        yield line, item
        at = _after_blanks(text, at)
        closed = text.startswith("]", at)
        if not closed and not text.startswith(",", at):
            raise fault("not JSON: a comma or ] has to follow an object of the list.", at)
        at = _after_blanks(text, at + 1)
    if at < len(text):
        raise fault("text after the end of the list. Write one list alone.", at)


def refuse_halves(text: str) -> None:
    """Refuse half of a character, which is none and cannot be encoded.

    Raises:
        DataError: There is one.
    """
    if found := _HALF.search(text):
        raise DataError(
            f"\\u{ord(found[0]):04x} is half of a character. Write both halves, or the character."
        )


def _record(text: str) -> dict[str, Any]:
    """The object of a line."""
    try:
        record = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error}. Write one object on each line.") from None
    except DataError:
        raise
    except (RecursionError, ValueError) as error:
        raise DataError(_unreadable(error)) from None
    if not isinstance(record, dict):
        called = "a list" if isinstance(record, list) else json.dumps(record)[:40]
        raise DataError(
            f"the line is {called}, an object is needed. Write one on each line, without brackets "
            'around them: {"text": ..., "label": ...}.'
        )
    if "\\ud" in text.lower():
        refuse_halves(json.dumps(record, ensure_ascii=False))
    return record


def _unreadable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "not JSON that can be read: it is nested too deeply."
    return "an integer of more digits than Python reads. Write it as a string, or shorter."


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, refused if a key occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DataError(f"the key {twice!r} stands twice in one object. Leave one of them out.")
    return found


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


_DECODER = json.JSONDecoder(object_pairs_hook=_once_each)
