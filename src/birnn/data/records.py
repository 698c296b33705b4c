"""JSON lines: one sequence as a record of named values on each line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from birnn.data.columns import Keys, keys_of
from birnn.data.conversion import is_missing
from birnn.data.examples import Example
from birnn.data.options import ReadRequest, Unlabelled
from birnn.data.source import Source
from birnn.data.timeseries import check_vectors
from birnn.errors import DataError

_HALF = re.compile("[\ud800-\udfff]")  # of a pair of surrogates


def read_jsonl(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""A JSON object on each line.

    Sequence: ``tokens`` (strings), ``vectors`` (T rows of D numbers), ``text``, or ``source``.
    Target: ``tags``, ``label``, ``values`` (a number or a list of K), or, where it is a sequence,
    ``target`` (a list or a string parted by spaces). Other usual names are known as they are in
    tables; the first record says which.

    Raises:
        FormatError: Not JSON, a key that is missing, a value of a wrong kind.

    Example:
        >>> text = '{"tokens": ["no", "way"], "tags": ["DET", "NOUN"]}\n'
        >>> [example] = read_jsonl(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('no', 'way'), ('DET', 'NOUN'))
    """
    keys: Keys | None = None
    channels = index = 0
    unlabelled = Unlabelled(source, request)
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        try:
            record = _object(line)
            if keys is None:
                keys = keys_of(record, request)
                request.found["text_column"] = keys.inputs
                if keys.target is not None:
                    request.found["label_column"] = keys.target
                if keys.told:
                    told = f"{'; '.join(keys.told)}. Options: --text-column, --label-column"
                    source.notice(told, number)
            if keys.target is not None and _is_blank(label := record.get(keys.target)):
                said = json.dumps(label) if keys.target in record else "missing"
                unlabelled.meet(f"{keys.target} is {said}", number)
                continue
            example = keys.example(record, request, source.where(number))
            if isinstance(inputs := example.inputs, np.ndarray):
                channels = channels or inputs.shape[1]
                # An empty list of vectors says nothing of its channels.
                if not len(inputs):
                    inputs = np.zeros((0, channels))
                    example = replace(example, inputs=inputs)
                check_vectors(inputs, index, channels)
        except DataError as error:
            raise source.fault(error, number) from None
        yield example
        index += 1
    unlabelled.tell()


def _is_blank(label: Any) -> bool:
    return is_missing(label) or (isinstance(label, str) and not label.strip())


def _object(text: str) -> dict[str, Any]:
    """The object of a line."""
    try:
        record = json.loads(text, object_pairs_hook=_once_each)
    except RecursionError:
        raise DataError("not JSON that can be read: it is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error}. Write one object on each line.") from None
    except DataError:
        raise
    except ValueError:
        raise DataError(
            "an integer of more digits than Python reads. Write it as a string, or shorter."
        ) from None
    if not isinstance(record, dict):
        called = "a list" if isinstance(record, list) else json.dumps(record)[:40]
        raise DataError(
            f"the line is {called}, an object is needed. Write one on each line, without brackets "
            'around them: {"text": ..., "label": ...}.'
        )
    # Half of a pair is no character, and nothing could be written of it.
    if "\\ud" in text.lower() and (found := _HALF.search(json.dumps(record, ensure_ascii=False))):
        raise DataError(
            f"\\u{ord(found[0]):04x} is half of a character. Write both halves, or the character."
        )
    return record


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DataError(f"the key {twice!r} stands twice in one object. Leave one of them out.")
    return found
