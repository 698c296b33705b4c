"""Demos: every one runs, its numbers are its models', and its page shows them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape

from birnn.demos import DEMOS, DemoResult, Size, pages, run, senses
from birnn.demos.runner import data_of, pick
from birnn.errors import DataError, UsageError
from birnn.metrics.significance import percent
from birnn.report import Sentences, Strips
from birnn.report.figures.style import number
from birnn.runtime import Predictor
from birnn.tasks import TASKS
from grids import sampled

TINY = Size(train=30, test=24, epochs=1)


@pytest.mark.parametrize("name", sampled(DEMOS, set(DEMOS) - {"frames"}))
def test_every_demo_groups_every_answer_that_counts(name: str) -> None:
    data = data_of(DEMOS[name], TINY, 3)
    members = [member for group in data.groups.values() for member in group]
    assert len(members) == len(set(members)) > 0
    if data.bound:
        assert list(data.bound) == list(data.groups)
        assert all(0 <= share <= 1 for share in data.bound.values())
    sets = data.sets
    assert (len(sets.train), len(sets.test)) == (TINY.train, TINY.test)
    assert sets.dev
    if name != "senses":  # there only the ambiguous words count
        per_step = TASKS[DEMOS[name].task].per_step
        steps = [len(e.target) if per_step else 1 for e in sets.test]
        assert len(members) == sum(steps)
    again = data_of(DEMOS[name], TINY, 3)
    assert again.sets.train == sets.train
    assert again.sets.test == sets.test


@pytest.mark.parametrize("name", DEMOS)
def test_every_demo_runs_and_its_page_shows_its_numbers(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    shown = run(name, seeds=(1,), size=TINY, tell=said.append)
    told = json.loads(json.dumps(shown.contest.to_dict()))
    page = pages.write(tmp_path / "page.html", shown).read_text("utf-8")
    for way in ("forward", "both"):
        assert 0 <= told[way]["accuracy_min"] <= told[way]["accuracy_max"] <= 1
        assert f">{percent(told[way]['accuracy_median'])}<" in page
        [losses] = told[way]["loss_by_epoch"]
        [[dev]] = [told[way][key] for key in told[way] if key.startswith("dev_")]
        assert len(losses) == len(dev) == TINY.epochs
        assert f"first {number(losses[0])}, last {number(losses[-1])}." in page
    assert page.count("<svg") >= 2
    # A line was said of each training.
    assert re.search(rf"\b{len(said)} models trained and tested in", page)
    assert escape(shown.demo.title) in page


@pytest.mark.parametrize(
    "name",
    sampled(["brackets", "senses", "sentiment", "frames", "residues"], ["sentiment", "residues"]),
)
def test_examples_are_drawn_without_regard_to_the_answers(name: str) -> None:
    shown = run(name, seeds=(1,), size=TINY)
    comparison = shown.contest.comparison
    swapped = dict(
        zip(comparison.trials, list(comparison.trials.values())[::-1], strict=True)
    )  # each way has the answers of the other
    other = replace(
        shown, contest=replace(shown.contest, comparison=replace(comparison, trials=swapped))
    )

    def sequences(given: DemoResult) -> list[Any]:
        _, _, said, *parts = pages.contest_parts(given)
        assert said.text.startswith("Drawn at random from the test set, not by what the models")
        return [
            [item.words for item in part.sentences]
            if isinstance(part, Sentences)
            else [(item.symbols, item.gold) for item in part.strips]
            if isinstance(part, Strips)
            else part.caption
            for part in parts
        ]

    assert sequences(shown) == sequences(other)


def test_every_answer_of_a_group_may_be_drawn() -> None:
    chosen = {at for name in range(300) for at in pick(10, 2, of=str(name))}
    assert chosen == set(range(10))


def test_the_kept_model_is_the_one_that_was_counted(tmp_path: Path) -> None:
    shown = run("senses", seeds=(2,), size=TINY, keep={"both": tmp_path / "kept"})
    model = Predictor.load(tmp_path / "kept")
    answers = shown.contest.comparison.trials["both"][0].answers
    test = senses.generate(TINY.test, 1, split="test")
    assert model.predict([c.example.inputs for c in test]) == [list(tags) for tags in answers]


def test_own_files_take_the_place_of_the_drawn_data(tmp_path: Path) -> None:
    for name, lines in (("train", "a\tx\nb\ty\n\n" * 12), ("test", "b\ty\na\tx\nc\tx\n\n" * 10)):
        (tmp_path / f"{name}.tsv").write_text(lines)
    files = {role: tmp_path / f"{role}.tsv" for role in ("train", "test")}
    shown = run("residues", seeds=(1,), files=files, epochs=1)
    counts = shown.contest.counts("both")
    assert sum(total for _, total in counts.values()) == 30
    assert shown.contest.limit() is None
    assert shown.contest.grouping == "position"
    pages.write(tmp_path / "page.html", shown)
    with pytest.raises(DataError):
        run("residues", files={"train": tmp_path / "none.tsv", "test": files["test"]})


@pytest.mark.parametrize("name", ["senses", "sentiment", "brackets"])
def test_the_page_of_own_files_needs_nothing_of_the_demo_s_own(name: str, tmp_path: Path) -> None:
    lines = {
        "tagger": "b\ty\na\tx\nc\tx\n\n" * 12,
        "classifier": "text,label\n" + "a good one,pos\na bad one,neg\n" * 12,
    }[DEMOS[name].task]
    file = tmp_path / ("own.csv" if "," in lines else "own.tsv")
    file.write_text(lines)
    shown = run(
        name,
        seeds=(1,),
        files={"train": file, "test": file},
        epochs=1,
        settings=["encoder.hidden_size=4", *(["head.pooling=max"] if name == "sentiment" else [])],
    )
    page = pages.write(tmp_path / "page.html", shown).read_text("utf-8")
    assert f">{percent(shown.contest.spread('both').median)}<" in page


def test_settings_win_over_the_demo_s_own() -> None:
    shown = run("brackets", seeds=(1,), size=TINY, settings=["encoder.hidden_size=5"], epochs=2)
    for trials in shown.contest.comparison.trials.values():
        assert trials[0].spec.encoder.hidden_size == 5
        assert trials[0].epochs == 2


@pytest.mark.parametrize(
    "chosen", [{"epochs": 2}, {"settings": ["training.epochs=2"]}], ids=["epochs", "settings"]
)
def test_epochs_are_those_of_forecasts_too(chosen: dict[str, Any]) -> None:
    said: list[str] = []
    shown = run("prices", seeds=(1,), size=TINY, tell=said.append, **chosen)
    assert shown.forecast is not None
    assert len(said) == shown.models == 4
    assert all(": 2 epochs in " in line for line in said)
    assert shown.tables()[-1].title == shown.forecast.tables()[-1].title
    assert shown.to_dict()["forecast"] == shown.forecast.to_dict()
    assert shown.verdicts()[-1] == shown.forecast.verdicts()[0]


def test_variants_are_compared_but_for_what_the_user_chose() -> None:
    every = run("sentiment", seeds=(1,), size=TINY)
    assert set(every.variants) == {"last", "max", "mean", "last+max+mean", "attention"}
    for pooling, contest in every.variants.items():
        for trials in contest.comparison.trials.values():
            assert trials[0].spec.head.pooling == pooling
    chosen = run("sentiment", seeds=(1,), size=TINY, settings=["head.pooling=max"])
    assert chosen.variants == {}
    assert chosen.contest.comparison.trials["both"][0].spec.head.pooling == "max"


def test_an_unknown_demo_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no demo 'braket': did you mean brackets"):
        run("braket")


@pytest.mark.slow
def test_brackets_as_promised() -> None:
    contest = run("brackets", seeds=(1, 2, 3)).contest
    assert contest.spread("both").median == 1.0
    assert abs(contest.spread("forward").median - 0.98) < 0.01
    limit = contest.limit()
    assert limit is not None
    counted = sum(total for _, total in contest.counts("forward").values()) / 3
    assert contest.spread("forward").most < limit + 3 * np.sqrt(limit * (1 - limit) / counted)


@pytest.mark.slow
def test_one_direction_is_worse_at_numbers_whose_places_are_decided_later() -> None:
    contest = run("numbers", seeds=(1, 2, 3)).contest
    one, two = (contest.by_group(way) for way in contest.ways)
    assert two["plain"] > one["plain"] + 0.2
    assert two["plain"] - one["plain"] > two["zeros in front"] - one["zeros in front"]
    assert min(two.values()) > 0.9
    assert all(test.significant for test in contest.comparison.tests()["symbols"])
