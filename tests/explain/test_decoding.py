"""Attention by hand; marginals and the two best paths against the enumeration of all."""

# T steps, L labels

from __future__ import annotations

import itertools

import numpy as np
import pytest

from birnn.data import transitions
from birnn.explain.ablation import mean_ablation
from birnn.explain.decoding import attention, decoding
from birnn.explain.states import states
from birnn.runtime import Predictor


def all_paths(bundle, emissions_TL):
    """Every allowed tag sequence with its score, best first."""
    steps, size = emissions_TL.shape
    follow, start, end = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    if bundle.spec.head.decoder == "crf":
        follow, start, end = (
            bundle.tensors[f"head.crf.{name}"].astype(np.float64)
            for name in ("transitions", "start", "end")
        )
        labels = bundle.vocabularies["labels"]
        allowed = transitions(labels, bundle.spec.head.scheme)
        follow, start, end = (
            np.where(mask, scores, -np.inf)
            for mask, scores in zip(allowed, (follow, start, end), strict=True)
        )
    found = []
    for path in itertools.product(range(size), repeat=steps):
        score = start[path[0]] + end[path[-1]] + sum(emissions_TL[range(steps), path])
        score += sum(follow[pair] for pair in itertools.pairwise(path))
        if score > -np.inf:
            found.append((score, path))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("head", ["tags", "crf", "crf-iob2"])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_marginals_and_the_two_best_paths_are_those_of_all_paths(make, draw, head, steps):
    bundle = make("words", head, num_layers=2)
    sequence = draw(bundle, steps)
    found = decoding(bundle, sequence)
    paths = all_paths(bundle, mean_ablation(bundle, sequence).scores[0])
    scores = np.array([score for score, _ in paths])
    probabilities = np.exp(scores - np.logaddexp.reduce(scores))
    marginals = np.zeros((steps, 5))
    for probability, (_, path) in zip(probabilities, paths, strict=True):
        marginals[range(steps), path] += probability
    np.testing.assert_allclose(found.marginals, marginals, atol=1e-6)
    assert tuple(found.best) == paths[0][1]
    assert tuple(found.runner_up) == paths[1][1]
    assert found.score == pytest.approx(scores[0], rel=1e-6)
    assert found.lead == pytest.approx(scores[0] - scores[1], abs=1e-5)
    assert np.exp(found.log_probability) == pytest.approx(probabilities[0], rel=1e-5)
    assert np.exp(found.runner_up_log_probability) == pytest.approx(probabilities[1], rel=1e-5)
    assert found.crf == (head != "tags")


@pytest.mark.parametrize("head", ["tags", "crf", "crf-iob2"])
def test_it_is_what_the_model_predicts(make, draw, head):
    bundle = make("words", head, cell="gru", bidirectional=False)
    sequence = draw(bundle, 12)
    found, predictor = decoding(bundle, sequence), Predictor(bundle)
    assert [[found.labels[i] for i in found.best]] == predictor.predict([sequence])
    [probabilities] = predictor.predict_proba([sequence])
    np.testing.assert_allclose(found.marginals, probabilities, atol=1e-5)


def test_a_model_of_one_path_has_no_runner_up(make):
    bundle = make("symbols", "tags")
    spec = bundle.spec.model_copy(update={"head": bundle.spec.head.model_copy(update={"size": 1})})
    tensors = {
        name: value[:1] if name.startswith("head") else value
        for name, value in bundle.tensors.items()
    }
    one = type(bundle)(spec, {**bundle.vocabularies, "labels": ("O",)}, tensors)
    found = decoding(one, "ACG")
    assert found.runner_up is None
    assert found.log_probability == pytest.approx(0)
    assert found.lead == np.inf
    assert not mean_ablation(one, "ACG").balance().any()


def test_attention_is_the_softmax_of_what_each_row_scores(make, draw):
    bundle = make("words", "label-attention", num_layers=2, merge="mean", residual=True)
    sequence = draw(bundle, 7)
    rows_TW = states(bundle, sequence).output
    weight, bias, query = (
        bundle.tensors[f"head.attention.{name}"] for name in ("weight", "bias", "query")
    )
    raw_T = np.tanh(rows_TW @ weight.T + bias) @ query
    expected = np.exp(raw_T) / np.exp(raw_T).sum()
    np.testing.assert_allclose(attention(bundle, sequence), expected, rtol=1e-5)


def test_what_a_model_does_not_have_is_none(make, draw):
    for head in ("tags", "crf", "label-mean", "values"):
        bundle = make("symbols", head)
        assert attention(bundle, "ACG") is None
        assert (decoding(bundle, "ACG") is None) == (bundle.spec.head.kind != "tags")


@pytest.mark.parametrize("head", ["crf-iob2", "label-attention"])
def test_both_engines_agree(make, draw, on_engine, head):
    bundle = make("words", head)
    found = []
    for engine in ("native", "torch"):
        with on_engine(engine):
            sequence = draw(bundle, 9)
            numbers = attention(bundle, sequence)
            found.append(decoding(bundle, sequence).marginals if numbers is None else numbers)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)
