"""Variants: cases made for merges against the equations, comparisons against their trials."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from birnn.demos import Size, run_variants
from birnn.metrics.significance import percent
from birnn.ragged import Ragged
from birnn.reference import CELLS, MERGES, Stack, gradients, run, run_saving
from birnn.studies.variants import (
    LEARNED,
    ONE,
    VariantComparison,
    opposed_halves,
    page,
    vanishing_half,
)
from birnn.studies.variants.cases import SCALES

TINY = Size(train=30, test=24, epochs=2)
WIDTHS = {"concat": 16, "sum": 8, "mean": 8, "product": 8} | {
    f"project to {width}": width for width in (2, 8, 16)
}


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(lines: list[str]) -> VariantComparison:
    settings = ["encoder.hidden_size=8"]
    return run_variants(
        "brackets", "merge", seeds=(1, 2), size=TINY, settings=settings, tell=lines.append
    )


def test_opposed_halves_cancel_in_a_sum_and_in_nothing_else() -> None:
    left = {row.merge: row for row in opposed_halves()}
    assert list(left) == list(MERGES)
    for merge, row in left.items():
        if merge in ("sum", "mean"):
            assert (row.largest, row.rank) == (0.0, 0)  # to the last bit
        else:
            assert row.rank == row.of > 0
            assert row.largest > 0.1


def test_a_half_that_is_the_other_s_opposite_is_one_for_every_input() -> None:
    """With recurrent weights too, in the middle of a palindrome: tanh is odd, states are."""
    stack = Stack("rnn_tanh", 2, 4, merge="sum")
    random = np.random.default_rng(1)
    parameters = {name: random.normal(size=shape) for name, shape in stack.shapes().items()}
    for name in [name for name in parameters if name.endswith("_reverse")]:
        of_forward = parameters[name.removesuffix("_reverse")]
        parameters[name] = of_forward if "_hh" in name and "weight" in name else -of_forward
    half = random.normal(size=(3, 2))
    palindrome = np.concatenate([half, random.normal(size=(1, 2)), half[::-1]])
    rows = run(Ragged(palindrome, np.array([7])), parameters, stack).output.values
    assert np.abs(rows[3]).max() == 0.0
    assert np.abs(rows[2]).max() > 0


def test_a_product_has_the_size_of_its_smaller_half_and_so_do_gradients() -> None:
    rows = vanishing_half()
    assert [row.scale for row in rows if row.merge == "sum"] == list(SCALES)
    for row in rows:
        if row.merge == "product":
            assert row.row == pytest.approx(row.scale, rel=1e-3)
            assert row.d_forward == pytest.approx(row.scale, rel=1e-3)
            assert (row.row == 0.0) == (row.d_forward == 0.0) == (row.scale == 0)
        else:
            assert row.d_forward == 1.0  # whatever the backward half is
        # tanh is all but linear there
        assert row.d_backward == pytest.approx(1, rel=1e-3)


def test_two_halves_of_zero_teach_a_product_nothing() -> None:
    stack = Stack("rnn_tanh", 2, 4, merge="product")
    zeros = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
    x = Ragged(np.random.default_rng(2).normal(size=(6, 2)), np.array([4, 0, 2]))
    outcome, saved = run_saving(x, zeros, stack)
    _, d, _ = gradients(saved, np.ones_like(outcome.output.values))
    assert all(not array.any() for array in d.values())


def test_a_mean_is_half_a_sum_in_rows_and_in_gradients() -> None:
    random = np.random.default_rng(3)
    x = Ragged(random.normal(size=(9, 3)), np.array([5, 0, 4]))
    stacks = [Stack("gru", 3, 4, merge=merge) for merge in ("sum", "mean")]
    parameters = {name: random.normal(size=shape) for name, shape in stacks[0].shapes().items()}
    d_NW = random.normal(size=(9, 4))
    total, mean = (run_saving(x, parameters, stack) for stack in stacks)
    np.testing.assert_array_equal(mean[0].output.values, total[0].output.values / 2)
    np.testing.assert_array_equal(mean[0].final, total[0].final / 2)
    of_sum, of_mean = (gradients(saved, d_NW)[1] for _, saved in (total, mean))
    for name, array in of_sum.items():
        np.testing.assert_allclose(of_mean[name], array / 2, rtol=1e-12)


def test_every_merge_is_trained_and_as_wide_as_it_should_be(
    found: VariantComparison, lines: list[str]
) -> None:
    assert {name: found.spec(name).stack.output_size for name in found.of} == {ONE: 8} | WIDTHS
    # Of halves side by side, W is what the head reads beside its bias.
    counts = {name: found.spec(name).parameter_count() for name in found.of}
    labels = found.spec("sum").head.size
    assert counts["concat"] - counts["sum"] == 8 * labels
    assert counts["sum"] == counts["mean"] == counts["product"]
    for width in (2, 8, 16):
        more = 16 * width + width + (width - 8) * labels
        assert counts[f"project to {width}"] - counts["sum"] == more
    assert len(lines) == found.models == 2 * len(found.of)
    assert [line.partition(", ")[0] for line in lines[2::2]] == list(WIDTHS)


def test_table_and_dictionary_tell_what_the_trials_scored(found: VariantComparison) -> None:
    told = json.loads(json.dumps(found.to_dict()))
    measured, *_ = found.tables()
    assert told["seeds"] == [1, 2]
    for row in measured.rows:
        comparison = found.of[row[0]]
        [trials] = comparison.trials.values()
        scores = sorted(trial.scores["accuracy"] for trial in trials)
        assert row[3:6] == [percent(np.mean(scores)), *(percent(score) for score in scores)]
        numbers = told["merge"][row[0]]
        assert numbers["accuracy_median"] == np.mean(scores)
        first = [
            next((e for e, score in enumerate(trial.curve, 1) if score >= LEARNED), None)
            for trial in trials
        ]
        assert row[6] == str(max(first) if None not in first else "–")
    medians = {name: told["merge"][name]["accuracy_median"] for name in WIDTHS}
    apart = 100 * (max(medians.values()) - min(medians.values()))
    assert f"the best merge is {apart:.1f} points above the worst" in told["verdicts"][0]


def test_the_page_shows_the_numbers(found: VariantComparison, tmp_path: Path) -> None:
    text = page.write(tmp_path / "page.html", found, name="brackets").read_text("utf-8")
    for name in found.of:
        assert f">{percent(found.spread(name).median)}<" in text
    assert set(found.by_way()["both"]) == set(found.of) - {ONE}
    assert text.count("<svg") == 1
    assert re.search(rf"\b{found.models} models trained and tested in", text)


def test_every_cell_is_compared_in_one_direction_and_in_two() -> None:
    found = run_variants("brackets", "cell", seeds=(1,), size=Size(30, 24, 1))
    assert list(found.of) == [name for cell in CELLS for name in (f"{cell}, one direction", cell)]
    for name, comparison in found.of.items():
        encoder = found.spec(name).encoder
        assert encoder.cell == name.partition(",")[0]
        assert encoder.bidirectional == (name in CELLS) == (comparison.ways == ("both",))
    medians = {name: found.spread(name).median for name in found.of}
    one = max(median for name, median in medians.items() if name not in CELLS)
    worst = min(medians[cell] for cell in CELLS)
    side = "above" if worst >= one else "below"
    assert f"{100 * abs(worst - one):.1f} points {side} one direction" in found.verdicts()[0]
    assert "at its best" in found.verdicts()[0]
    assert found.cases == []
    assert found.by_way() == {
        "forward": {cell: medians[f"{cell}, one direction"] for cell in CELLS},
        "both": {cell: medians[cell] for cell in CELLS},
    }
