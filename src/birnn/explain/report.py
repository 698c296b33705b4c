"""One self-contained HTML file: text, tables, figures as inline SVG, examples.

Nothing in it is fetched from anywhere, it follows the reader's light or dark setting, fits a
phone, and says in words what every figure shows.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import birnn
from birnn.errors import OutputError, ShapeError, require
from birnn.explain.figures import GRID, INK, READERS, STYLE, TIP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["text"] = field(default="text", init=False)


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of a terminal or a program, as they are typed."""

    code: str
    kind: Literal["code"] = field(default="code", init=False)


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few numbers that matter most: name, number as it is shown, reader or ``""``."""

    tiles: Sequence[tuple[str, str, str]]
    kind: Literal["tiles"] = field(default="tiles", init=False)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; the first column names the row, numbers stand on the right.

    Raises:
        ShapeError: A row that is not as long as the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    kind: Literal["table"] = field(default="table", init=False)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ShapeError(
                    f"row {number} has {len(row)} cells under {len(self.header)} headings"
                )


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure, its caption, and the words for who cannot see it."""

    figure: Figure
    caption: str
    alternative: str
    kind: Literal["picture"] = field(default="picture", init=False)


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
    kind: Literal["sentences"] = field(default="sentences", init=False)


@dataclass(frozen=True, slots=True)
class Strip:
    """A short sequence with the tags that several readers gave to each symbol.

    Args:
        symbols: The sequence.
        gold: The right tags.
        answers: Reader (a key of `READERS`) to its tags.
        marked: The tag that is shown as a filled cell; all others are empty cells.
        note: What to know about the sequence.

    Raises:
        ShapeError: Tags that are not as many as the symbols.
    """

    symbols: Sequence[str]
    gold: Sequence[str]
    answers: Mapping[str, Sequence[str]]
    marked: str
    note: str = ""

    def __post_init__(self) -> None:
        for name, tags in {"gold": self.gold, **self.answers}.items():
            if len(tags) != len(self.symbols):
                raise ShapeError(f"{name}: {len(tags)} tags for {len(self.symbols)} symbols")


@dataclass(frozen=True, slots=True)
class Strips:
    """Short sequences, one under the other."""

    strips: Sequence[Strip]
    kind: Literal["strips"] = field(default="strips", init=False)


Part = Text | Code | Tiles | Table | Picture | Sentences | Strips


@dataclass(frozen=True, slots=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: Sequence[Part]


def render(title: str, sections: Sequence[Section], *, lead: str = "", footer: str = "") -> str:
    """The page as a string.

    Args:
        title: Heading of the page.
        sections: What it shows.
        lead: The page in a sentence or two.
        footer: How the page came about: machine, versions, time.

    Example:
        >>> page = render("Hello", [Section("Numbers", [Table(["what", "n"], [["a", 1]])])])
        >>> "<h1>Hello</h1>" in page, page.count("</td>")
        (True, 1)
    """
    jinja2 = require("jinja2", extra="plots")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("birnn.explain"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = [part for section in sections for part in section.parts if isinstance(part, Picture)]
    drawn = {
        id(part): jinja2.utils.markupsafe.Markup(inline_svg(part, f"figure-{number}"))
        for number, part in enumerate(pictures, start=1)
    }
    template = environment.get_template("report.html.j2")
    page = template.render(
        title=title,
        sections=sections,
        lead=lead,
        footer=footer,
        readers=READERS,
        version=birnn.__version__,
        svg=lambda part: drawn[id(part)],
    )
    return str(page)


def write(
    path: Path | str,
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    footer: str = "",
) -> Path:
    """Write the page; arguments as of `render`.

    Raises:
        OutputError: The file cannot be written.
    """
    path = Path(path)
    page = render(title, sections, lead=lead, footer=footer)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def inline_svg(picture: Picture, name: str) -> str:
    """A figure as an SVG element that can stand among others in one page.

    Ids are made unique with ``name``, ink and grid take the page's colours, hover texts become
    titles, and the alternative text becomes the element's own.

    Args:
        picture: Figure, caption and alternative text.
        name: Prefix of all ids, unique in the page.
    """
    matplotlib = require("matplotlib", extra="plots")
    stream = io.StringIO()
    # text stays text, and two runs give the same file
    settings = STYLE | {"svg.fonttype": "none", "svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        picture.figure.savefig(stream, format="svg", metadata=dict.fromkeys(_METADATA))
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(rf'<g id="{TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour.lower(), f"var(--{variable})")
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    label = html.escape(picture.alternative, quote=True)
    # inside HTML neither the namespaces nor their prefix are needed
    body = svg[svg.index(">") + 1 :].replace("xlink:href", "href")
    return f'<svg {view[0]} role="img" aria-label="{label}">{body}'


# what the page draws in its own light or dark shade
_COLOURS = {INK: "ink", GRID: "grid"} | {reader.colour: key for key, reader in READERS.items()}

# all that matplotlib would write about itself, its date and its network addresses
_METADATA = ("Date", "Creator", "Format", "Type")
