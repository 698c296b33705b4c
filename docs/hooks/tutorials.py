"""Hook of mkdocs: the page of what tutorials show is made of ``tutorials.toml``."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = "ideas/tutorials.md"
MARK = "<!-- what tutorials show -->"
LIST = Path(__file__).with_name("tutorials.toml")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put the tables where the page's mark is."""
    if page.file.src_uri != PAGE:
        return markdown
    if MARK not in markdown:
        raise ValueError(f"{PAGE} has lost its mark, {MARK}")
    return markdown.replace(MARK, tables())


def groups() -> list[dict[str, Any]]:
    """The groups of the list, each a title and entries."""
    found: list[dict[str, Any]] = tomllib.loads(LIST.read_text("utf-8"))["group"]
    return found


def tables() -> str:
    """A section with a table for each group."""
    return "\n\n".join(
        "\n".join(
            [
                f"## {group['title']}\n",
                "| what tutorials show | here | page |",
                "|---|---|---|",
                *map(_row, group["entries"]),
            ]
        )
        for group in groups()
    )


def _row(entry: Mapping[str, str]) -> str:
    if "planned" in entry:
        return f"| {entry['what']} | not yet | |"
    path, _, anchor = entry["page"].partition("#")
    words = (anchor or posixpath.basename(path).removesuffix(".md")).replace("-", " ")
    link = posixpath.relpath(path, posixpath.dirname(PAGE)) + (f"#{anchor}" if anchor else "")
    here = entry.get("function") or entry["setting"]
    return f"| {entry['what']} | `{here}` | [{words}]({link}) |"
