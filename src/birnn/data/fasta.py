"""FASTA: sequences of residues or bases, one character for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.writing import WriteRequest


def read_fasta(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Records that start with ``>id``; with labels ``>id label``, with tags three lines.

    Tags are read from records of three lines: ``>id``, the sequence, one tag character for each
    residue. Otherwise a sequence may take any number of lines; but where a tagger reads, and the
    second of two lines consists of its tags, that line is no part of the sequence.

    Raises:
        FormatError: Text before the first record, no label, tags for another number of residues; a
            second line that may be tags or residues.

    Example:
        >>> text = ">p1 membrane\nMKV\nLA\n>p2 soluble\nGG\n"
        >>> for example in read_fasta(Source.from_text(text), ReadRequest("label")):
        ...     print("".join(example.inputs), example.target)
        MKVLA membrane
        GG soluble
        >>> [example] = read_fasta(Source.from_text(">p1\nMKV\nCHH\n"), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('M', 'K', 'V'), ('C', 'H', 'H'))
    """
    if request.target == "tags" and request.labelled:
        yield from read_three_line(source, request)
        return
    for line, header, body in _records(source):
        if request.target == "tags" and _two_equal_lines(body):
            what = (
                "two lines of one length are read as one sequence; if the second holds tags: "
                "--format 3line"
            )
            if request.labels and _are_tags(source, line, body, request.labels):
                body = body[:1]
                what = (
                    "records of three lines: the second line of each holds tags, which are not "
                    "read (--format 3line)"
                )
            source.notice(what, line, once="two lines")
        label = header.partition(" ")[2].strip() if request.labelled else None
        if label == "":
            raise source.fault(f"no label after >{header}. Write >id label.", line)
        yield Example(_residues(body), label, source.where(line), _id(header))


def read_three_line(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Records of three lines (``>id``, sequence, tags); the tags are read where targets are.

    Raises:
        FormatError: A record of other than three lines, tags for another number of residues.

    Example:
        >>> source = Source.from_text(">p1\nMKV\nCHH\n")
        >>> [example] = read_three_line(source, ReadRequest("tags", labelled=False))
        >>> example.inputs, example.target
        (('M', 'K', 'V'), None)
    """
    for line, header, body in _records(source):
        # The two lines of an empty sequence are empty, like those that end a file.
        while len(body) > 2 and not body[-1]:
            body = body[:-1]
        if any(body) and len(body) != 2:
            raise source.fault(
                f"{len(body)} lines after >id, two are needed: the sequence and its tags.", line
            )
        residues, tags = _residues(body[:1]), _residues(body[1:])
        if len(residues) != len(tags):
            raise source.fault(
                f"{len(residues)} residues and {len(tags)} tags. Give every residue one character.",
                line,
            )
        target = tags if request.labelled else None
        yield Example(residues, target, source.where(line), _id(header))


def _records(source: Source) -> Iterator[tuple[int, str, list[str]]]:
    """Line of the header, header and lines of each record, without comments (``;``)."""
    header: str | None = None
    start = 0
    body: list[str] = []
    for number, raw in enumerate(source.lines(), 1):
        line = raw.strip()
        if line.startswith(";"):
            what = "lines that begin with ; are comments, and not read"
            source.notice(what, number, once="comment")
        elif line.startswith(">"):
            if header is not None:
                yield start, header, body
            header, start, body = line[1:].strip(), number, []
        elif header is not None:
            body.append(line)
        elif line:
            raise source.fault("a sequence before its >id. Is this a FASTA file?", number)
    if header is not None:
        yield start, header, body


def _residues(body: list[str]) -> tuple[str, ...]:
    return tuple("".join("".join(body).split()))


def _id(header: str) -> str | None:
    return header.split(maxsplit=1)[0] if header else None


def _two_equal_lines(body: list[str]) -> bool:
    """Whether a record has two lines of one length, and no third."""
    first, second = (*body, "", "")[:2]
    return bool(first) and len(first) == len(second) and not any(body[2:])


def _are_tags(source: Source, line: int, body: list[str], labels: frozenset[str]) -> bool:
    """Whether the second line of a record is made of tags."""
    if not labels.issuperset(body[1]):
        return False
    if labels.issuperset(body[0]):
        raise source.fault(
            "the second line may hold tags or residues. Say which: --format 3line, or write each "
            "sequence on one line.",
            line,
        )
    return True


def write_fasta(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""Records of an id, a label where there is one, the symbols, and their tags on a third line.

    Example:
        >>> "".join(write_fasta([Example(("M", "K"), ("C", "H"))], WriteRequest("tags", "fasta")))
        '>1\nMK\nCH\n'
    """
    for number, example in zip(count(1), examples, strict=False):
        name = "_".join((example.id or str(number)).split())
        label = "" if request.target == "tags" else " ".join(["", *request.names(example)])
        yield f">{name}{label}\n{request.symbols(example)}\n"
        if request.target == "tags":
            tags = request.names(example)
            if other := next((tag for tag in tags if len(tag) != 1), None):
                raise request.fault(example, f"the tag {other!r}")
            yield "".join(tags) + "\n"
