"""Lines of fastText: labels that begin with ``__label__``, and a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from birnn.data.annotated import AnnotatedTexts
from birnn.data.examples import Example
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.writing import WriteRequest
from birnn.errors import DataError

PREFIX = "__label__"


def read_fasttext(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""A text on each line, its labels among its words: ``__label__spam win now``.

    Raises:
        FormatError: A line without a label, or for a classifier with several.

    Source: Joulin et al. 2017, fastText, https://fasttext.cc/docs/en/supervised-tutorial.html

    Example:
        >>> text = "__label__spam win money now\n__label__ham see you\n"
        >>> for example in read_fasttext(Source.from_text(text), ReadRequest("label")):
        ...     print(example.inputs, example.target)
        ('win', 'money', 'now') spam
        ('see', 'you') ham
    """
    texts = AnnotatedTexts(source, request)
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        labels, text = parted(line)
        where = source.where(number)
        try:
            example = texts.labelled(text, labels, where, line=number)
        except DataError as error:
            raise source.fault(error, number) from None
        if example is not None:
            yield example
    texts.report()


def parted(line: str) -> tuple[list[str], str]:
    """The labels of a line, and its text.

    Example:
        >>> parted("__label__a so  good __label__b")
        (['a', 'b'], 'so  good')
    """
    words = line.split()
    labels = [word.removeprefix(PREFIX) for word in words if word.startswith(PREFIX)]
    text = line.strip()
    # Labels stand in front as a rule: what is behind them stays as it is written.
    while text.startswith(PREFIX):
        text = text.partition(text.split(maxsplit=1)[0])[2].lstrip()
    if PREFIX in text:
        kept = [word for word in text.split(" ") if not word.startswith(PREFIX)]
        text = " ".join(kept)
    return [label for label in labels if label], text


def write_fasttext(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""A line for each text, its labels in front.

    Example:
        >>> "".join(write_fasttext([Example(("so",), "x")], WriteRequest("label", "fasttext")))
        '__label__x so\n'
    """
    for example in examples:
        labels = [PREFIX + request.word(example, label) for label in request.names(example)]
        yield " ".join([*labels, request.line(example)]) + "\n"
