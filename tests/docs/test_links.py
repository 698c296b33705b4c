"""The Markdown pages: every relative link leads to something that stands in the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headings import anchors, leads_somewhere, prose

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(prose(page)) if "://" not in target]
    missing = [target for target in targets if not leads_somewhere(target, page)]
    assert not missing, f"{page.name} links to what does not exist: {', '.join(missing)}"


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    # A comment in a block of code is no heading, and a second heading of a name has a number.
    page.write_text("# A title's words\n```sh\n# none\n```\n## Again, [so](it.md)\n## Again, so\n")
    assert anchors(page) == {"a-titles-words", "again-so", "again-so_1"}
    assert leads_somewhere("#again-so_1", page)
    assert leads_somewhere("page.md#a-titles-words", page)
    for target in ("#none", "page.md#none", "other.md", "other.md#a-titles-words"):
        assert not leads_somewhere(target, page)
