"""One self-contained HTML file: text, tables, figures as inline SVG, examples.

Nothing in it is fetched from anywhere, it follows the reader's light or dark setting, fits a
phone, and says in words what every figure shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import birnn
from birnn.errors import OutputError, require
from birnn.report.figures import READERS
from birnn.report.parts import Picture, Section
from birnn.report.svg import inline_svg


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
