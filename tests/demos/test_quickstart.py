"""The quickstart: its numbers are those of the models it leaves, its page shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from birnn.demos import quickstart, senses
from birnn.demos.demo import Size
from birnn.demos.quickstart import QuickstartResult
from birnn.errors import OutputError
from birnn.metrics.significance import percent
from birnn.runtime import Predictor

TINY = {"senses": Size(train=90, test=90, epochs=1), "brackets": Size(train=60, test=80, epochs=2)}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quickstart") / "out"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(out: Path, lines: list[str]) -> QuickstartResult:
    return quickstart.run(out, seed=3, sizes=TINY, tell=lines.append)


def test_numbers_are_those_of_the_bundle_it_leaves(result: QuickstartResult, out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["bundle", "report.html"]
    model = Predictor.load(result.bundle)
    assert model.spec.encoder.bidirectional
    test = senses.generate(TINY["senses"].test, 3, split="test")
    tags = model.predict([case.example.inputs for case in test])
    for evidence, accuracy in result.senses.by_group("both").items():
        right = [
            answer[case.position] == case.tag
            for answer, case in zip(tags, test, strict=True)
            if case.kind == evidence
        ]
        assert accuracy == pytest.approx(np.mean(right))
        assert len(right) == TINY["senses"].test / 3


def test_groups_make_up_the_whole(result: QuickstartResult) -> None:
    for contest in (result.senses, result.brackets):
        for way in contest.ways:
            counts = contest.counts(way).values()
            right, total = (sum(column) for column in zip(*counts, strict=True))
            assert contest.spread(way).median == pytest.approx(right / total)
    assert sum(n for _, n in result.senses.counts("both").values()) == TINY["senses"].test
    assert sum(n for _, n in result.brackets.counts("both").values()) == 10 * TINY["brackets"].test


def test_tables_json_and_page_tell_the_same(result: QuickstartResult) -> None:
    told = json.loads(json.dumps(result.to_dict()))
    page = result.report.read_text("utf-8")
    tables = dict(zip(("senses", "brackets"), result.tables(), strict=True))
    for name, table in tables.items():
        for column, way in enumerate(("forward", "both"), start=1):
            assert table.rows[-1][column] == percent(told[name][way]["accuracy_median"])
            numbers = [percent(number) for number in told[name][way]["by_group"].values()]
            assert [row[column] for row in table.rows[:-1]] == numbers
            assert all(f">{number}<" in page for number in numbers)
    assert page.count("<svg") == 4
    assert result.sentence in page


def test_progress_names_each_demo_and_training(lines: list[str], result: QuickstartResult) -> None:
    assert [line.partition(",")[0].partition(":")[0] for line in lines] == [
        *("senses", "one direction", "two directions"),
        *("brackets", "one direction", "two directions"),
    ]
    for name, contest in (("senses", result.senses), ("brackets", result.brackets)):
        assert {len(curve) for curve in contest.comparison.curves["both"]} == {TINY[name].epochs}


def test_a_place_that_cannot_be_used_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file: cannot be made a folder"):
        quickstart.run(tmp_path / "file", sizes=TINY)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.tex").write_text("mine")
    said: list[str] = []
    with pytest.raises(OutputError, match="holds no bundle"):
        quickstart.run(tmp_path, sizes=TINY, tell=said.append)
    assert said == []
    assert (tmp_path / "bundle" / "thesis.tex").read_text() == "mine"


@pytest.mark.slow
def test_two_directions_know_what_one_cannot(tmp_path: Path) -> None:
    result = quickstart.run(tmp_path)
    for contest in (result.senses, result.brackets):
        assert contest.spread("both").median > 0.98
        total = sum(n for _, n in contest.counts("forward").values())
        limit = contest.limit()
        assert limit is not None
        # three standard errors above what is possible in expectation
        assert contest.spread("forward").median < limit + 3 * np.sqrt(limit * (1 - limit) / total)
    one = result.senses.by_group("forward")
    assert one["left"] > 0.97
    assert one["right"] < 0.65
    assert one["both"] < 0.65
    assert result.brackets.spread("forward").median > 0.96


def test_one_quickstart_at_a_time_in_a_folder(tmp_path: Path) -> None:
    refused: list[str] = []

    def second(line: str) -> None:
        if not refused:
            with pytest.raises(OutputError, match="another training is at work") as caught:
                quickstart.run(tmp_path / "out", sizes=TINY)
            refused.append(str(caught.value))

    quickstart.run(tmp_path / "out", sizes=TINY, tell=second)
    assert len(refused) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bundle", "report.html"]
