"""What a page is made of: text, numbers, figures, words, in sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from birnn.errors import DataError, ShapeError
from birnn.report.figures.style import alt_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float
LINE = 10  # symbols of a strip that stand on one line: on a phone each is wide enough to read


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of a terminal or a program, as they are typed."""

    code: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few numbers that matter most: name, number as it is shown, reader or ``""``."""

    tiles: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; the first column names the row, numbers stand on the right.

    Texts of the other columns stand on the left, and are broken into lines where they are long.

    Example:
        >>> Table(["symbol", "probability", "instead"], [["a", "93.1 %", "b 4.2 %"]]).are_numbers
        [False, True, False]

    Raises:
        ShapeError: A row that is not as long as the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ShapeError(
                    f"row {number} has {len(row)} cells under {len(self.header)} headings"
                )

    @property
    def are_numbers(self) -> list[bool]:
        """Of each column but the first whether no cell begins with a word."""
        return [
            at > 0 and not any(str(row[at])[:1].isalpha() for row in self.rows)
            for at in range(len(self.header))
        ]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, its caption, and the words for who cannot see it.

    Args:
        figure: The figure.
        caption: What it shows and what to see in it.
        alt: The figure in words; by default what it says of itself (`alt_text`).

    Raises:
        DataError: No words, from neither.
    """

    figure: Figure
    caption: str
    alt: str = ""

    def __post_init__(self) -> None:
        if not self.alt:
            if not alt_text(self.figure):
                raise DataError("this figure says nothing of itself: give its alt text")
            object.__setattr__(self, "alt", alt_text(self.figure))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with one word that was tagged by several readers.

    Args:
        words: The words.
        position: Index of the word in question.
        gold: Its right tag.
        answers: Reader (a key of `READERS`) to the tag it gave.
        clues: Indices of the words that settle the tag, underlined.
        note: What to know about the sentence.
    """

    words: Sequence[str]
    position: int
    gold: str
    answers: Mapping[str, str]
    clues: Sequence[int] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences, one under the other."""

    sentences: Sequence[Sentence]


@dataclass(frozen=True, slots=True)
class Strip:
    """A short sequence with the tags that several readers gave to each symbol.

    Args:
        symbols: The sequence.
        gold: The right tags.
        answers: Reader (a key of `READERS`) to its tags.
        marked: The tags that are shown as filled cells, all others as empty ones; where there are
            none, each cell has its tag written in it, which should be short.
        note: What to know about the sequence.

    Raises:
        ShapeError: Tags that are not as many as the symbols.
    """

    symbols: Sequence[str]
    gold: Sequence[str]
    answers: Mapping[str, Sequence[str]]
    marked: Collection[str]
    note: str = ""

    def __post_init__(self) -> None:
        for name, tags in {"gold": self.gold, **self.answers}.items():
            if len(tags) != len(self.symbols):
                raise ShapeError(f"{name}: {len(tags)} tags for {len(self.symbols)} symbols")

    @property
    def lines(self) -> list[Strip]:
        """The strip cut into lines that fit a phone.

        Example:
            >>> strip = Strip("abcdefghijkl", "o" * 12, {"both": "o" * 12}, ("i",))
            >>> [line.symbols for line in strip.lines]
            ['abcdefghij', 'kl']
        """
        parts = [slice(at, at + LINE) for at in range(0, len(self.symbols), LINE)]
        return [
            replace(
                self,
                symbols=self.symbols[part],
                gold=self.gold[part],
                answers={reader: tags[part] for reader, tags in self.answers.items()},
            )
            for part in parts
        ]


@dataclass(frozen=True, slots=True)
class Strips:
    """Short sequences, one under the other."""

    strips: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class ColouredWords:
    """Words, each coloured by how much it speaks for something or against it.

    Args:
        words: The words, in their order.
        values: A number for each, above 0 for, below 0 against.
        what: What the numbers are, with their unit.
        position: Index of the word that is explained, marked; None for the whole text.
        beneath: A second line under each word, such as its tag.
        note: What to know about the text.

    Raises:
        ShapeError: Not one number or not one second line for each word, or a position outside.

    Example:
        >>> line = ColouredWords(["not", "bad"], [0.5, -0.25], "attribution to positive, logit")
        >>> line.shares
        (100, -50)
    """

    words: Sequence[str]
    values: Sequence[float]
    what: str
    position: int | None = None
    beneath: Sequence[str] = ()
    note: str = ""

    def __post_init__(self) -> None:
        count = len(self.words)
        for name, line in {"values": self.values, "beneath": self.beneath}.items():
            if len(line) != count and (line or name == "values"):
                raise ShapeError(f"{name}: {len(line)} for {count} words")
        if self.position is not None and not 0 <= self.position < count:
            raise ShapeError(f"position is {self.position}, there are {count} words")

    @property
    def most(self) -> float:
        """The value that has the full colour."""
        return max((abs(float(value)) for value in self.values), default=0.0)

    @property
    def shares(self) -> tuple[int, ...]:
        """How strongly each word is coloured, -100 to 100."""
        most = self.most or 1.0
        return tuple(round(100 * float(value) / most) for value in self.values)


@dataclass(frozen=True, slots=True)
class Notes:
    """Short lines: what was left out, and why."""

    notes: Sequence[str]


Part = Text | Code | Tiles | Table | Picture | Sentences | Strips | ColouredWords | Notes


@dataclass(frozen=True, slots=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: Sequence[Part]
