"""Every block of code in README.md and docs/ runs: Python as a script, `birnn` as in a shell.

All blocks of a page run in order, in one namespace and one folder, which holds the files of
`conftest`. A comment before a block changes what is done with it:

```
<!-- file: name -->         the block is written to a file of that name
<!-- not run: reason -->    the block is left out; `LEFT_OUT` counts these
```
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from birnn.cli.main import main
from birnn.engine.threads import get_num_threads, set_num_threads
from hub_server import IN_UPLOADS, standing_in

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(\S*)[^\n]*$")
COMMENT = re.compile(r"^<!-- (file|not run): (.+) -->$")
RUN = ("python", "sh")
SHOWN = ("text", "tsv", "json", "csv")  # what a file or an answer looks like
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

# Blocks that no test runs, by page. Each says why in the page.
LEFT_OUT = {
    "README.md": 5,
    "docs/design/precision.md": 1,
    "docs/how/demo.md": 1,
    "docs/how/frames.md": 1,
    "docs/ideas/cost.md": 1,
    "docs/ideas/merging.md": 1,
    "docs/start.md": 2,
}


# Pages that take more than ten seconds; `make docs` and `make test-all` run them.
LONG = {"docs/how/jax.md", "docs/start.md"}


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    page: Path
    line: int  # of its first line of code
    language: str
    code: str
    file: str = ""
    left_out: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = page.read_text("utf-8").splitlines()
    said: tuple[str, str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if found := COMMENT.match(line):
            said = (found[1], found[2])
        elif found := FENCE.match(line):
            end = lines.index("```", number)
            options = {} if said is None else {said[0].replace("not run", "left_out"): said[1]}
            code = "\n".join(lines[number:end]) + "\n"
            yield Block(page, number + 1, found[1], code, **options)
            said, number = None, end + 1
        elif line.strip():
            assert said is None, f"{page.name}:{number}: the comment before it has no block"


ALL = {page: list(blocks(page)) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in ALL[page]:
        assert block.language in (*RUN, *SHOWN, "toml"), f"{block.where}: what is it?"
        if block.language == "toml":
            assert block.file, f"{block.where}: settings are written to a file and used"
    indented = [
        n
        for n, line in enumerate(page.read_text("utf-8").splitlines(), 1)
        if re.match(r"^\s+```", line)
    ]
    assert not indented, f"{page.name}:{indented}: a block that stands in a list is not found"


def test_what_is_left_out_is_counted() -> None:
    found = Counter(
        str(page.relative_to(ROOT)) for page in PAGES for block in ALL[page] if block.left_out
    )
    assert found == LEFT_OUT


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=str(page.relative_to(ROOT)),
            marks=[pytest.mark.slow] * (str(page.relative_to(ROOT)) in LONG),
        )
        for page in PAGES
        if any(block.language in RUN for block in ALL[page])
    ],
)
@pytest.mark.filterwarnings(IN_UPLOADS)
def test_every_block_runs(
    page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    # What pages set for the process goes back to what it was.
    threads = get_num_threads()
    names: dict[str, Any] = {"__name__": "__main__"}
    hub = standing_in(tmp_path / "cache") if page.name == "hub.md" else contextlib.nullcontext()
    with hub:
        for block in ALL[page]:
            if block.left_out:
                continue
            if block.file:
                Path(block.file).write_text(block.code, encoding="utf-8")
            elif block.language == "python":
                run_python(block, names)
            elif block.language == "sh":
                run_shell(block)
    set_num_threads(threads)


def run_python(block: Block, names: dict[str, Any]) -> None:
    """A script, or a session with answers that must come out as shown."""
    if ">>>" not in block.code:
        # Lines before it, so that a traceback names the page's line.
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, str(block.page), "exec"), names)
        return
    session = doctest.DocTestParser().get_doctest(
        block.code, names, block.where, str(block.page), block.line - 1
    )
    told = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    failed = runner.run(session, out=told.write, clear_globs=False).failed
    names.update(session.globs)
    assert not failed, told.getvalue()


def run_shell(block: Block) -> None:
    """Lines of `birnn`, of `echo ... | birnn`, either of them into a file."""
    for line in block.code.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            run_line(block, line)


def run_line(block: Block, line: str) -> None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>")
    lexer.whitespace_split = True
    words = list(lexer)
    into = None
    if ">" in words:
        at = words.index(">")
        words, into = words[:at], Path(words[at + 1])
    given = ""
    if "|" in words:
        at = words.index("|")
        assert words[0] == "echo", f"{block.where}: {line}: only echo is known here"
        given, words = " ".join(words[1:at]) + "\n", words[at + 1 :]
    assert words[0] == "birnn", f"{block.where}: {line}: only birnn can be run here"
    told, stdin = io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(given.encode()))
    try:
        with contextlib.redirect_stdout(told):
            status = main(words[1:])
    finally:
        sys.stdin = stdin
    assert status == 0, f"{block.where}: {line}: ended with status {status}"
    if into is not None:
        into.write_text(told.getvalue(), encoding="utf-8")
    elif "--out" not in words:
        assert told.getvalue(), f"{block.where}: {line}: said nothing"


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "index.md"
    with pytest.raises(AssertionError, match="Expected"):
        run_python(Block(page, 1, "python", ">>> 1 + 1\n3\n"), {})
    with pytest.raises(ZeroDivisionError):
        run_python(Block(page, 1, "python", "1 / 0\n"), {})
    with pytest.raises(AssertionError, match="status 2"):
        run_shell(Block(page, 1, "sh", "birnn evaluate\n"))
    with pytest.raises(AssertionError, match="only birnn"):
        run_shell(Block(page, 1, "sh", "rm something\n"))
