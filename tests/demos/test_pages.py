"""The pages of demos and studies in a browser: every figure there, nothing said on the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.demos import DEMOS, Size, brackets, forecast, pages, run, run_variants
from birnn.demos import quickstart as first_minute
from birnn.studies import cost as costs
from birnn.studies.compare import compare
from birnn.studies.compare import page as compare_page
from birnn.studies.variants import page as variants_page
from birnn.training.recipe import Recipe

TINY = Size(train=30, test=24, epochs=1)


def of_demo(name: str) -> Callable[[Path], object]:
    return lambda path: pages.write(path, run(name, seeds=(1, 2), size=TINY))


def of_compare(path: Path) -> None:
    draw = brackets.generate
    found = compare(
        "tagger",
        train=draw(40, 1),
        dev=draw(20, 2),
        test=draw(20, 3),
        recipe=Recipe.load("tagger").with_settings(
            {"training.epochs": 2, "encoder.hidden_size": 8}
        ),
        seeds=(1, 2),
    )
    compare_page.write(path, found, name="a file with a long name of no spaces/" + "x" * 60)


def of_forecast(path: Path) -> None:
    pages.write_forecast(path, forecast.run(seeds=(1,), size=Size(train=8, test=4, epochs=1)))


def of_variants(path: Path) -> None:
    found = run_variants("brackets", "merge", seeds=(1, 2), size=TINY)
    variants_page.write(path, found, name="brackets")


def of_cost(path: Path) -> None:
    costs.write(path, costs.cost("lstm", 100, 256, cells=("gru",), measure=False))


def of_quickstart(path: Path) -> None:
    sizes = dict.fromkeys(first_minute.SIZES, TINY)
    first_minute.run(path.parent / "quick", sizes=sizes).report.rename(path)


PAGES: dict[str, Callable[[Path], object]] = {
    **{f"demo-{name}": of_demo(name) for name in DEMOS},
    "compare": of_compare,
    "forecast": of_forecast,
    "cost": of_cost,
    "variants": of_variants,
    "quickstart": of_quickstart,
}


# Of pages that are built alike one is opened there too.
ON_A_DESKTOP = ("demo-residues", "demo-anomaly", "compare", "cost", "quickstart")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_page_opens_on_a_phone_in_the_dark_and_on_a_desktop(
    name: str, opened: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.html"
    PAGES[name](path)
    text = path.read_text("utf-8")
    opened(path, width=390, dark=True).check(figures=text.count("<svg"))
    if name in ON_A_DESKTOP:
        seen = opened(path, width=1280)
        seen.check(figures=text.count("<svg"))
        assert seen.cut_tables == 0
    assert text.count("<svg") == text.count('role="img"') >= 1
