"""Figures of decisions: bars, paths and words come from the numbers that went in."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex

from birnn.errors import DataError, ShapeError
from birnn.report import figures
from birnn.report.figures import INK, READERS, alt_text
from birnn.report.figures.style import MINUS, PLUS, TOOLTIP

logits = st.floats(-20, 20, allow_subnormal=False)
LEFT = {
    "full": READERS["both"].colour,
    "without backward": READERS["forward"].colour,
    "without forward": READERS["backward"].colour,
    "without both": INK,
}


@given(values=st.dictionaries(st.sampled_from(sorted(LEFT)), logits, min_size=1))
def test_what_is_left_of_a_model_gives_its_logit_a_bar_and_the_bar_its_colour(
    values: dict[str, float],
) -> None:
    figure = figures.deciding_direction(values, "yes")
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == [values[key] for key in LEFT if key in values]
    # a model of one direction has these two alone: no half is left where its states are taken
    one = {"full": READERS["forward"].colour, "without forward": INK}
    named = one if values.keys() == one.keys() else LEFT
    colours = [named[key].lower() for key in LEFT if key in values]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == colours


@given(adds=arrays(float, (2, 4), elements=logits))
def test_each_half_has_a_bar_at_each_word(adds: Any) -> None:
    figure = figures.deciding_by_position(*adds, list("abcd"))
    (axes,) = figure.axes
    for bars, values, key in zip(axes.containers, adds, ("forward", "backward"), strict=True):
        np.testing.assert_array_equal([bar.get_width() for bar in bars], values)
        rows = [bar.get_y() + bar.get_height() / 2 for bar in bars]
        assert [round(row) for row in rows] == [0, 1, 2, 3]
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {READERS[key].colour.lower()}
    for values, key in zip(adds, ("Forward", "Backward"), strict=True):
        assert f"{key} half: in sum {values.sum():.3g}" in alt_text(figure).replace("-0,", "0,")


def test_a_long_text_is_two_lines() -> None:
    adds = np.random.default_rng(0).normal(size=(2, 31))
    (axes,) = figures.deciding_by_position(*adds, ["w"] * 31).axes
    for line, values in zip(axes.lines, adds, strict=False):
        np.testing.assert_array_equal(line.get_ydata(), values)


@given(values=st.lists(logits, min_size=1, max_size=60))
def test_attribution_draws_the_strongest_words_in_their_order(values: list[float]) -> None:
    words = [f"w{n}" for n in range(len(values))]
    figure = figures.attribution(words, values, None, "yes")
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]
    kept = [int(bar.get_gid().split("(")[1].split(")")[0]) - 1 for bar in axes.patches]
    assert kept == sorted(kept)
    assert len(kept) == min(30, len(values))
    assert widths == [values[n] for n in kept]
    left_out = [abs(value) for n, value in enumerate(values) if n not in kept]
    assert max(left_out, default=0) <= min(abs(values[n]) for n in kept)
    said = f"the 30 strongest of {len(values)} words"
    assert (said in axes.get_xlabel()) == (said in alt_text(figure)) == (len(values) > 30)
    for bar in axes.patches:
        assert to_hex(bar.get_facecolor()) == (PLUS if bar.get_width() >= 0 else MINUS).lower()
    assert f"All words in sum: {np.sum(values):+.3g}" in alt_text(figure)


def test_occlusion_stands_beside_the_gradients() -> None:
    figure = figures.attribution("ab", [1.0, -2.0], [0.5, 3.0], "yes")
    diamonds = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    placed = {(x, y) for d in diamonds for x, y in zip(d.get_xdata(), d.get_ydata(), strict=True)}
    assert placed == {(0.5, 0), (3.0, 1)}
    assert "By occlusion: 'b' (2) +3, 'a' (1) +0.5." in alt_text(figure)


@given(raw=st.lists(st.floats(0.01, 1), min_size=1, max_size=40))
def test_attention_is_drawn_in_percent_beside_an_even_one(raw: list[float]) -> None:
    weights = np.array(raw) / sum(raw)
    figure = figures.attention_weights([f"w{n}" for n in range(len(raw))], weights)
    (axes,) = figure.axes
    widths = sorted((bar.get_width() for bar in axes.patches), reverse=True)
    np.testing.assert_allclose(widths, 100 * np.sort(weights)[::-1][:30])
    assert axes.lines[0].get_xdata() == [100 / len(raw)] * 2


@given(seed=st.integers(0, 2**20), steps=st.integers(1, 5), labels=st.integers(2, 30))
def test_paths_go_through_the_rows_of_their_labels(seed: int, steps: int, labels: int) -> None:
    random = np.random.default_rng(seed)
    marginals = random.dirichlet(np.full(labels, 0.05), steps)
    best, second = random.integers(0, labels, (2, steps)).tolist()
    names = [f"L{n}" for n in range(labels)]
    figure = figures.tag_marginals(["w"] * steps, names, marginals, best, second)
    axes = figure.axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    lines = {line.get_label(): line for line in axes.lines}
    path = lines["best path"]
    assert [rows[round(y)] for y in path.get_ydata()] == [names[n] for n in best]
    differing = [step for step in range(steps) if best[step] != second[step]]
    if differing:
        marks = lines["where the second best differs"]
        assert list(marks.get_xdata()) == differing
        assert [rows[round(y)] for y in marks.get_ydata()] == [names[second[s]] for s in differing]
    # a label without a row is nowhere probable, unless there are too many
    hidden = [n for n in range(labels) if names[n] not in rows]
    assert len(rows) <= 24
    if len(rows) < 24:
        assert all(marginals[:, n].max() <= 0.005 for n in hidden)
    assert (f"{len(hidden)} improbable labels left out" in axes.get_xlabel()) == bool(hidden)
    for patch in axes.patches:
        if (patch.get_gid() or "").startswith(TOOLTIP):
            row, step = round(patch.get_y() + 0.47), round(patch.get_x() + 0.47)
            assert patch.get_alpha() == marginals[step, names.index(rows[row])]
    assert ("differs nowhere" in alt_text(figure)) == (not differing)


def test_of_a_long_text_the_words_around_the_least_sure_are_drawn() -> None:
    steps, unsure = 500, 321
    marginals = np.tile([0.9, 0.1], (steps, 1))
    marginals[unsure] = [0.45, 0.55]
    best = marginals.argmax(axis=1)
    figure = figures.tag_marginals([f"w{n}" for n in range(steps)], "XY", marginals, best)
    axes = figure.axes[0]
    path = {line.get_label(): line for line in axes.lines}["best path"]
    found = re.search(r"Drawn are words (\d+) to (\d+), around", alt_text(figure))
    assert found
    first, last = int(found[1]), int(found[2])
    assert first <= unsure + 1 <= last
    assert last - first + 1 == len(path.get_ydata()) == 60
    np.testing.assert_array_equal(path.get_ydata(), best[first - 1 : last])
    tips = [patch.get_gid() for patch in axes.patches if patch.get_gid()]
    assert f"{TOOLTIP}Y at 'w{unsure}' ({unsure + 1}): 55.0 %" in tips


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: figures.deciding_direction({}, "x"), DataError, "at least one logit"),
        (lambda: figures.deciding_direction({"without": 1}, "x"), DataError, "'without' says"),
        (lambda: figures.deciding_by_position([1.0], [1.0, 2.0], "a"), DataError, "d_T has 2"),
        (lambda: figures.attribution("a", [1.0], [1.0, 2.0], "x"), DataError, "occlusion_T has 2"),
        (lambda: figures.attribution("", [], None, "x"), DataError, "no word"),
        (lambda: figures.attention_weights("ab", [1.0]), DataError, "weights_T has 1"),
        (lambda: figures.tag_marginals("a", "XY", [[1.0]], [0]), ShapeError, r"\(1, 2\)"),
        (lambda: figures.tag_marginals("a", "XY", [[0, 1]], [2]), DataError, "there are 2"),
        (lambda: figures.tag_marginals("a", "XY", [[0, 1]], [0, 1]), DataError, "best has 2"),
    ],
)  # fmt: skip
def test_bad_calls_are_refused(draw: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw()
