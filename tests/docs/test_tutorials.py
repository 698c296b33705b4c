"""What tutorials show is here: every entry of the list has a function and a page, and the code has
nothing that the list leaves out.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from birnn.bundle.conventions import CONVENTIONS
from birnn.demos import DEMOS
from birnn.inputs.kinds import KINDS
from birnn.reference import CELLS, MERGES
from birnn.reference.bridge import BRIDGES
from birnn.report import figures
from birnn.studies.compare import WAYS
from birnn.studies.variants import VARIATIONS
from birnn.tasks import TASKS
from birnn.tasks.pooling import PoolingName
from birnn.training.recipe import Recipe
from headings import leads_somewhere

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Rooms that load a framework, which takes seconds: what they export is read, not imported.
HEAVY = ("birnn.jax", "birnn.keras")

# What the code has lists of. Each item occurs in an entry, as ``is = "kind:item"``.
LISTED: dict[str, Iterable[str]] = {
    "cell": CELLS,
    "merge": MERGES,
    "bridge": BRIDGES,
    "pooling": get_args(PoolingName),
    "task": TASKS,
    "input": KINDS,
    "demo": [*DEMOS, "forecast"],
    "way": WAYS,
    "variation": VARIATIONS,
    "framework": ["numpy", "jax", *CONVENTIONS],
}


def hook(name: str) -> Any:
    """A hook of the site, which is no module of the package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


TUTORIALS = hook("tutorials")
ENTRIES = [entry for group in TUTORIALS.groups() for entry in group["entries"]]
DONE = [entry for entry in ENTRIES if "planned" not in entry]


def what(entry: dict[str, str]) -> str:
    return entry["what"]


def found(path: str) -> Any:
    """What an import path names."""
    for heavy in HEAVY:
        if path.startswith(f"{heavy}."):
            return exported(heavy)[path.removeprefix(f"{heavy}.")]
    # A package's own name wins over a module of that name: `birnn.explain.flow` is a function.
    named: Any = importlib.import_module("birnn")
    for part in path.split(".")[1:]:
        if not hasattr(named, part) and inspect.ismodule(named):
            importlib.import_module(f"{named.__name__}.{part}")
        named = getattr(named, part)
    return named


def exported(room: str) -> dict[str, Any]:
    """The names in a package's ``__all__``, which stand for what they name."""
    source = ROOT.joinpath("src", *room.split("."), "__init__.py").read_text("utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return dict.fromkeys(ast.literal_eval(node.value), exported)
    raise AssertionError(f"{room} has no __all__")


@pytest.mark.parametrize("entry", DONE, ids=what)
def test_every_entry_has_a_function_or_a_setting_and_a_page(entry: dict[str, str]) -> None:
    assert ("function" in entry) != ("setting" in entry)
    if "function" in entry:
        assert callable(found(entry["function"]))
    else:
        section, _, key = entry["setting"].partition(".")
        assert any(key in type(getattr(recipe, section)).model_fields for recipe in recipes())
    assert leads_somewhere(entry["page"], DOCS / "index.md"), entry["page"]


def recipes() -> list[Recipe]:
    return [Recipe.load(task) for task in TASKS]


def test_what_is_planned_is_not_there_yet() -> None:
    """Once it is, its entry here is due: a function and a page in the place of ``planned``."""
    for entry in ENTRIES:
        if "planned" in entry:
            assert set(entry) == {"what", "planned"}
            assert importlib.util.find_spec(entry["planned"]) is None, (
                f"{entry['planned']} exists: say in tutorials.toml where “{entry['what']}” is"
            )


def test_entries_say_nothing_else_and_nothing_twice() -> None:
    known = {"what", "function", "setting", "planned", "page", "is"}
    assert all(set(entry) <= known for entry in ENTRIES)
    assert [name for name, count in Counter(map(what, ENTRIES)).items() if count > 1] == []
    called = Counter(entry["is"] for entry in ENTRIES if "is" in entry)
    assert [name for name, count in called.items() if count > 1] == []


@pytest.mark.parametrize("kind", LISTED)
def test_everything_that_the_code_lists_is_in_the_list(kind: str) -> None:
    named = {entry["is"] for entry in ENTRIES if "is" in entry}
    here = {name.partition(":")[2] for name in named if name.startswith(f"{kind}:")}
    assert here == set(LISTED[kind])
    assert {name.partition(":")[0] for name in named} == set(LISTED)


def test_every_figure_is_in_the_list() -> None:
    drawn = {
        name
        for name in figures.__all__
        if inspect.isfunction(function := getattr(figures, name))
        and inspect.signature(function).return_annotation == "Figure"
    }
    prefix = "birnn.report.figures."
    listed = {
        entry["function"].removeprefix(prefix)
        for entry in DONE
        if entry.get("function", "").startswith(prefix)
    }
    assert listed == drawn


def test_the_page_has_a_row_for_every_entry_and_links_that_lead_somewhere() -> None:
    page = DOCS / TUTORIALS.PAGE
    assert TUTORIALS.MARK in page.read_text("utf-8")
    told = TUTORIALS.tables()
    rows = [line for line in told.splitlines() if line.startswith("| ")]
    assert len(rows) == len(ENTRIES) + len(TUTORIALS.groups())
    for entry in DONE:
        assert f"| {entry['what']} | `{entry.get('function', entry.get('setting'))}` | [" in told
    links = re.findall(r"\]\(([^)]+)\)", told)
    assert len(links) == len(DONE)
    assert [link for link in links if not leads_somewhere(link, page)] == []


def test_a_function_that_does_not_exist_is_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        found("birnn.nn.NoSuchLayer")
    with pytest.raises(AttributeError):
        found("birnn.nn.BiRNN.no_such_method")
    with pytest.raises(KeyError):
        found("birnn.jax.no_such_function")
