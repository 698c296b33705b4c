"""Sequences of vectors: the ``.ts`` format of the time-series archives, and NumPy's ``.npz``."""

# N rows of all sequences, B sequences, T steps of one, D channels of a step, K target values

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from birnn.data.archive import read_arrays
from birnn.data.examples import Example, Vectors
from birnn.data.numeric import is_number, not_finite, reals, said_of
from birnn.data.options import ReadRequest
from birnn.data.source import Source


def read_ts(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""The ``.ts`` format: after ``@data`` a series on each line, channels parted by colons.

    Args:
        source: The file.
        request: Labels need ``@classLabel true``, values ``@targetLabel true``.

    Raises:
        FormatError: No ``@data``, time stamps, a missing value, channels of different lengths or
            another number of channels than the series before, values that are no finite numbers,
            a label that ``@classLabel true`` does not list. Lengths and dimensions that are not
            those of the header are told.

    Source: Middlehurst et al. 2024, aeon (https://www.aeon-toolkit.org), data format ``.ts``.

    Example:
        >>> text = "@classLabel true left right\n@data\n1,2,3:4,5,6:left\n7:8:right\n"
        >>> for example in read_ts(Source.from_text(text), ReadRequest("label")):
        ...     print(example.inputs.tolist(), example.target)
        [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]] left
        [[7.0, 8.0]] right
    """
    header: dict[str, list[str]] = {}
    in_data = False
    channels: int | None = None
    sizes = _Sizes(source, header)
    index = skipped = 0
    number = 1
    for number, raw in enumerate(source.lines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not in_data:
            if not line.startswith("@"):
                raise source.fault(
                    "a series before the line @data. Is this a .ts file? "
                    "If not, name its --format.",
                    number,
                )
            key, *values = line[1:].split() or [""]
            if not key:
                raise source.fault("an @ without a name. Write @name value, then @data.", number)
            header[key.lower()] = values
            if key.lower() == "data":
                in_data = True
                _check_header(source, header, request, number)
            continue
        if line.startswith("@"):
            raise source.fault(
                f"{line.split()[0][:40]} after @data. Headers stand before it, series behind.",
                number,
            )
        fields = line.split(":")
        target: str | Vectors | None = None
        if _is_true(header, "classlabel") or _is_true(header, "targetlabel"):
            answer = fields.pop().strip()
            if request.labelled and answer in ("", "?"):
                if not request.options.skip_unlabelled:
                    raise source.fault(
                        "an empty label. Write the label after the last colon, or leave such "
                        "series out: --skip-unlabelled.",
                        number,
                    )
                skipped += 1
                continue
            if request.labelled:
                _check_declared(source, header, answer, number)
                target = _target(source, answer, request, number)
        if not fields:
            raise source.fault("a label and no series. Write channels:label.", number)
        inputs = _series(source, fields, index, number)
        channels = inputs.shape[1] if channels is None else channels
        check_vectors(source, inputs, index, channels, number)
        sizes.check(inputs, number)
        yield Example(inputs, target, source.where(number))
        index += 1
    if not in_data:
        raise source.fault("no line @data, so no series. Is this a .ts file?", number)
    if skipped:
        source.notice(f"{skipped} series without a label left out")


def read_npz(source: Source, request: ReadRequest) -> Iterator[Example]:
    """Arrays ``values`` (N, D) and ``lengths`` (B,), and the targets beside them.

    These are ``tags`` (N,), ``labels`` (B,), or, of values, ``targets`` (B, K) or (B,); labels and
    tags are strings, integers or truth values.

    Raises:
        FormatError: Not such a file, an array that is missing, of a wrong shape or kind, lengths
            that do not fit, values that are no finite numbers, an empty label.
    """
    name = _ARRAY[request.target]
    arrays = _arrays(source, request)
    values, lengths = arrays["values"], arrays["lengths"]
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.shape[1]:
        raise source.fault(f"values are {values.dtype} {values.shape}, numbers (N, D) are needed")
    # As Python's integers, which do not wrap.
    each = lengths.tolist() if lengths.ndim == 1 and lengths.dtype.kind in "iu" else [-1]
    if any(length < 0 for length in each):
        raise source.fault(
            f"lengths are {lengths.dtype} {lengths.shape}, non-negative integers (B,) are needed"
        )
    if sum(each) != values.shape[0]:
        raise source.fault(
            f"lengths sum to {sum(each)}, values has {values.shape[0]} rows. "
            "Give one length for each sequence, summing to the number of rows."
        )
    rows = reals(values)
    answers = arrays[name] if request.labelled else None
    if answers is not None:
        expected = values.shape[0] if name == "tags" else len(each)
        if answers.ndim not in ((1, 2) if name == "targets" else (1,)) or len(answers) != expected:
            raise source.fault(f"{name} has shape {answers.shape}, needs {expected} rows")
        read_them = _numbers if name == "targets" else _named
        answers = read_them(source, answers, name)
    start = 0
    for index, length in enumerate(each):
        inputs = rows[start : start + length]
        check_vectors(source, inputs, index, rows.shape[1])
        target: str | tuple[str, ...] | Vectors | None = None
        if answers is not None and name == "tags":
            target = tuple(answers[start : start + length])
        elif answers is not None and name == "labels":
            target = answers[index]
        elif answers is not None:
            target = values_K = answers[index]
            if not_finite(values_K) is not None:
                raise source.fault(f"targets of sequence {index} are not all finite")
        yield Example(inputs, target, f"{source.name}[{index}]")
        start += length


def _numbers(source: Source, targets: Any, name: str) -> Any:
    """Targets as numbers (B, K)."""
    table = targets if targets.ndim == 2 else targets[:, None]
    if table.dtype.kind not in "fiub" or not table.shape[1]:
        raise source.fault(f"{name} are {table.dtype} {targets.shape}, numbers (B, K) are needed")
    return reals(table)


def _named(source: Source, labels: Any, name: str) -> Any:
    """Labels or tags as strings."""
    if labels.dtype.kind not in "USiub":
        raise source.fault(
            f"{name} are {labels.dtype}, strings or integers are needed. "
            f"Write them as such: {name}.astype(int), or {name}.astype(str)."
        )
    try:
        found = [(x.decode() if isinstance(x, bytes) else str(x)).strip() for x in labels.tolist()]
    except UnicodeDecodeError:
        raise source.fault(f"{name} are bytes that are not UTF-8. Write strings.") from None
    for index, label in enumerate(found):
        if not label:
            raise source.fault(f"{name}[{index}] is empty. Give every one a name.")
    return found


def check_vectors(
    source: Source, values_TD: Vectors, index: int, channels: int, line: int | None = None
) -> None:
    """Refuse a series of other channels than those before it, or of what is not finite."""
    if values_TD.shape[1] != channels:
        raise source.fault(
            f"sequence {index} has {values_TD.shape[1]} channels, those before it {channels}. "
            "Give every sequence the same channels.",
            line,
        )
    bad = not_finite(values_TD)
    if bad is not None:
        raise source.fault(
            f"sequence {index}, step {bad[0]}, channel {bad[1]} is {said_of(values_TD[bad])}. "
            "Fill it in or leave the sequence out.",
            line,
        )


def numbers(source: Source, cells: Sequence[str], line: int, what: str) -> Vectors:
    """The numbers that cells of a text file spell; ``what`` names them in messages."""
    joined = ",".join(cells)
    try:
        if ("_" in joined or not joined.isascii()) and not all(map(is_number, cells)):
            raise ValueError
        return np.array([float(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        for position, cell in enumerate(cells):
            if not is_number(cell):
                said = "missing (?)" if cell.strip() == "?" else f"{cell.strip()!r}, not a number"
                raise source.fault(
                    f"{what}, value {position} is {said}. Fill it in or leave the sequence out.",
                    line,
                ) from None
        raise


SHOWN = 12  # arrays of a file that a message names
_ARRAY = {"tags": "tags", "label": "labels", "values": "targets"}


def _check_header(
    source: Source, header: dict[str, list[str]], request: ReadRequest, line: int
) -> None:
    if _is_true(header, "timestamps"):
        raise source.fault("series with time stamps are not read. Write the values alone.", line)
    needed = "targetlabel" if request.target == "values" else "classlabel"
    if request.labelled and not _is_true(header, needed):
        said = "@targetLabel true" if needed == "targetlabel" else "@classLabel true"
        raise source.fault(
            f"the header lacks {said}. Write it above @data, and the targets behind the series.",
            line,
        )


def _check_declared(source: Source, header: dict[str, list[str]], answer: str, line: int) -> None:
    """Refuse a class that the header does not list, where it lists them."""
    declared = header.get("classlabel", [])[1:]
    if _is_true(header, "classlabel") and declared and answer not in declared:
        shown = " ".join(declared[:SHOWN]) + (" ..." if len(declared) > SHOWN else "")
        raise source.fault(
            f"the label {answer!r} is none of those that @classLabel lists: {shown}. Correct the "
            "label, or list it.",
            line,
        )


class _Sizes:
    """What a header says of the sizes of series; each contradiction is told once."""

    def __init__(self, source: Source, header: dict[str, list[str]]) -> None:
        self._source = source
        self._header = header
        self._first: int | None = None
        self._told: set[str] = set()

    def check(self, values_TD: Vectors, line: int) -> None:
        """Tell where a series is not as the header says."""
        steps, channels = values_TD.shape
        self._first = steps if self._first is None else self._first
        if _is_true(self._header, "equallength"):
            self._tell("@equalLength true", steps, self._first, "steps", line)
        self._tell("@seriesLength", steps, self._number("serieslength"), "steps", line)
        # A series of no step has no channels either.
        if steps:
            single = 1 if _is_true(self._header, "univariate") else None
            self._tell("@univariate true", channels, single, "channels", line)
            said = self._number("dimensions") or self._number("dimension")
            self._tell("@dimensions", channels, said, "channels", line)

    def _number(self, key: str) -> int | None:
        value = "".join(self._header.get(key, [])[:1])
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None

    def _tell(self, key: str, got: int, said: int | None, what: str, line: int) -> None:
        if said is None or got == said or key in self._told:
            return
        self._told.add(key)
        self._source.notice(
            f"a series of {got:,} {what}, {key} says {said:,}: read as it stands", line
        )


def _is_true(header: dict[str, list[str]], key: str) -> bool:
    return [value.lower() for value in header.get(key, [])[:1]] == ["true"]


def _target(source: Source, answer: str, request: ReadRequest, line: int) -> str | Vectors:
    if request.target == "values":
        values = numbers(source, [answer], line, "target")
        if not_finite(values) is not None:
            raise source.fault(f"the target is {said_of(values[0])}. Give a finite number.", line)
        return values
    return answer


def _series(source: Source, fields: list[str], index: int, line: int) -> Vectors:
    columns = [
        numbers(source, field.split(","), line, f"sequence {index}, channel {channel}")
        if field.strip()
        else np.zeros(0)
        for channel, field in enumerate(fields)
    ]
    for channel, column in enumerate(columns):
        if len(column) != len(columns[0]):
            raise source.fault(
                f"channel {channel} of sequence {index} has {len(column)} steps, "
                f"channel 0 has {len(columns[0])}. Give every channel the same steps.",
                line,
            )
    return reals(np.stack(columns, axis=1))


def _arrays(source: Source, request: ReadRequest) -> dict[str, Any]:
    names = ["values", "lengths"]
    if request.labelled:
        names.append(_ARRAY[request.target])
    arrays, present = read_arrays(source, names, max_unpacked=request.options.max_unpacked)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise source.fault(
            f"no array {' or '.join(missing)}, it has {', '.join(present[:SHOWN]) or 'none'}. "
            f"Arrays that are read: {', '.join(names)}."
        )
    return arrays
