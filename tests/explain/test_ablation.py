"""Which direction decided: by hand where the head is linear, by the slow way where it is not."""

# T steps, H hidden units, L labels, C conditions

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from birnn.errors import ConfigError, ShapeError
from birnn.explain.ablation import MeanStates, mean_ablation
from birnn.explain.decoding import decoding
from birnn.explain.states import states
from birnn.runtime import Predictor
from birnn.runtime.ablation import CONDITIONS

MERGES = {
    "concat": lambda f, b: np.concatenate([f, b], axis=-1),
    "sum": lambda f, b: f + b,
    "mean": lambda f, b: (f + b) / 2,
    "product": lambda f, b: f * b,
}


def linear(bundle, name, x):
    return x @ bundle.tensors[f"head.{name}.weight"].T + bundle.tensors[f"head.{name}.bias"]


def pooled(bundle, rows_TW, final_W):
    head = bundle.spec.head
    if head.pooling == "attention":
        raw_T = (
            np.tanh(linear(bundle, "attention", rows_TW)) @ bundle.tensors["head.attention.query"]
        )
        weights_T = np.exp(raw_T) / np.exp(raw_T).sum()
        return weights_T @ rows_TW
    parts = {"last": final_W, "max": rows_TW.max(axis=0), "mean": rows_TW.mean(axis=0)}
    return np.concatenate([parts[part] for part in head.pooling.split("+")])


def test_of_a_linear_head_the_change_is_the_halves_way_to_their_mean(make, draw):
    """With concat the logit without a half changes by W_half (mean - h), exactly."""
    bundle = make("words", "tags")
    sequence = draw(bundle, 6)
    means = MeanStates.over(bundle, [draw(bundle, 5, seed=3), draw(bundle, 9, seed=4)])
    found = mean_ablation(bundle, sequence, means=means)
    own = states(bundle, sequence)
    weight_LW = bundle.tensors["head.linear.weight"]
    changes = [
        (mean_H - half_TH) @ columns_LH.T
        for mean_H, half_TH, columns_LH in zip(
            means.rows,
            (own.forward, own.backward),
            np.split(weight_LW, 2, axis=1),
            strict=True,
        )
    ]
    full, *without = found.scores
    np.testing.assert_allclose(without[0] - full, changes[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(without[1] - full, changes[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(without[2] - full, changes[0] + changes[1], rtol=1e-4, atol=1e-5)
    assert not found.own_means


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("pooling", ["last", "last+max+mean", "attention"])
def test_an_ablated_half_is_its_mean_at_every_step_and_at_the_end(make, draw, merge, pooling):
    bundle = make("symbols", f"label-{pooling}", merge=merge, cell="gru")
    sequence = draw(bundle, 5)
    means = MeanStates.over(bundle, [draw(bundle, 7, seed=2)])
    found = mean_ablation(bundle, sequence, means=means)
    own = states(bundle, sequence)
    for condition, directions in CONDITIONS.items():
        ablated = ("forward" in directions, "backward" in directions)
        halves = [
            np.broadcast_to(mean, half.shape) if gone else half
            for half, mean, gone in zip(
                (own.forward, own.backward), means.rows, ablated, strict=True
            )
        ]
        finals = [
            mean if gone else final
            for final, mean, gone in zip(
                (own.forward[-1], own.backward[0]), means.last, ablated, strict=True
            )
        ]
        vector = pooled(bundle, MERGES[merge](*halves), MERGES[merge](*finals))
        expected = linear(bundle, "linear", vector)
        at = found.conditions.index(condition)
        np.testing.assert_allclose(found.scores[at], expected, rtol=1e-4, atol=1e-5)
        assert found.answers[at] == expected.argmax()


def test_the_mean_states_are_the_mean_over_all_steps_and_all_ends(make, draw):
    bundle = make("vectors", "label-max", num_layers=2)
    sequences = [draw(bundle, steps, seed=steps) for steps in (4, 1, 6)]
    found = MeanStates.over(bundle, [*sequences, np.zeros((0, 3))])
    each = [states(bundle, sequence) for sequence in sequences]
    forward = np.concatenate([one.forward for one in each]).mean(axis=0)
    np.testing.assert_allclose(found.rows[0], forward, rtol=1e-5, atol=1e-7)
    backward = np.concatenate([one.backward for one in each]).mean(axis=0)
    np.testing.assert_allclose(found.rows[1], backward, rtol=1e-5, atol=1e-7)
    ends = np.mean([one.forward[-1] for one in each], axis=0)
    np.testing.assert_allclose(found.last[0], ends, rtol=1e-5, atol=1e-7)
    starts = np.mean([one.backward[0] for one in each], axis=0)
    np.testing.assert_allclose(found.last[1], starts, rtol=1e-5, atol=1e-7)
    assert (found.steps, found.sequences) == (11, 3)


def test_without_data_it_is_the_mean_over_the_sequences_own_steps(make, draw):
    bundle = make("words", "label-mean")
    sequence = draw(bundle, 6)
    found = mean_ablation(bundle, sequence)
    assert found.own_means
    # The mean over steps of a half that is everywhere its own mean is what it was.
    for scores in found.scores[1:]:
        np.testing.assert_allclose(scores, found.scores[0], rtol=1e-4, atol=1e-5)
    tagged = make("words", "tags")
    assert np.abs(np.diff(mean_ablation(tagged, sequence).scores, axis=0)).max() > 0.01


def test_one_step_is_its_own_mean_and_nothing_decides(make, draw):
    bundle = make("words", "tags")
    found = mean_ablation(bundle, draw(bundle, 1))
    np.testing.assert_allclose(found.losses()["without both"], 0, atol=1e-6)


@pytest.mark.parametrize("head", ["tags", "crf-iob2", "label-attention", "values"])
def test_the_full_condition_is_what_the_model_answers(make, draw, head):
    bundle = make("words", head)
    sequence = draw(bundle, 7)
    found = mean_ablation(bundle, sequence)
    [expected] = Predictor(bundle).predict([sequence])
    if head == "values":
        np.testing.assert_allclose(found.scores[0], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.answers, found.scores, rtol=1e-6)
        assert found.logits()["full"] == found.scores[0, 0]
        with pytest.raises(ConfigError, match="values have no runner-up"):
            found.balance()
        return
    full = found.answers[0]
    named = [found.outputs[i] for i in np.atleast_1d(full)]
    assert named == ([expected] if isinstance(expected, str) else expected)


def test_a_crf_answers_with_the_best_sequence_of_each_condition(make, draw):
    bundle = make("words", "crf-iob2")
    sequence = draw(bundle, 8)
    found = mean_ablation(bundle, sequence)
    assert np.array_equal(found.answers[0], decoding(bundle, sequence).best)
    # Legal in every condition: no I-PER (2) or I-LOC (4) but after its own B or I.
    for tags in found.answers:
        for before, now in zip([0, *tags[:-1]], tags, strict=True):
            assert now not in (2, 4) or before in (now, now - 1)


# ---------------------------------------------------------------------- margins


def test_margins_losses_and_balance(make, draw):
    bundle = make("words", "tags")
    found = mean_ablation(bundle, draw(bundle, 6))
    margins = found.margins()
    for condition in range(4):
        for t in range(6):
            scores, label = found.scores[condition, t].tolist(), found.answers[0, t]
            own = scores.pop(label)
            assert margins[condition, t] == pytest.approx(own - max(scores))
    losses = found.losses()
    assert list(losses) == ["without forward", "without backward", "without both"]
    np.testing.assert_allclose(losses["without forward"], margins[0] - margins[1])
    balance = found.balance()
    f, b = losses["without forward"], losses["without backward"]
    np.testing.assert_allclose(balance * (np.abs(f) + np.abs(b)), f - b, atol=1e-12)
    assert (np.abs(balance) <= 1).all()
    logits = found.logits()
    assert [logits["full"][t] for t in range(6)] == found.scores[0].max(axis=1).tolist()
    assert np.array_equal(found.logits("B-LOC")["without both"], found.scores[3, :, 3])
    with pytest.raises(ConfigError, match="target is 'B-LCO'"):
        found.logits("B-LCO")


@pytest.mark.parametrize(("deaf", "expected"), [("forward", -1.0), ("backward", 1.0)])
def test_a_head_that_hears_one_half_is_decided_by_it(make, draw, deaf, expected):
    bundle = make("words", "label-last")
    columns = slice(0, 3) if deaf == "forward" else slice(3, 6)
    weight = bundle.tensors["head.linear.weight"].copy()
    weight[:, columns] = 0
    bundle = replace(bundle, tensors={**bundle.tensors, "head.linear.weight": weight})
    means = MeanStates.over(bundle, [draw(bundle, 9, seed=5)])
    found = mean_ablation(bundle, draw(bundle, 5), means=means)
    assert found.losses()[f"without {deaf}"] == 0
    other = "backward" if deaf == "forward" else "forward"
    assert found.balance() == expected * np.sign(found.losses()[f"without {other}"])


def test_one_direction(make, draw):
    bundle = make("words", "crf", bidirectional=False)
    found = mean_ablation(bundle, draw(bundle, 4))
    assert found.conditions == ("full", "without forward")
    assert found.scores.shape == (2, 4, 5)
    assert set(found.balance().tolist()) <= {-1.0, 0.0, 1.0}


def test_mean_states_of_another_model(make, draw):
    one, other = make("symbols", "tags"), make("symbols", "tags", hidden_size=4)
    single = make("symbols", "tags", bidirectional=False)
    for model in (one, single):
        with pytest.raises(ShapeError, match=r"MeanStates\.over\(model, sequences\)"):
            mean_ablation(model, "ACG", means=MeanStates.over(other, ["AC"]))


def test_both_engines_agree(make, draw, on_engine):
    bundle = make("words", "crf-iob2", num_layers=2, merge="project", residual=True)
    found = []
    for engine in ("native", "torch"):
        with on_engine(engine):
            found.append(mean_ablation(bundle, draw(bundle, 6)).scores)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
