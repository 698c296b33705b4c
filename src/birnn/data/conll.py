"""Column files: one token on each line, a blank line after each sequence.

A blank line ends a sequence, so one with no tokens before it ends an empty sequence: what is
predicted for a file stands line by line beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from birnn.data.examples import Example
from birnn.data.options import FIELDS, ReadRequest
from birnn.data.source import Source

COLUMNS = 10


def read_conllu(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""CoNLL-U: words and one of their fields as tags; ranges (1-2) and empty nodes (1.1) skipped.

    Args:
        source: The file.
        request: ``options.field`` names the column of the tags.

    Raises:
        FormatError: Too few columns, an empty word or tag.

    Source: https://universaldependencies.org/format.html

    Example:
        >>> rows = ["# text = dogs", "1\tdogs\tdog\tNOUN\tNNS\t_\t0\troot\t_\t_", "", ""]
        >>> from birnn.data.options import ReadOptions
        >>> request = ReadRequest(options=ReadOptions(field="xpos"))
        >>> [example] = read_conllu(Source.from_text("\n".join(rows)), request)
        >>> example.inputs, example.target, example.where
        (('dogs',), ('NNS',), 'text:2')
    """
    column = FIELDS[request.options.field]
    needed = COLUMNS if request.labelled else 2
    words: list[str] = []
    tags: list[str] = []
    start = 0
    seen = False
    for number, line in enumerate(source.lines(), 1):
        if line and not line.isspace():
            seen = True
            if line[0] == "#":
                continue
            cells = line.split("\t")
            if len(cells) < needed:
                raise source.fault(
                    f"{len(cells)} columns parted by tabs, CoNLL-U has {COLUMNS}. "
                    "If the file has other columns, say so: --format conll",
                    number,
                )
            if "-" in cells[0] or "." in cells[0]:
                continue
            if not cells[1]:
                raise source.fault("an empty word. Write _ for a missing form.", number)
            if request.labelled:
                if not cells[column]:
                    raise source.fault(
                        f"an empty {request.options.field}. Write _ for a missing one.", number
                    )
                tags.append(cells[column])
            start = start or number
            words.append(cells[1])
            continue
        yield _example(source, words, tags, start or number, request)
        words, tags, start, seen = [], [], 0, False
    if seen:
        yield _example(source, words, tags, start or number, request)


def read_conll(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""Token first, tag last, parted by tabs or, in lines without one, by spaces.

    Lines of a document's start (``-DOCSTART-``) are skipped with the blank line after them.

    Raises:
        FormatError: Too few columns, an empty token or tag.

    Example:
        >>> text = "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n"
        >>> for example in read_conll(Source.from_text(text), ReadRequest()):
        ...     print(example.inputs, example.target)
        ('EU', 'rejects') ('B-ORG', 'O')
        ('Peter',) ('B-PER',)
    """
    needed = 2 if request.labelled else 1
    tokens: list[str] = []
    tags: list[str] = []
    start = 0
    after_document_start = False
    for number, line in enumerate(source.lines(), 1):
        if line and not line.isspace():
            if line.startswith("-DOCSTART-"):
                after_document_start = True
                continue
            cells = line.split("\t") if "\t" in line else line.split(" ")
            while len(cells) > 1 and not cells[-1] and "\t" not in line:
                cells.pop()
            if len(cells) < needed:
                raise source.fault(
                    f"{len(cells)} column, a token and its tag are needed, "
                    "parted by a tab or a space.",
                    number,
                )
            token, tag = cells[0], cells[-1]
            if not token or (request.labelled and not tag):
                raise source.fault(
                    f"an empty {'tag' if token else 'token'}. "
                    "Give every token one, or end the sequence with a blank line.",
                    number,
                )
            start = start or number
            tokens.append(token)
            if request.labelled:
                tags.append(tag)
            after_document_start = False
            continue
        if after_document_start and not tokens:
            after_document_start = False
            continue
        yield _example(source, tokens, tags, start or number, request)
        tokens, tags, start = [], [], 0
    if tokens:
        yield _example(source, tokens, tags, start, request)


def _example(
    source: Source, tokens: list[str], tags: list[str], line: int, request: ReadRequest
) -> Example:
    return Example(tuple(tokens), tuple(tags) if request.labelled else None, source.where(line))
