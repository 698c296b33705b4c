"""Conversion of what Python programs hold into examples: tuples, dicts, arrays, data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np

from birnn.data.columns import TableColumns, recognise
from birnn.data.conversion import example_of, is_list, is_missing, shortened
from birnn.data.examples import Example, TargetKind
from birnn.data.frames import (
    SAMPLE,
    class_names,
    columns_of,
    in_python,
    is_iterable,
    is_table,
    is_xy,
    joined,
    row_of,
    sample_of,
    with_names,
)
from birnn.data.headers import PLAIN, plain_name
from birnn.data.label_sets import LIST, guess_split
from birnn.data.missing import filled
from birnn.data.options import ReadOptions, ReadRequest
from birnn.data.pairs import split_pairs
from birnn.data.records import TARGET_KEYS, Keys, keys_of
from birnn.data.series_frames import as_frame, found_series, series_of, with_series
from birnn.data.span_objects import span_examples, span_reader
from birnn.data.token_frames import as_columns, found_tokens, sentences_of
from birnn.errors import DataError, Tell, no_notice

ACCEPTED = {
    "tags": "(['The', 'bank'], ['DET', 'NOUN']), [('The', 'DET'), ('bank', 'NOUN')] or "
    "{'tokens': [...], 'tags': [...]}",
    "label": "('a text', 'label') or {'text': ..., 'label': ...}",
    "labels": "('a text', ['one', 'other']) or {'text': ..., 'labels': [...]}",
    "values": "('a text', 4.5) or {'text': ..., 'values': ...}",
    "sequence": "('source', 'target') or {'source': ..., 'target': ...}",
    "gaps": "'a text', ['its', 'tokens'], {'text': ...} or ('a ___', ['text'])",
}


def examples(given: Any, request: ReadRequest, *, name: str = "") -> Iterator[Example]:
    """Labelled sequences of a caller.

    Args:
        given: A data frame, a dict of columns, all sequences and all targets ``(X, y)``, or
            anything that yields `Example` objects, pairs (sequence, target) or dicts; it is
            iterated over once. Classes that a data set of Hugging Face numbers get their names.
        request: The kind of target, and which columns or keys are meant.
        name: What messages call it.

    Raises:
        DataError: Something else, or a sequence without a target; the message names it.

    Example:
        >>> given = (pair for pair in [("so good", True), ("so bad", False)])
        >>> [e.target for e in examples(given, ReadRequest("label"))]
        ['True', 'False']
        >>> next(examples(["so good"], ReadRequest("label")))
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: example 0 is 'so good', without what is learnt of it. \
Give ('a text', 'label') or {'text': ..., 'label': ...}.
    """
    where = f"{name}: " if name else ""
    tell = request.tell or no_notice
    found = _labelled(given, request, tell, where)
    found = filled(found, request.options.missing, lambda line: tell(where + line))
    if request.target == "sequence":
        return split_pairs(found, request, lambda line: tell(where + in_python(line)))
    return found


def _labelled(given: Any, request: ReadRequest, tell: Tell, where: str) -> Iterator[Example]:
    """The examples that have a target; others are refused, or left out by the options."""
    skipped = 0
    found = _examples(given, request, lambda line: tell(where + line), where)
    for number, example in enumerate(found):
        if example.target is not None or not request.labelled:
            yield example
        elif request.options.skip_unlabelled:
            skipped += 1
        else:
            raise DataError(
                f"{example.where or f'{where}example {number}'} has no target. Give every one its "
                "own, or leave such out: skip_unlabelled=True."
            )
    if skipped:
        what = "example" if skipped == 1 else "examples"
        tell(f"{where}{skipped} {what} without a target left out")


def unpacked(
    given: Any,
    target: TargetKind,
    options: Callable[[], ReadOptions] = ReadOptions,
    *,
    number: int = 0,
    tell: Tell | None = None,
    vectors: bool = False,
) -> Iterable[Any]:
    """Sequences of a caller without their targets, not yet converted.

    Args:
        given: A table, of which the column of texts or tokens is taken; or anything that yields
            sequences, dicts or `Example` objects.
        target: The kind of target that a table may hold, too.
        options: Gives the options that name columns or keys; called only for tables and dicts.
        number: Number of the first sequence, for messages.
        tell: Takes the notice which column was chosen, unless its name is plain; and those of
            series.
        vectors: Whether sequences of vectors are wanted, so that a table has to hold series.

    Raises:
        DataError: A table whose column is not clear or which holds no series, a set, which has no
            order, or a single row.

    Example:
        >>> list(unpacked({"id": [7], "text": ["so good"]}, "label"))
        ['so good']
        >>> list(unpacked([{"text": "so good"}, ["so", "bad"]], "label"))
        ['so good', ['so', 'bad']]
    """
    if isinstance(given, set | frozenset):
        raise DataError(
            "sequences is a set, whose order is nobody's: answers could not be told apart. "
            "Give a list."
        )
    if not is_table(given) and not hasattr(given, "column_names"):
        return _unpacked(given, target, options, number)
    request = ReadRequest(target, labelled=False, options=options())
    if not is_table(given) and (frame := as_frame(given, request)) is None:
        return _unpacked(given, target, options, number)
    columns = columns_of(given if is_table(given) else frame)
    if (tokens := found_tokens(columns, request)) is not None:
        found = sentences_of(tokens, columns, request, tell or no_notice, "")
        return (example.inputs for example in found)
    if (series := found_series(columns, request)) is not None:
        found = series_of(series, columns, request, tell or no_notice, "")
        return (example.inputs for example in found)
    if vectors and "vectors" not in columns:
        raise DataError(
            f"sequences is a {type(given).__name__}, and which of its rows belong to one series is "
            "not said. Train on such a table, which says it (birnn.train(..., series='long', "
            "id_column=...)), or give a list of arrays."
        )
    try:
        if "vectors" in columns or "tokens" in columns:
            return columns[keys_of(row_of(columns, 0), request).inputs]
        name = list(columns)[_recognised(columns, request).text]
    except DataError as error:
        what = str(error).partition(". ")[0]
        raise DataError(f"{what}. Give the column itself, table['name'].") from None
    if tell is not None and len(columns) > 1 and plain_name(name) not in PLAIN:
        tell(f"the text is {name!r} of {', '.join(map(repr, columns))}")
    return columns[name]


def _unpacked(
    given: Iterable[Any], target: TargetKind, options: Callable[[], ReadOptions], first: int
) -> Iterator[Any]:
    keys: Keys | None = None
    for number, item in enumerate(given, first):
        if isinstance(item, Example):
            yield item.inputs
        elif isinstance(item, Mapping):
            try:
                if keys is None:
                    keys = keys_of(item, ReadRequest(target, labelled=False, options=options()))
                if keys.inputs not in item:
                    raise DataError(f"no {keys.inputs}, the first has it.")
            except DataError as error:
                raise DataError(f"sequence {number}: {error}") from None
            yield item[keys.inputs]
        else:
            yield item


def _examples(given: Any, request: ReadRequest, tell: Tell, where: str) -> Iterator[Example]:
    if is_table(given):
        try:
            columns = columns_of(given)
        except DataError as error:
            raise DataError(f"{where}{error}") from None
        yield from _rows(columns, request, tell, where)
        return
    if is_xy(given, request.target == "tags"):
        answer = TARGET_KEYS[request.target][0]
        given = joined(with_series(given, request, tell, where), where, answer)
        if isinstance(given, dict):
            options = request.options.model_copy(update={"label_column": list(given)[-1]})
            request = replace(request, options=options)
        yield from _examples(given, request, tell, where)
        return
    if isinstance(given, str | bytes | set | frozenset) or not is_iterable(given):
        raise DataError(
            f"{where}{shortened(given)} is no list of examples. "
            f"Give a list of {ACCEPTED[request.target]}, or a data frame."
        )
    if (frame := as_frame(given, request)) is not None:
        yield from _rows(frame, request, tell, where)
        return
    classes = class_names(given)
    given = iter(given)
    first = list(islice(given, 1))
    given = chain(first, given)
    if first and (reader := span_reader(first[0], request)) is not None:
        yield from span_examples(reader, given, request, tell, where)
        return
    if first and request.labelled:
        try:
            records = as_columns(first[0], islice(given, 1, None), request)
        except DataError as error:
            raise DataError(f"{where}{error}") from None
        if records is not None:
            yield from _rows(records, request, tell, where)
            return
    keys: Keys | None = None
    pairs = _Pairs()
    for number, item in enumerate(given):
        try:
            if request.target == "tags":
                item = pairs.split(item, number)
            if isinstance(item, Mapping):
                if keys is None:
                    keys = keys_of(item, request)
                    for line in keys.notices:
                        tell(line)
                target, further = keys.targets(item, request)
                if classes:
                    item = with_names(item, classes, [keys.inputs, target, further])
                missing = target is not None and is_missing(item.get(target))
                yield Example(()) if missing else keys.example(item, request)
            elif isinstance(item, Example):
                example = example_of(item.inputs, item.target, request)
                text = example.text if item.text is None else item.text
                yield replace(item, inputs=example.inputs, target=example.target, text=text)
            elif not request.labelled and not (request.target == "gaps" and _has_words(item)):
                yield example_of(item, None, request)
            else:
                yield _of_pair(item, request)
        except DataError as error:
            called = item.where if isinstance(item, Example) and item.where else ""
            place = called or f"{where}example {number}"
            raise DataError(in_python(f"{place}{_joined(error)}")) from None


class _Pairs:
    """Tagged sentences as lists of pairs (word, tag), as NLTK has them.

    A list of two lists of two strings may be tokens and their tags, or two such pairs: sentences of
    other lengths decide.
    """

    def __init__(self) -> None:
        self._pairs = False
        self._unclear: int | None = None

    def split(self, item: Any, number: int) -> Any:
        """A sentence as (tokens, tags) where it consists of pairs, else as it is."""
        if isinstance(item, np.ndarray) and item.dtype.kind in "OUS":
            item = item.tolist()
        if not isinstance(item, list | tuple) or not all(map(_is_pair, item)):
            return item
        if not item:
            return ([], []) if self._pairs else item
        if len(item) == 2 and not self._pairs:
            if not isinstance(item, list) or not all(isinstance(x, tuple) for x in item):
                self._unclear = number if self._unclear is None else self._unclear
                return item
        elif self._unclear is not None:
            raise DataError(
                f" holds pairs (word, tag), and example {self._unclear} was taken for two tokens "
                "and their two tags. Give sentences as lists of tuples: [('The', 'DET'), ...]."
            )
        self._pairs = True
        return [word for word, _ in item], [tag for _, tag in item]


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and set(map(type, item)) <= {str}


def _has_words(item: Any) -> bool:
    """Whether a text comes with the words of its gaps: a list, which no token is."""
    if not isinstance(item, list | tuple) or len(item) != 2:
        return False
    text, words = item
    texts = isinstance(text, str) or (is_list(text) and all(isinstance(t, str) for t in text))
    return texts and is_list(words) and all(isinstance(word, str) for word in words)


def _of_pair(item: Any, request: ReadRequest) -> Example:
    """The example of a pair (sequence, target)."""
    if isinstance(item, np.ndarray) and item.dtype.kind in "OUS":
        item = item.tolist()
    if isinstance(item, str) or not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(
            f" is {shortened(item)}, without what is learnt of it. Give {ACCEPTED[request.target]}."
        )
    inputs, target = item
    if request.target == "tags" and isinstance(inputs, str):
        inputs, target = _aligned(inputs, target)
    elif request.target == "tags" and isinstance(inputs, list | tuple) and isinstance(target, str):
        target = target.split() if any(map(str.isspace, target)) else list(target)
    return example_of(inputs, target, request)


def _aligned(text: str, tags: Any) -> tuple[tuple[str, ...], Any]:
    """A text and its tags as steps: words at white space, or else single symbols."""
    given = tags.split() if isinstance(tags, str) and any(map(str.isspace, tags)) else tags
    if is_missing(given):
        raise DataError(" has no tags. Give every step one.")
    for steps in (tuple(text.split()), tuple(text)):
        if (isinstance(given, str) or is_list(given)) and len(steps) == len(given):
            return steps, list(given)
    raise DataError(
        f" is the text {shortened(text)} with tags that are as many as neither its words nor its "
        "characters. Give a list of tokens and a list of tags."
    )


# ---------------------------------------------------------------------- tables


def _recognised(columns: Mapping[str, Sequence[Any]], request: ReadRequest) -> TableColumns:
    names, rows = sample_of(columns)
    try:
        return recognise(names, rows, request, header=True)
    except DataError as error:
        raise DataError(in_python(f"a table: {error}.")) from None


def _rows(
    columns: Mapping[str, Sequence[Any]], request: ReadRequest, tell: Tell, where: str
) -> Iterator[Example]:
    if (tokens := found_tokens(columns, request, where)) is not None:
        yield from sentences_of(tokens, columns, request, tell, where)
        return
    if (series := found_series(columns, request, where)) is not None:
        yield from series_of(series, columns, request, tell, where)
        return
    size = len(next(iter(columns.values())))
    if request.target == "tags" or "tokens" in columns or "vectors" in columns:
        yield from _examples([row_of(columns, i) for i in range(size)], request, tell, where)
        return
    found = _recognised(columns, request)
    for line in found.notices:
        tell(line)
    names = list(columns)
    request = _with_label_split(columns, found, request, tell)
    texts = columns[names[found.text]]
    ids = None if found.id is None else columns[names[found.id]]
    targets = [(names[at], columns[names[at]]) for at in found.targets]
    if request.target == "label":
        for name, cells in targets:
            _tell_mixed(name, cells, tell)
    for number, text in enumerate(texts):
        row = f"{where}row {number}"
        try:
            listed = request.target == "sequence" and is_list(text)
            if not isinstance(text, str) and not listed:
                raise DataError(f": {names[found.text]!r} is {shortened(text)}, no text.")
            cells = [column[number] for _, column in targets]
            missing = all(map(is_missing, cells))
            several = request.target == "values" and len(cells) > 1
            target = None if missing else cells if several else cells[0]
            if request.target == "labels" and len(cells) > 1 and not missing:
                names_of = [label for label, _ in targets]
                target = request.label_sets.of_truths(cells, names_of, row)
            name = targets[0][0] if targets else ""
            called = None if ids is None else ids[number]
            yield example_of(text, target, request, row, names=("text", name), called=called)
        except DataError as error:
            raise DataError(f"{row}{_joined(error)}") from None


def _tell_mixed(name: str, cells: Sequence[Any], tell: Tell) -> None:
    """Give notice of a column that holds both 1 and "1", which become one label."""
    kinds = sorted({type(cell).__name__ for cell in cells if not is_missing(cell)})
    if "str" in kinds and len(kinds) > 1:
        listed = f"{', '.join(kinds[:-1])} and {kinds[-1]}"
        tell(f"{name!r} holds {listed}: all are read as strings, 1 as '1'")


def _with_label_split(
    columns: Mapping[str, Sequence[Any]], found: TableColumns, request: ReadRequest, tell: Tell
) -> ReadRequest:
    """The request that says how strings of several labels are split, by the first rows."""
    if request.target != "labels" or len(found.targets) != 1 or request.options.label_split:
        return request
    cells = columns[list(columns)[found.targets[0]]][:SAMPLE]
    way = guess_split([cell for cell in cells if isinstance(cell, str)])
    if way is None:
        return request
    request.found["label_split"] = way
    tell(f"labels are {'lists' if way == LIST else f'split at {way!r}'}. Option: label_split")
    options = request.options.model_copy(update={"label_split": way})
    return replace(request, options=options)


def _joined(error: DataError) -> str:
    text = str(error)
    return text if text.startswith((" ", ":")) else f": {text}"
