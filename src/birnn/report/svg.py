"""Figures as SVG that stands among other elements of one page."""

from __future__ import annotations

import html
import io
import re
import warnings

from birnn.errors import require
from birnn.report.figures import GRID, INK, MINUS, PAPER, PLUS, READERS, STYLE, TIP, WRONG
from birnn.report.parts import Picture


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
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # the page has the fonts of who reads it; only the width is measured with matplotlib's own
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
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
