"""``birnn convert``."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birnn.cli.options import Json, with_read_options
from birnn.cli.output import STANDARD_INPUT, naming_file, print_json
from birnn.errors import BirnnError, UsageError, escaped, nearest, no_notice, print_notice

if TYPE_CHECKING:
    from birnn.data import Example, TargetKind
    from birnn.data.options import ReadOptions

_TABLES = ("csv", "tsv")


@functools.partial(with_read_options, without=("format",))
def convert(
    data: Annotated[str, typer.Argument(metavar="IN", help="File or folder to read.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File or folder to write.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="FORMAT", help="Format of IN, if its ending does not tell."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="Format of OUT, likewise.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="What is learnt: tags, label, labels, values or sequence."
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write tags as IOB1, IOB2, IOBES, BILOU, BMES, BMEWO."),
    ] = None,
    as_json: Json = False,
    *,
    reading: ReadOptions,
) -> int:
    """Write a file of labelled sequences in another format."""
    from birnn.data.write import format_to, write

    if data == STANDARD_INPUT:
        raise UsageError("convert reads a file more than once: give a file, not standard input.")
    if from_ is not None:
        reading = reading.model_copy(update={"format": from_})
    if out.exists() and Path(data).exists() and out.samefile(data):
        raise UsageError(f"{out} is what is read. Give another place to write to.")
    kind, labelled = _kind(data, out, to, target, reading)
    format_to(out, kind, to)
    with naming_file(data):
        examples = _Again(data, kind, reading, labelled, guessed=target is None)
        count = write(
            out, examples, kind, format=to, scheme=scheme, reading=reading, tell=print_notice
        )
    if as_json:
        print_json({"out": str(out), "target": kind, "sequences": count})
    else:
        print(f"{count:,} sequences with {_named(kind, labelled)} in {escaped(str(out))}")
    return 0


class _Again:
    """The examples of a file, read anew each time; what is told is told once."""

    def __init__(
        self, data: str, kind: TargetKind, reading: ReadOptions, labelled: bool, *, guessed: bool
    ) -> None:
        self._arguments = (data, kind, reading)
        self._labelled = labelled
        self._guessed = guessed and kind == "label"
        self._tell = print_notice

    def __iter__(self) -> Iterator[Example]:
        from birnn.data.label_sets import several_in_one
        from birnn.data.read import read
        from birnn.metrics import named_counts

        tell, self._tell = self._tell, no_notice
        labels: Counter[str] = Counter()
        for example in read(*self._arguments, labelled=self._labelled, tell=tell):
            if self._guessed and isinstance(example.target, str):
                labels[example.target] += 1
            yield example
        if several := several_in_one(labels):
            named = named_counts({label: labels[label] for label in several})
            tell(
                f"labels that look like several in one: {named}. If a text has several, say so: "
                "--target labels"
            )


def _named(kind: TargetKind, labelled: bool) -> str:
    from birnn.data.formats import TARGET_NAMES

    return TARGET_NAMES[kind] if labelled else "no targets"


def _kind(
    data: str, out: Path, to: str | None, target: str | None, reading: ReadOptions
) -> tuple[TargetKind, bool]:
    """The kind of target that is converted, and whether IN has any.

    Where it is not said, it is the first that both formats hold and that IN reads as. A file whose
    ending has two formats, and plain text, are asked about.

    Raises:
        UsageError: None, or one that has to be said.
    """
    from birnn.data.formats import TARGET_NAMES, ending_of
    from birnn.data.write import format_to

    if target is not None and target not in TARGET_NAMES:
        raise UsageError(f"no kind of target {target!r}: {nearest(target, TARGET_NAMES)}")
    kinds = [kind for kind in TARGET_NAMES if kind != "gaps"] if target is None else [target]
    fault: BirnnError | None = None
    fitting: list[TargetKind] = []
    for kind in kinds:
        try:
            format_to(out, kind, to)
            fitting.append(kind)
        except BirnnError as error:
            fault = fault or error
    if not fitting:
        raise fault or UsageError(f"{out}: no format")
    if reading.format == "text" or (reading.format is None and ending_of(data) == ".txt"):
        # Of lines of fastText a fault is worth more than their text without targets.
        for kind in [each for each in fitting if each in ("label", "labels")]:
            with suppress(BirnnError):
                if _reads(data, "labels" if target else kind, reading):
                    return kind, True
        # Of a text without targets the text is worth more than its tokens.
        return next((kind for kind in fitting if kind != "tags"), fitting[0]), False
    if reading.format is None and ending_of(data) == ".tsv" and {"tags"} < set(fitting):
        raise UsageError(
            f"{data} may be columns of tokens and tags, or a table. Say which: --from conll, "
            "--from tsv."
        )
    fault, of_tags = None, False
    is_table = (reading.format or ending_of(data).removeprefix(".")) in _TABLES
    for kind in fitting:
        # A cell that is no label may be a set of none: that has to be said.
        if kind == "labels" and is_table and target is None:
            continue
        try:
            if _reads(data, kind, reading):
                return kind, True
        except BirnnError as error:
            # What the file's own format says of it is worth more than what others say; that a
            # table holds no tokens with tags says nothing of it.
            fault = error if of_tags else fault or error
            of_tags = is_table and kind == "tags"
    raise fault or UsageError(f"{data}: nothing in it that {out} holds.")


def _reads(data: str, kind: TargetKind, reading: ReadOptions) -> bool:
    """Whether the first sequence of a file has such a target; what it raises says why not."""
    from birnn.data.read import read

    return next(read(data, kind, reading, tell=no_notice), None) is not None
