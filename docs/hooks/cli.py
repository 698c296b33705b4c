"""Hook of mkdocs: the page of the command line says what ``birnn ... --help`` says."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any
from unittest import mock

from birnn.cli.main import main

PAGE = "reference/cli.md"
MARK = "<!-- help of every command -->"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put the help texts where the page's mark is."""
    if page.file.src_uri != PAGE:
        return markdown
    if MARK not in markdown:
        raise ValueError(f"{PAGE} has lost its mark, {MARK}")
    return markdown.replace(MARK, help_of_all())


def help_of_all() -> str:
    """A section for each command, in the order of ``birnn --help``."""
    sections = [f"```text\n{_help()}\n```"]
    sections += [f"## birnn {name}\n\n```text\n{_help(name)}\n```" for name in commands()]
    return "\n\n".join(sections)


def commands() -> list[str]:
    """Names of the commands, as the help lists them."""
    listed = _help().partition("Commands:")[2].splitlines()
    return [line.split()[0] for line in listed if line[:2] == "  " and line[2:3].strip()]


def _help(*command: str) -> str:
    told = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": "98"}), contextlib.redirect_stdout(told):
        status = main([*command, "--help"])
    if status != 0:
        raise RuntimeError(f"birnn {' '.join(command)} --help ended with status {status}")
    return told.getvalue().strip()
