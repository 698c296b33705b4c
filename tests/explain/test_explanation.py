"""What an explanation is asked for, what it leaves out, and its page in a browser."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle
from birnn.data.gaps import GAP
from birnn.errors import DataError, UsageError
from birnn.explain import explanation, mean_ablation, page
from birnn.explain.ablation import MeanStates
from birnn.explain.explanation import LONG, Explanation
from birnn.runtime import Predictor
from birnn.tasks import Gaps


@pytest.fixture
def with_means(make: Callable[..., Bundle]) -> Bundle:
    bundle = make("words", "crf-iob2")
    random = np.random.default_rng(5)
    shapes = bundle.spec.mean_states()
    means = {name: random.standard_normal(s).astype("f4") for name, s in shapes.items()}
    return Bundle(bundle.spec, bundle.vocabularies, bundle.tensors, mean_states=means)


@pytest.mark.parametrize("inputs", ["words", "symbols", "vectors"])
def test_every_head_is_explained(
    make: Callable[..., Bundle], draw: Any, heads: tuple[str, ...], inputs: str, tmp_path: Path
) -> None:
    for head in heads:
        bundle = make(inputs, head)
        given = draw(bundle, 9)
        found = explanation(bundle, given)
        [answer] = Predictor(bundle).predict([given])
        if head.startswith("values"):
            assert found.answer == pytest.approx(answer, rel=1e-4, abs=1e-5)
            assert found.probability is None
        else:
            assert found.answer == answer
        json.dumps(found.to_dict(), allow_nan=False)
        weighs = getattr(bundle.spec.head, "pooling", "") == "attention"
        assert (found.attention is not None) == weighs
        assert (found.decoding is not None) == bundle.spec.head.per_step
        if head.startswith("label"):
            [chances] = Predictor(bundle).predict_proba([given])
            assert found.probability == pytest.approx(float(max(chances)), abs=1e-5)


def test_the_least_sure_step_is_asked_by_itself(make: Callable[..., Bundle], draw: Any) -> None:
    bundle = make("words", "crf")
    given = draw(bundle, 7)
    found = explanation(bundle, given)
    [marginals] = Predictor(bundle).predict_proba([given])
    labels = bundle.vocabularies["labels"]
    chances = [row[labels.index(tag)] for row, tag in zip(marginals, found.answer, strict=True)]
    assert found.position == int(np.argmin(chances))
    assert found.target == found.answer[found.position]
    assert found.probability == pytest.approx(min(chances), abs=1e-5)


def test_steps_and_targets_are_named(make: Callable[..., Bundle]) -> None:
    bundle = make("words", "tags")
    words = ["the", "bank", "of", "the", "river"]
    assert explanation(bundle, words, step=5).position == 4
    assert explanation(bundle, words, step="5").position == 4
    with pytest.raises(UsageError, match=r"'the' stands at steps 1 and 4\. Give the number"):
        explanation(bundle, words, step="the")
    with pytest.raises(UsageError, match=r"at steps 1, 2, .*, 10, \.\.\. and 900\. Give"):
        explanation(bundle, ["the"] * 900, step="the")
    other = explanation(bundle, words, step="bank", target="I-LOC")
    assert other.target == "I-LOC"
    [marginals] = Predictor(bundle).predict_proba([words])
    assert other.probability == pytest.approx(float(marginals[1][4]), abs=1e-5)
    for step in ("rivr", 0, 6, "-1", "६", "9" * 5000, 10**5000, -(10**5000)):
        with pytest.raises(UsageError, match="Give a number from 1 to 5"):
            explanation(bundle, words, step=step)
    with pytest.raises(UsageError, match="no answer 'B-LOK': did you mean B-LOC"):
        explanation(bundle, words, target="B-LOK")
    with pytest.raises(UsageError, match="this model answers once"):
        explanation(make("words", "label-max"), words, step=1)
    with pytest.raises(DataError, match="no steps"):
        explanation(bundle, [])


def test_ablated_halves_take_the_means_of_training_then_of_data(with_means: Bundle) -> None:
    words = ["the", "bank", "of", "the", "river"]
    found = explanation(with_means, words).ablation
    assert not found.own_means
    assert found.means.steps is None
    np.testing.assert_allclose(found.means.rows, with_means.mean_states["rows"])
    np.testing.assert_allclose(found.means.last, with_means.mean_states["last"])
    data = [["bank"], ["the", "river"]]
    asked = explanation(with_means, words, data=data).ablation
    wanted = mean_ablation(with_means, words, means=MeanStates.over(with_means, data))
    np.testing.assert_array_equal(asked.scores, wanted.scores)
    bare = Bundle(with_means.spec, with_means.vocabularies, with_means.tensors)
    assert explanation(bare, words).ablation.own_means


def left_out(found: Explanation) -> list[str]:
    return [line.partition(":")[0] for line in found.left_out]


def test_what_a_model_does_not_have_is_left_out_and_named(
    make: Callable[..., Bundle], draw: Any, tmp_path: Path
) -> None:
    one = make("symbols", "tags", bidirectional=False, cell="rnn_tanh")
    found = explanation(one, draw(one, 10))
    assert found.correlation is None
    assert found.saturation is None
    assert left_out(found) == [
        "Transitions between tags",
        "Correlation of forward and backward units",
        "Saturation of gates",
    ]
    text = page.write(tmp_path / "page.html", found, name="m").read_text("utf-8")
    assert "Not on this page" in text
    assert all(line in text for line in found.left_out)
    whole = make("words", "crf")
    assert left_out(explanation(whole, draw(whole, 10))) == []
    assert left_out(explanation(whole, draw(whole, 1))) == [
        "Correlation of forward and backward units"
    ]


def test_long_texts_are_estimated_and_say_so(make: Callable[..., Bundle], draw: Any) -> None:
    bundle = make("words", "label-last", hidden_size=20)
    found = explanation(bundle, draw(bundle, LONG + 1))
    assert found.occlusion is None
    assert found.flows[0].probes is not None
    assert {"Occlusion", "Exact influence"} <= set(left_out(found))


def test_stacks_show_their_first_and_their_last_layer(
    make: Callable[..., Bundle], draw: Any
) -> None:
    bundle = make("symbols", "tags", num_layers=3)
    first, last = explanation(bundle, draw(bundle, 6)).flows
    assert (first.layer, last.layer) == (0, 2)
    assert np.triu(first.forward, 1).max() == 0
    assert np.triu(last.forward, 1).max() > 0


def test_layers_of_their_own_directions(
    make: Callable[..., Bundle], draw: Any, tmp_path: Path
) -> None:
    mixed = make("words", "tags", directions=("forward", "both", "forward"))
    found = explanation(mixed, draw(mixed, 10))
    assert left_out(found) == [
        "Transitions between tags",
        "Correlation of forward and backward units",
    ]
    first, last = found.flows
    assert (first.backward, last.backward) == (None, None)
    assert np.triu(first.forward, 1).max() == 0
    assert np.triu(last.forward, 1).max() > 0
    text = page.write(tmp_path / "page.html", found, name="m").read_text("utf-8")
    assert "What the one direction knew" in text
    assert "Layer 1. " in text
    assert "This layer reads rows that know both sides" in text


def test_unknown_tokens_are_counted(make: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make("words", "tags")
    found = explanation(bundle, ["the", "zorgle", "bank", "zorgle"])
    assert found.unknown.tolist() == [False, True, False, True]
    text = page.write(tmp_path / "page.html", found, name="m").read_text("utf-8")
    assert "The model does not know 2 of the 4 words: “zorgle”." in text


CASES = {
    "crf of words": ("words", "crf-iob2", {}, 12),
    "one word": ("words", "tags", {}, 1),
    "attention, one direction": ("symbols", "label-attention", {"bidirectional": False}, 20),
    "values of series, stacked": ("vectors", "values", {"num_layers": 2, "merge": "sum"}, 15),
    "a thousand words": ("words", "crf", {}, 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize(("case", "dark"), list(itertools.product(CASES, (False, True))))
def test_the_page_opens_in_a_browser(
    make: Callable[..., Bundle], draw: Any, opened: Any, tmp_path: Path, case: str, dark: bool
) -> None:
    inputs, head, encoder, steps = CASES[case]
    bundle = make(inputs, head, **encoder)
    found = explanation(bundle, draw(bundle, steps))
    path = tmp_path / f"explain-{case.replace(' ', '-').replace(',', '')}.html"
    page.write(path, found, name="model/")
    text = path.read_text("utf-8")
    opened(path, dark=dark).check(figures=text.count("<svg"))
    assert text.count("<svg") >= 8
    assert text.count("<svg") == text.count('role="img"')


def test_a_gap_is_explained_and_the_other_gaps_are_named(
    make: Callable[..., Bundle], tmp_path: Path
) -> None:
    tagger = make("words", "tags")
    spec = tagger.spec.model_copy(update={"head": Gaps(size=5)})
    words = (*tagger.vocabularies["words"][:-1], GAP)
    bundle = Bundle(spec, {**tagger.vocabularies, "words": words}, tagger.tensors)
    text = ["the", GAP, "of", "river", GAP, "the", "bank", "of", "the", "river"]
    [filled] = Predictor(bundle).predict([text])
    for step, position, word in ((None, 1, filled[0]), (5, 4, filled[1])):
        found = explanation(bundle, text, step=step)
        assert (found.position, found.target) == (position, word)
        assert found.answer == ["", filled[0], "", "", filled[1], *[""] * 5]
        assert found.to_dict()["answer"] == filled
        [chances] = Predictor(bundle).predict_proba([text])
        assert found.probability == pytest.approx(chances[int(step is not None)].max(), abs=1e-5)
        assert found.decoding is None
        assert any("is explained, of those at 2, 5." in line for line in found.left_out)
        # The forward half has read the left side alone, the backward half the right side.
        known = found.known
        assert not known.norms["forward"][position + 1 :].any()
        assert not known.norms["backward"][:position].any()
    assert "the word at step 5" in page.write(tmp_path / "gap.html", found, name="m").read_text()
    for given, message in ((3, "step 3, 'of', is no gap"), (GAP, "stands at steps 2 and 5")):
        with pytest.raises(UsageError, match=message):
            explanation(bundle, text, step=given)
    with pytest.raises(UsageError, match="the text has no gap to explain"):
        explanation(bundle, ["the", "bank"])
