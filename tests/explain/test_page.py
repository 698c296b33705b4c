"""The page of `birnn explain`: of words, symbols and series; of tags, labels and values."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from birnn.bundle import Bundle
from birnn.explain import Explanation, explanation, page
from grids import sampled

LOGIT = "A logit is the score of a label before scores become probabilities"
EACH = {
    "words": "The {task} “pos” read a text of 7 words.",
    "symbols": "The {task} “pos” read a sequence of 7 symbols.",
    "vectors": "The {task} “pos” read a series of 7 steps in 3 channels.",
}
TASKS = {"crf": "tagger", "tags": "tagger", "label-attention": "classifier", "values": "regressor"}


@pytest.fixture
def paged(
    make: Callable[..., Bundle], draw: Callable[..., Any], tmp_path: Path
) -> Callable[..., tuple[Explanation, str]]:
    """The numbers of an answer of a random model, and the text of their page."""

    def build(inputs: str, head: str, steps: int = 7, **encoder: Any) -> tuple[Explanation, str]:
        bundle = make(inputs, head, **encoder)
        found = explanation(bundle, draw(bundle, steps))
        written = page.write(tmp_path / "page.html", found, name="pos").read_text("utf-8")
        body = re.sub(r"<style.*?</style>", "", written, flags=re.DOTALL)
        return found, " ".join(html.unescape(body).split())

    return build


@pytest.mark.parametrize(
    ("inputs", "head"),
    sampled(
        itertools.product(EACH, TASKS),
        [("words", "crf"), ("symbols", "label-attention"), ("vectors", "values")],
    ),
)
def test_the_page_names_what_was_read_and_explains_a_logit_once(
    paged: Callable[..., tuple[Explanation, str]], inputs: str, head: str
) -> None:
    found, text = paged(inputs, head)
    assert EACH[inputs].format(task=TASKS[head]) in text
    visible = re.sub(r"<[^>]*>", " ", text)
    regresses = head == "values"
    assert visible.count(LOGIT) == (not regresses)
    assert ("logit" in visible) == (not regresses)
    assert found.measured in visible
    if inputs != "words":
        assert " word " not in visible
        assert " words " not in visible
    if inputs == "vectors":
        # the series and what it adds are lines and bars over time, no row of step numbers
        assert "A series of 7 steps and 3 channels. Channel 1: from " in text
        assert 'class="coloured' not in text
        assert all(f">channel {number}<" in text for number in (1, 2, 3))
    else:
        assert 'class="coloured' in text


@pytest.mark.parametrize(
    ("head", "crf"), sampled([("crf", True), ("tags", False)], [("crf", True)])
)
def test_a_crf_s_logits_and_marginals_are_told_apart(
    paged: Callable[..., tuple[Explanation, str]], head: str, crf: bool
) -> None:
    found, text = paged("words", head)
    assert ("This model has a CRF, so a tag has two numbers that may disagree" in text) == crf
    assert ("probability (marginal)" in text) == crf
    assert ("logit (word alone)" in text) == crf
    decoded, at = found.decoding, found.position
    assert decoded is not None
    assert at is not None
    # the tile and the table show the same probability, which is the marginal
    number = found.ablation.outputs.index(found.target)
    assert f"<strong>{100 * decoded.marginals[at, number]:.1f} %</strong>" in text
    assert f">{100 * decoded.marginals[at, number]:.2f} %<" in text
    assert f">{found.ablation.scores[0][at, number]:.3f}<" in text


@pytest.mark.parametrize(
    ("merge", "bidirectional"), [("concat", True), ("sum", True), ("concat", False)]
)
def test_one_position_the_output_and_the_network_over_time_are_drawn(
    paged: Callable[..., tuple[Explanation, str]], merge: str, bidirectional: bool
) -> None:
    found, text = paged("words", "tags", merge=merge, bidirectional=bidirectional)
    assert found.position is not None
    at = f"'{found.tokens[found.position]}' ({found.position + 1})"
    assert f"How much each of 7 inputs moves the states at {at}." in text
    inputs = {"Forward": found.position + 1, "Backward": 7 - found.position, "Both": 7}
    for half, count in inputs.items():
        name = f"{half} {'halves' if half == 'Both' else 'half'}: most by"
        assert (name in text) == (bidirectional or half == "Forward")
        if name in text:
            assert f"by {count} of 7 inputs at all." in text.split(name)[1].split(name[:4])[0]
    told = found.to_dict()["known"]
    assert (told["step"], told["layer"]) == (found.position + 1, 0)
    counts = {
        name: sum(norm > 0 for norm in told[name]) for name in told.keys() - {"step", "layer"}
    }
    forward = found.position + 1
    both = {"forward": forward, "backward": 7 - found.position, "combined": 7}
    assert counts == (both if bidirectional else {"forward": forward, "combined": forward})
    width = found.spec.stack.output_size
    assert f"Output rows of {width} numbers for 7 words." in text
    # where the halves stand side by side, the output holds their activations already
    assert ("Every unit's activation" in text) == (merge != "concat")
    read = "all inputs" if bidirectional else "the inputs up to it"
    assert f"its output at each step depends on {read}." in text


def test_of_one_direction_no_second_half_is_spoken_of(
    paged: Callable[..., tuple[Explanation, str]],
) -> None:
    _, text = paged("words", "tags", bidirectional=False)
    assert "What the one direction knew" in text
    assert "without its states" in text
    for said in ("both halves", "backward half", "neither half", "without either"):
        assert said not in text


def test_unknown_tokens_stand_with_the_answer(
    paged: Callable[..., tuple[Explanation, str]],
) -> None:
    found, text = paged("symbols", "tags", 30)
    count = int(found.unknown.sum())
    assert count > 0
    assert f"The model does not know {count} of the 30 symbols: “?”." in text
    assert text.index("does not know") < text.index("Which direction decided")


@pytest.mark.slow  # test_explanation.py opens the page of a series
@pytest.mark.parametrize("head", TASKS)
def test_a_series_is_drawn_on_a_phone_and_a_desktop(
    paged: Callable[..., tuple[Explanation, str]], opened: Any, tmp_path: Path, head: str
) -> None:
    _, text = paged("vectors", head, 40)
    count = text.count("<svg")
    for width in (390, 1280):
        opened(tmp_path / "page.html", width=width).check(figures=count)
