"""Plain text, a sequence on each line; and the symbols of a source sequence."""

from __future__ import annotations

from collections.abc import Iterator

from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import Source


def read_text(source: Source, request: ReadRequest) -> Iterator[Example]:
    """Plain text, one sequence on each line; an empty line is an empty sequence.

    Where nobody said that the file is text, a line with a tab in it is refused: it is more likely
    a row of a table or of columns, whose labels would be read as words.

    Raises:
        FormatError: Labels are wanted: plain text has none. A tab, where the format is guessed.

    Example:
        >>> request = ReadRequest("label", labelled=False)
        >>> [example.inputs for example in read_text(Source.from_text("So good!"), request)]
        [('So', 'good', '!')]
    """
    if request.labelled:
        raise source.fault(
            "plain text holds no labels. Give a labelled file, or its --format if it is one."
        )
    for number, line in enumerate(source.lines(), 1):
        if "\t" in line and request.options.format is None:
            columns = "conll|conllu" if request.target == "tags" else "tsv"
            raise source.fault(
                "a tab, as in columns or a table, where plain text is read. Say what the file is: "
                f"--format {columns}, or --format text if tabs are white space",
                number,
            )
        where = source.where(number)
        sequence = request.target == "sequence"
        inputs = split_source(line) if sequence else request.words(line, where)
        yield Example(inputs, None, where, text=line)


def split_source(text: str) -> tuple[str, ...]:
    """The symbols of a source sequence: parted by spaces, or else its single characters.

    Example:
        >>> split_source("cat"), split_source("k ae t")
        (('c', 'a', 't'), ('k', 'ae', 't'))
    """
    text = text.strip()
    return tuple(text.split()) if any(map(str.isspace, text)) else tuple(text)
