"""Sequences and labels as Python programs hold them: tuples, dicts, lists, arrays, data frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from birnn.data.conversion import inputs_of, is_list, label_of, target_of, values_of
from birnn.data.examples import Example, TargetKind
from birnn.data.frames import columns_of, is_iterable, is_missing, is_table, row_of, shortened
from birnn.data.headers import Columns, recognise
from birnn.data.names import PLAIN, plain_name
from birnn.data.options import ReadOptions, ReadRequest
from birnn.data.records import Keys, example_of, keys_of
from birnn.errors import DataError

SAMPLE = 100  # rows of a data frame by which its columns are judged
WANTED = {
    "tags": "(['The', 'bank'], ['DET', 'NOUN']), [('The', 'DET'), ('bank', 'NOUN')] or "
    "{'tokens': [...], 'tags': [...]}",
    "label": "('a text', 'label') or {'text': ..., 'label': ...}",
    "values": "('a text', 4.5) or {'text': ..., 'values': ...}",
    "sequence": "('source', 'target')",
}

Tell = Callable[[str], None]


def examples(given: Any, request: ReadRequest, *, tell: Tell, name: str = "") -> Iterator[Example]:
    """Labelled sequences out of what a caller has.

    Args:
        given: A data frame, a dict of columns, or anything that yields `Example` objects, pairs
            (sequence, target) or dicts; it is gone through once.
        request: The kind of target, and which columns or keys are meant.
        tell: Takes each notice, one line.
        name: What messages call it.

    Raises:
        DataError: Something else, or a sequence without a target; the message names it.

    Example:
        >>> given = (pair for pair in [("so good", True), ("so bad", False)])
        >>> [e.target for e in examples(given, ReadRequest("label"), tell=print)]
        ['True', 'False']
        >>> next(examples(["so good"], ReadRequest("label"), tell=print))
        Traceback (most recent call last):
        ...
        birnn.errors.DataError: example 0 is 'so good', without what is learnt of it. \
Give ('a text', 'label') or {'text': ..., 'label': ...}.
    """
    where = f"{name}: " if name else ""

    def said(line: str) -> None:
        tell(where + line)

    skipped = 0
    for number, example in enumerate(_examples(given, request, said, where)):
        if example.target is None and request.labelled:
            if request.options.skip_unlabelled:
                skipped += 1
                continue
            raise DataError(
                f"{example.where or f'{where}example {number}'} has no target. Give every one its "
                "own, or leave such out: skip_unlabelled=True."
            )
        yield example
    if skipped:
        said(f"{skipped} {'example' if skipped == 1 else 'examples'} without a target left out")


def unpacked(
    given: Any,
    target: TargetKind,
    options: Callable[[], ReadOptions] = ReadOptions,
    *,
    number: int = 0,
    tell: Tell | None = None,
) -> Iterable[Any]:
    """Sequences without targets out of what a caller has, each as it stands there.

    Args:
        given: A table, of which the column of texts or tokens is taken; or anything that yields
            sequences, dicts or `Example` objects.
        target: The kind of target that a table would hold beside them.
        options: Gives which columns or keys are meant; asked where there are any.
        number: Of the first sequence, for messages.
        tell: Takes which column was taken, where its name does not say it.

    Raises:
        DataError: A table whose column cannot be told, a set, which has no order, or one row.

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
    if is_table(given):
        request = ReadRequest(target, labelled=False, options=options())
        columns = columns_of(given)
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
    return _unpacked(given, target, options, number)


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
        yield from _rows(columns_of(given), request, tell, where)
        return
    if isinstance(given, str | bytes | set | frozenset) or not is_iterable(given):
        raise DataError(
            f"{where}{shortened(given)} is no list of examples. "
            f"Give a list of {WANTED[request.target]}, or a data frame."
        )
    keys: Keys | None = None
    pairs = _Pairs()
    for number, item in enumerate(given):
        try:
            if request.target == "tags":
                item = pairs.parted(item, number)
            if isinstance(item, Mapping):
                if keys is None:
                    keys = keys_of(item, request)
                    for line in keys.told:
                        tell(line)
                if _unlabelled(item, keys):
                    yield Example(())
                else:
                    yield example_of(item, keys, request)
            else:
                yield _example(item, request)
        except DataError as error:
            called = item.where if isinstance(item, Example) and item.where else ""
            place = called or f"{where}example {number}"
            raise DataError(_in_python(f"{place}{_joined(error)}")) from None


class _Pairs:
    """Tagged sentences as lists of pairs (word, tag), as NLTK has them.

    A list of two lists of two strings may be tokens and their tags, or two such pairs: sentences of
    another length say which.
    """

    def __init__(self) -> None:
        self._pairs = False
        self._unclear: int | None = None

    def parted(self, item: Any, number: int) -> Any:
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


def _example(item: Any, request: ReadRequest) -> Example:
    """One example out of a pair, or an `Example` put right."""
    if isinstance(item, Example):
        return _tidied(item, request)
    if isinstance(item, np.ndarray) and item.dtype.kind in "OUS":
        item = item.tolist()
    if isinstance(item, str) or not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(
            f" is {shortened(item)}, without what is learnt of it. Give {WANTED[request.target]}."
        )
    inputs, target = item
    # Of tags the steps are settled, so there is no text to part another way.
    text = inputs if isinstance(inputs, str) and request.target != "tags" else None
    learnt = None if is_missing(target) else target
    if request.target == "tags" and isinstance(inputs, str):
        inputs, learnt = _aligned(inputs, target)
    elif request.target == "tags" and isinstance(inputs, list | tuple) and isinstance(target, str):
        learnt = target.split() if any(map(str.isspace, target)) else list(target)
    example = Example(
        inputs_of(inputs, request, "inputs"),
        None if learnt is None else target_of(learnt, request, "target"),
        text=text,
    )
    return _even(example, request)


def _tidied(example: Example, request: ReadRequest) -> Example:
    """An `Example` whose parts are of the kinds that it says."""
    inputs, target = example.inputs, example.target
    given: Any = inputs
    plain = isinstance(given, np.ndarray) and not isinstance(given, np.ma.MaskedArray)
    if not plain and not (
        isinstance(given, tuple) and set(map(type, given)) <= {str} and "" not in given
    ):
        inputs = inputs_of(given, request, "inputs")
        example = replace(example, text=given if isinstance(given, str) else example.text)
    answer: Any = target
    if is_missing(answer):
        target = None
    elif request.target == "label" and type(answer) is not str:
        target = label_of(answer, "target")
    elif request.target == "values":
        target = values_of(answer, "target")
    elif request.target == "tags" and not (
        isinstance(answer, tuple) and set(map(type, answer)) <= {str} and "" not in answer
    ):
        target = target_of(answer, request, "target")
    if inputs is not example.inputs or target is not example.target:
        example = replace(example, inputs=inputs, target=target)
    return _even(example, request)


def _even(example: Example, request: ReadRequest) -> Example:
    target = example.target
    if request.target == "tags" and target is not None and len(target) != len(example.inputs):
        raise DataError(
            f" has {len(example.inputs)} steps and {len(target)} tags. Give every step one tag."
        )
    return example


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


def _recognised(columns: Mapping[str, Sequence[Any]], request: ReadRequest) -> Columns:
    names = list(columns)
    size = min(SAMPLE, len(next(iter(columns.values()))))
    rows = [["" if is_missing(c[i]) else str(c[i]) for c in columns.values()] for i in range(size)]
    try:
        return recognise(names, rows, request, header=True)
    except DataError as error:
        raise DataError(_in_python(f"a table: {error}.")) from None


def _rows(
    columns: Mapping[str, Sequence[Any]], request: ReadRequest, tell: Tell, where: str
) -> Iterator[Example]:
    size = len(next(iter(columns.values())))
    if request.target == "tags" or "tokens" in columns or "vectors" in columns:
        yield from _examples([row_of(columns, i) for i in range(size)], request, tell, where)
        return
    found = _recognised(columns, request)
    for line in found.told:
        tell(line)
    texts = list(columns.values())[found.text]
    answers = [(name, list(columns.values())[at]) for at, name in enumerate(columns)]
    for number in range(size):
        given = texts[number]
        try:
            if not isinstance(given, str):
                raise DataError(f": {list(columns)[found.text]!r} is {shortened(given)}, no text.")
            inputs = inputs_of(given, request, "text")
            cells = [(answers[at][0], answers[at][1][number]) for at in found.targets]
            target: Any = None
            if cells and not all(is_missing(cell) for _, cell in cells):
                if request.target == "values":
                    target = values_of([cell for _, cell in cells], cells[0][0])
                else:
                    target = target_of(cells[0][1], request, cells[0][0])
            name = None if found.id is None else str(answers[found.id][1][number])
        except DataError as error:
            raise DataError(f"{where}row {number}{_joined(error)}") from None
        yield Example(inputs, target, f"{where}row {number}", name, given)


def _unlabelled(record: Mapping[Any, Any], keys: Keys) -> bool:
    return keys.target is not None and is_missing(record.get(keys.target))


def _in_python(message: str) -> str:
    """A message with options as a program gives them: text_column for --text-column."""
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda found: found[1].replace("-", "_"), message)


def _joined(error: DataError) -> str:
    text = str(error)
    return text if text.startswith((" ", ":")) else f": {text}"
