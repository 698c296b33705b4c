"""The site: it builds without a warning, has everything, and asks nothing of the network."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")

ROOT = Path(__file__).resolve().parents[2]
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//')
MODULES = (*("bundle", "data", "errors", "studies.cost", "metrics", "nn", "reference", "runtime"),)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert built.returncode == 0, built.stderr
    return out


@pytest.mark.slow  # test_links.py follows all links of the pages
def test_the_site_has_what_it_should(site: Path) -> None:
    pages = {page: page.read_text("utf-8") for page in site.rglob("*.html")}

    fetching = [page.name for page, text in pages.items() if FETCHED.search(text)]
    assert not fetching, "what these pages fetch comes from elsewhere"

    wanted = {"index", "start", "files"} | {
        page.stem for page in (ROOT / "docs/ideas").glob("*.md")
    }
    assert wanted <= {page.stem for page in pages}
    for figure in (ROOT / "docs/figures").glob("*.svg"):
        assert (site / "figures" / figure.name).is_file()
        assert any(figure.name in text for text in pages.values()), f"{figure.name} is not shown"

    line = pages[site / "reference/cli.html"]
    names = re.findall(r"^  ([a-z]+)  ", line.partition("Commands:")[2], re.MULTILINE)
    assert {"train", "predict", "info"} <= set(names)
    for name in names:
        assert f"Usage: birnn {name} " in line

    known = " ".join(pages.values())
    for module in MODULES:
        loaded = importlib.import_module(f"birnn.{module}")
        names = getattr(loaded, "__all__", None) or [
            name
            for name, value in vars(loaded).items()
            if getattr(value, "__module__", "") == loaded.__name__ and not name.startswith("_")
        ]
        public = [name for name in names if callable(getattr(loaded, name))]
        missing = [name for name in public if f'.{name}"' not in known]
        assert not missing, f"birnn.{module}: not in the reference: {', '.join(missing)}"

    searched = (site / "search/search_index.json").read_text("utf-8")
    assert "integrated gradients" in searched.lower()
