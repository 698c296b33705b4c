"""Sequences of vectors: the ``.ts`` format of the time-series archives, and NumPy's ``.npz``."""

# N rows of all sequences, B sequences, T steps of one, D channels of a step, K target values

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from birnn.data.archive import read_arrays
from birnn.data.examples import Example
from birnn.data.missing import Rule
from birnn.data.numeric import Reals, is_number, reals, require_finite
from birnn.data.options import ReadRequest, Unlabelled
from birnn.data.source import Source
from birnn.data.writing import WriteRequest, numbers
from birnn.errors import DataError

SHOWN = 12  # labels or arrays of a file that a message names
_ARRAY = {"tags": "tags", "label": "labels", "values": "targets"}


def read_ts(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""The ``.ts`` format: after ``@data`` a series on each line, colons between channels.

    Args:
        source: The file.
        request: Labels need ``@classLabel true``, values ``@targetLabel true``.

    Raises:
        FormatError: No ``@data``, time stamps, a missing value, channels of different lengths or
            another number of channels than the series before, values that are no finite numbers,
            a label that ``@classLabel true`` does not list. Lengths and dimensions that
            differ from the header give a notice.

    Source: Middlehurst et al. 2024, aeon (https://www.aeon-toolkit.org), data format ``.ts``.

    Example:
        >>> text = "@classLabel true left right\n@data\n1,2,3:4,5,6:left\n7:8:right\n"
        >>> for example in read_ts(Source.from_text(text), ReadRequest("label")):
        ...     print(example.inputs.tolist(), example.target)
        [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]] left
        [[7.0, 8.0]] right
    """
    header = _Header(source)
    unlabelled = Unlabelled(source, request)
    channels: int | None = None
    index = number = 0
    for number, raw in enumerate(source.lines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if not header.ended:
                header.take(line, request)
                continue
            if line.startswith("@"):
                name = line.split()[0][:40]
                raise DataError(f"{name} after @data. Headers stand before it, series behind.")
            fields = line.split(":")
            target: str | Reals | None = None
            if header.is_true("classlabel") or header.is_true("targetlabel"):
                answer = fields.pop().strip()
                if request.labelled and answer in ("", "?"):
                    unlabelled.skip("an empty label", number)
                    continue
                if request.labelled:
                    header.check_label(answer)
                    target = (
                        finite_numbers([answer], "target") if request.target == "values" else answer
                    )
            if not fields:
                raise DataError("a label and no series. Write channels:label.")
            inputs = _series(fields, index, request.options.missing)
            channels = inputs.shape[1] if channels is None else channels
            check_vectors(inputs, index, channels, request.options.missing)
        except DataError as error:
            raise source.fault(error, number) from None
        header.compare(inputs, number)
        yield Example(inputs, target, source.where(number))
        index += 1
    if not header.ended:
        raise source.fault("no line @data, so no series. Is this a .ts file?", max(number, 1))
    unlabelled.report()


def read_npz(source: Source, request: ReadRequest) -> Iterator[Example]:
    """Arrays ``values`` (N, D) and ``lengths`` (B,), and an array of targets.

    These are ``tags`` (N,), ``labels`` (B,), or, of values, ``targets`` (B, K) or (B,); labels and
    tags are strings, integers or truth values.

    Raises:
        FormatError: Not such a file, an array that is missing, of a wrong shape or kind, lengths
            that do not fit, values that are no finite numbers, an empty label.
    """
    name = _ARRAY[request.target]
    wanted = ["values", "lengths", name] if request.labelled else ["values", "lengths"]
    arrays, present = read_arrays(source, wanted, max_unpacked=request.options.max_unpacked)
    try:
        if missing := [name for name in wanted if name not in arrays]:
            raise DataError(
                f"no array {' or '.join(missing)}, it has {', '.join(present[:SHOWN]) or 'none'}. "
                f"Arrays that are read: {', '.join(wanted)}."
            )
        values, lengths = arrays["values"], arrays["lengths"]
        if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.shape[1]:
            raise DataError(f"values are {values.dtype} {values.shape}, numbers (N, D) are needed")
        # As Python's integers, which do not wrap.
        each = lengths.tolist() if lengths.ndim == 1 and lengths.dtype.kind in "iu" else [-1]
        if any(length < 0 for length in each):
            raise DataError(
                f"lengths are {lengths.dtype} {lengths.shape}, non-negative integers (B,) are "
                "needed"
            )
        if sum(each) != len(values):
            raise DataError(
                f"lengths sum to {sum(each)}, values has {len(values)} rows. "
                "Give one length for each sequence, summing to the number of rows."
            )
        rows = reals(values)
        answers: Any = None
        if request.labelled:
            expected = len(values) if name == "tags" else len(each)
            answers = _answers(arrays[name], name, expected)
        start = 0
        for index, length in enumerate(each):
            inputs = rows[start : start + length]
            check_vectors(inputs, index, rows.shape[1], request.options.missing)
            target: Any = None
            if name == "tags" and answers is not None:
                target = tuple(answers[start : start + length])
            elif answers is not None:
                target = answers[index]
            if name == "targets" and answers is not None:
                require_finite(target, f"target of sequence {index}", "value")
            yield Example(inputs, target, f"{source.name}[{index}]")
            start += length
    except DataError as error:
        raise source.fault(error) from None


def _answers(given: Any, name: str, expected: int) -> Any:
    """Targets of values as numbers (B, K), labels or tags as strings."""
    if given.ndim not in ((1, 2) if name == "targets" else (1,)) or len(given) != expected:
        raise DataError(f"{name} has shape {given.shape}, needs {expected} rows")
    if name == "targets":
        table = given if given.ndim == 2 else given[:, None]
        if table.dtype.kind not in "fiub" or not table.shape[1]:
            raise DataError(f"{name} are {table.dtype} {given.shape}, numbers (B, K) are needed")
        return reals(table)
    if given.dtype.kind not in "USiub":
        raise DataError(
            f"{name} are {given.dtype}, strings or integers are needed. "
            f"Write them as such: {name}.astype(int), or {name}.astype(str)."
        )
    try:
        found = [(x.decode() if isinstance(x, bytes) else str(x)).strip() for x in given.tolist()]
    except UnicodeDecodeError:
        raise DataError(f"{name} are bytes that are not UTF-8. Write strings.") from None
    if "" in found:
        raise DataError(f"{name}[{found.index('')}] is empty. Give every one a name.")
    return found


def check_vectors(values_TD: Reals, index: int, channels: int, rule: Rule = "refuse") -> None:
    """Refuse a series of other channels than those before it, or of values that are not finite.

    Missing values pass where there is a ``rule`` that fills them.
    """
    if values_TD.shape[1] != channels:
        raise DataError(
            f"sequence {index} has {values_TD.shape[1]} channels, those before it {channels}. "
            "Give every sequence the same channels."
        )
    if rule != "refuse" and values_TD.dtype.kind == "f":
        values_TD = np.where(np.isnan(values_TD), values_TD.dtype.type(0), values_TD)
    require_finite(values_TD, f"sequence {index}", "step", "channel")


def finite_numbers(cells: Sequence[str], what: str) -> Reals:
    """The target values that cells of a text file spell; ``what`` names them in messages.

    Raises:
        DataError: A cell spells no finite number.
    """
    values = _numbers(cells, what)
    require_finite(values, what, "value")
    return values


def _numbers(cells: Sequence[str], what: str) -> Reals:
    joined = ",".join(cells)
    # Python's float reads 1_000 and digits of other scripts, too.
    if "_" not in joined and joined.isascii():
        try:
            return np.array([float(cell) for cell in cells], dtype=np.float64)
        except ValueError:
            pass
    for position, cell in enumerate(cells):
        if not is_number(cell):
            shown = "missing (?)" if cell.strip() == "?" else f"{cell.strip()!r}, not a number"
            raise DataError(
                f"{what}, value {position} is {shown}. Fill it in or leave the sequence out."
            )
    return np.array([float(cell) for cell in cells], dtype=np.float64)


class _Header:
    """The header of a ``.ts`` file, and the comparison of its series with it."""

    def __init__(self, source: Source) -> None:
        self.ended = False
        self._source = source
        self._values: dict[str, list[str]] = {}
        self._first: int | None = None

    def take(self, line: str, request: ReadRequest) -> None:
        """Read a line of the header; the last one checks the whole."""
        if not line.startswith("@"):
            raise DataError(
                "a series before the line @data. Is this a .ts file? If not, name its --format."
            )
        key, *values = line[1:].split() or [""]
        if not key:
            raise DataError("an @ without a name. Write @name value, then @data.")
        self._values[key.lower()] = values
        if key.lower() != "data":
            return
        self.ended = True
        if self.is_true("timestamps"):
            raise DataError("series with time stamps are not read. Write the values alone.")
        needed = "@targetLabel" if request.target == "values" else "@classLabel"
        if request.labelled and not self.is_true(needed[1:].lower()):
            raise DataError(
                f"the header lacks {needed} true. Write it above @data, and the targets behind "
                "the series."
            )

    def is_true(self, key: str) -> bool:
        """Whether the header says ``true`` for a key."""
        return [value.lower() for value in self._values.get(key, [])[:1]] == ["true"]

    def check_label(self, answer: str) -> None:
        """Refuse a class that the header does not list, where it lists them."""
        declared = self._values.get("classlabel", [])[1:]
        if self.is_true("classlabel") and declared and answer not in declared:
            shown = " ".join(declared[:SHOWN]) + (" ..." if len(declared) > SHOWN else "")
            raise DataError(
                f"the label {answer!r} is none of those that @classLabel lists: {shown}. Correct "
                "the label, or list it."
            )

    def compare(self, values_TD: Reals, line: int) -> None:
        """Give notice where a series contradicts the header, once for each key."""
        steps, channels = values_TD.shape
        self._first = steps if self._first is None else self._first
        expected = [
            ("@equalLength true", "steps", self._first if self.is_true("equallength") else None),
            ("@seriesLength", "steps", self._number("serieslength")),
        ]
        # A series of no step has no channels either.
        if steps:
            dimensions = self._number("dimensions") or self._number("dimension")
            expected += [
                ("@univariate true", "channels", 1 if self.is_true("univariate") else None),
                ("@dimensions", "channels", dimensions),
            ]
        for key, what, size in expected:
            got = steps if what == "steps" else channels
            if size is not None and got != size:
                contradiction = (
                    f"a series of {got:,} {what}, {key} says {size:,}: read as it stands"
                )
                self._source.notice(contradiction, line, once=key)

    def _number(self, key: str) -> int | None:
        value = "".join(self._values.get(key, [])[:1])
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def _series(fields: list[str], index: int, rule: Rule) -> Reals:
    if rule != "refuse":
        fields = [re.sub(r"(?<![^,])\s*\?\s*(?![^,])", "nan", field) for field in fields]
    columns = [
        _numbers(field.split(","), f"sequence {index}, channel {channel}")
        if field.strip()
        else np.zeros(0)
        for channel, field in enumerate(fields)
    ]
    for channel, column in enumerate(columns):
        if len(column) != len(columns[0]):
            raise DataError(
                f"channel {channel} of sequence {index} has {len(column)} steps, "
                f"channel 0 has {len(columns[0])}. Give every channel the same steps."
            )
    return reals(np.stack(columns, axis=1))


def write_ts(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""The ``.ts`` format: a series on each line.

    Example:
        >>> example = Example(np.array([[1.0, 4.0], [2.0, 5.0]]), "up")
        >>> print("".join(write_ts([example], WriteRequest("label", "ts", labels=("up",)))), end="")
        @timeStamps false
        @classLabel true up
        @data
        1.0,2.0:4.0,5.0:up
    """
    yield "@timeStamps false\n"
    words = {label: "_".join(label.split()).replace(":", "_") for label in request.labels}
    if request.target == "values":
        yield "@targetLabel true\n@data\n"
    else:
        yield " ".join(["@classLabel true", *dict.fromkeys(words.values())]) + "\n@data\n"
    for example in examples:
        channels = [",".join(numbers(column)) for column in request.vectors(example).T]
        if request.target == "values":
            answers = numbers(example.target) if isinstance(example.target, np.ndarray) else []
            if len(answers) != 1:
                raise request.fault(example, f"{len(answers)} values of a series")
        else:
            answers = [
                request.word(example, each).replace(":", "_") for each in request.names(example)
            ]
        yield ":".join([*channels, *answers]) + "\n"


def write_npz(examples: Iterable[Example], request: WriteRequest) -> Iterator[bytes]:
    """The arrays that `read_npz` reads, of all examples at once."""
    given = list(examples)
    rows = [request.vectors(example) for example in given]
    width = max((each.shape[1] for each in rows), default=0)
    arrays: dict[str, Any] = {
        "values": np.concatenate([each.reshape(len(each), width) for each in rows]),
        "lengths": np.array([len(each) for each in rows]),
    }
    targets: list[Any] = [example.target for example in given]
    if request.target == "tags":
        arrays["tags"] = np.array([tag for tags in targets for tag in tags], dtype=str)
    elif request.target == "label":
        arrays["labels"] = np.array(targets, dtype=str)
    else:
        arrays["targets"] = np.stack(targets)
    content = io.BytesIO()
    np.savez(content, **arrays)
    yield content.getvalue()
