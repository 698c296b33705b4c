"""One self-contained HTML file: text, tables, figures as inline SVG, examples.

Nothing in it is fetched from anywhere, it follows the reader's light or dark setting, fits a
phone, and says in words what every figure shows.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import birnn
from birnn.errors import OutputError, require
from birnn.report.figures.style import (
    GRID,
    INK,
    MINUS,
    PAPER,
    PLUS,
    READERS,
    STYLE,
    TOOLTIP,
    WRONG,
)
from birnn.report.parts import Picture, Section


def render(title: str, sections: Sequence[Section], *, lead: str = "", footer: str = "") -> str:
    """The page as a string.

    Args:
        title: Heading of the page.
        sections: What it shows.
        lead: The page in a sentence or two.
        footer: How the page came about: machine, versions, time.

    Example:
        >>> from birnn.report.parts import Table
        >>> page = render("Hello", [Section("Numbers", [Table(["what", "n"], [["a", 1]])])])
        >>> "<h1>Hello</h1>" in page, page.count("</td>")
        (True, 1)
    """
    jinja2 = require("jinja2", extra="plots")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("birnn.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markup = jinja2.utils.markupsafe.Markup
    pictures = [part for section in sections for part in section.parts if isinstance(part, Picture)]
    drawn = {
        id(part): markup(inline_svg(part, f"figure-{number}"))
        for number, part in enumerate(pictures, start=1)
    }

    def source(name: str) -> object:
        return markup(environment.loader.get_source(environment, name)[0])

    template = environment.get_template("report.html.j2")
    page = template.render(
        title=title,
        sections=sections,
        lead=lead,
        footer=footer,
        readers=READERS,
        style=source("page.css"),
        number=signed,
        version=birnn.__version__,
        svg=lambda part: drawn[id(part)],
        kind=lambda part: type(part).__name__.lower(),
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


def signed(value: float) -> str:
    """A number with its sign.

    Example:
        >>> signed(0.25), signed(-1.0), signed(0.0)
        ('+0.25', '-1', '0')
    """
    return f"{value:+.3g}" if value else "0"


def inline_svg(picture: Picture, name: str) -> str:
    """A figure as an SVG element that can stand among others in one page.

    Ids are made unique with ``name``, colours become those of the page, light or dark, tooltips
    become titles, and the alt text becomes the element's own.

    Args:
        picture: Figure, caption and alt text.
        name: Prefix of all ids, unique in the page.
    """
    matplotlib = require("matplotlib", extra="plots")
    stream = io.StringIO()
    # text stays text, and two runs give the same file
    settings = STYLE | {"svg.fonttype": "none", "svg.hashsalt": name}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # the page has the fonts of who reads it; only the width is measured with matplotlib's own
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        picture.figure.savefig(stream, format="svg", metadata=dict.fromkeys(_METADATA))
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(rf'<g id="{TOOLTIP}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour.lower(), f"var(--{variable})")
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    label = html.escape(picture.alt, quote=True)
    # inside HTML neither the namespaces nor their prefix are needed
    body = svg[svg.index(">") + 1 :].replace("xlink:href", "href")
    return f'<svg {view[0]} role="img" aria-label="{label}">{body}'


# what the page draws in its own light or dark shade
_COLOURS = {
    INK: "ink",
    GRID: "grid",
    PAPER: "paper",
    PLUS: "plus",
    MINUS: "minus",
    WRONG: "wrong",
} | {reader.colour: key for key, reader in READERS.items()}

# all that matplotlib would write about itself, its date and its network addresses
_METADATA = ("Date", "Creator", "Format", "Type")
