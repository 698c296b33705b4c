"""Links of Markdown pages: where they lead, and the anchors that headings make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code, whose comments look like headings."""
    return FENCED.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Python-Markdown makes them."""

    def every() -> Iterator[str]:
        seen: dict[str, int] = {}
        for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
            shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
            words = re.sub(r"[^\w\s-]", "", shown).strip().lower()
            anchor = re.sub(r"[-\s]+", "-", words)
            number = seen[anchor] = seen.get(anchor, -1) + 1
            yield f"{anchor}_{number}" if number else anchor

    return set(every())


def leads_somewhere(target: str, page: Path) -> bool:
    """Whether a link leads to what stands in the checkout, and to a heading of it.

    Args:
        target: Of the link: a path from the page's folder, an anchor, or both.
        page: The page that has the link.
    """
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return False
    return not anchor or there.suffix != ".md" or anchor in anchors(there)
