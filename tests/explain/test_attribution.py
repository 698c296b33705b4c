"""Attribution: completeness, the slow integral, and what the laws of reading forbid."""

# T steps, W width of an input row, K points of the path

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from birnn.bundle import Bundle
from birnn.errors import ConfigError
from birnn.explain.ablation import mean_ablation
from birnn.explain.attribution import integrated_gradients, occlusion
from birnn.explain.inspected import InspectedModel
from birnn.explain.reading import Reading
from birnn.models import build
from birnn.ragged import Ragged

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
MERGES = ("concat", "sum", "mean", "product", "project")
HEADS = (
    *("tags", "crf", "crf-iob2", "values", "values-attention", "tags-hidden", "label-hidden"),
    *(f"label-{name}" for name in ("last", "max", "mean", "last+max+mean", "attention")),
)


def position_of(bundle, position):
    return position if bundle.spec.head.kind == "tags" else None


def assert_complete(found):
    change = found.logit - found.baseline
    assert abs(change) > 1e-3, "a change that is hardly one proves nothing"
    assert found.gap <= 0.01
    assert abs(found.steps.sum() - change) <= 0.01 * abs(change)
    np.testing.assert_allclose(found.components.sum(axis=1), found.steps, rtol=1e-9, atol=1e-12)
    parts = [found.forward, found.backward, found.direct]
    together = np.sum([part for part in parts if part is not None], axis=0)
    np.testing.assert_allclose(together, found.steps, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("inputs", ["words", "symbols", "vectors"])
def test_attributions_sum_to_the_logits_change(make, draw, inputs, head):
    bundle = make(inputs, head)
    sequence = draw(bundle, 6)
    for target in range(2):
        assert_complete(
            integrated_gradients(bundle, sequence, target=target, position=position_of(bundle, 2))
        )


@pytest.mark.parametrize("head", ["tags-hidden", "label-last"])
def test_through_a_dense_layer_each_channel_has_its_own(make, draw, head):
    bundle = make("vectors+dense", head, residual=True)
    sequence = draw(bundle, 5)
    found = integrated_gradients(bundle, sequence, target=1, position=position_of(bundle, 2))
    assert_complete(found)
    assert found.components.shape == (5, 3)
    # Where every channel has its mean, every row is the baseline's: there is nothing to credit.
    mean = np.tile(bundle.tensors["inputs.mean"], (5, 1))
    at_mean = occlusion(bundle, mean, target=1, position=position_of(bundle, 2))
    assert at_mean.logit == pytest.approx(found.baseline, rel=1e-6)
    np.testing.assert_allclose(at_mean.steps, 0, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("head", ["crf", "label-last+max+mean"])
def test_of_every_cell_and_merge(make, draw, cell, merge, head):
    bundle = make("symbols", head, cell=cell, merge=merge, num_layers=2, residual=True)
    found = integrated_gradients(bundle, draw(bundle, 5), target=1, position=position_of(bundle, 3))
    assert_complete(found)
    assert found.direct is not None


@pytest.mark.parametrize("head", ["tags", "label-attention"])
@pytest.mark.parametrize("directions", [("forward",), ("both", "forward")])
def test_of_one_direction_and_of_one_step(make, draw, head, directions):
    bundle = make("symbols", head, directions=directions)
    for steps in (1, 5):
        sequence = ["A", *draw(bundle, steps - 1)]
        found = integrated_gradients(
            bundle, sequence, target=0, position=position_of(bundle, steps - 1)
        )
        assert_complete(found)
        assert found.backward is None
        assert found.direct is None
        np.testing.assert_allclose(found.forward, found.steps)


@pytest.mark.parametrize("head", ["tags", "label-last+max+mean", "values-attention"])
def test_the_slow_integral_agrees(make, draw, head):
    """Integrated gradients by the whole network and a midpoint rule of many points."""
    bundle = make("words", head, cell="gru", num_layers=2, merge="sum")
    sequence = draw(bundle, 4)
    position = position_of(bundle, 1)
    found = integrated_gradients(
        bundle, sequence, target=1, position=position, tolerance=1e-4, most_points=4096
    )
    network = build(bundle.spec, labels=bundle.vocabularies.get("labels"))
    network.load_tensors(bundle.tensors)
    network.eval()
    inspected = InspectedModel.of(bundle)
    x_TW, base_TW = Reading.of(inspected, sequence).rows.values, inspected.baseline().expand(4, -1)
    points = 4000
    share_K = (torch.arange(points) + 0.5) / points
    path = (base_TW + share_K[:, None, None] * (x_TW - base_TW)).requires_grad_()
    encoded = network.encoder(Ragged(path.reshape(4 * points, -1), np.full(points, 4)))
    scores = network.head(encoded.output, encoded.final)
    scores = network.head.decode(scores, encoded.output) if head.startswith("values") else scores
    logits = scores[:, 1] if position is None else scores.reshape(points, 4, -1)[:, position, 1]
    [slope] = torch.autograd.grad(logits.sum(), path)
    expected = ((x_TW - base_TW) * slope.double().mean(dim=0)).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.components, expected, atol=2e-3 * scale)


# ---------------------------------------------------------------------- directions


def test_a_half_is_credited_with_nothing_that_it_has_not_read(make, draw):
    bundle = make("words", "crf", merge="product")
    found = integrated_gradients(bundle, draw(bundle, 7, seed=2), target=2, position=3)
    assert not found.forward[4:].any()
    assert not found.backward[:3].any()
    assert found.forward[:4].any()
    assert found.backward[3:].any()


@pytest.mark.parametrize("head", ["tags", "label-last+max+mean"])
def test_a_halfs_part_is_the_attribution_by_a_head_that_hears_it_alone(make, draw, head):
    bundle = make("symbols", head)
    sequence, position = draw(bundle, 5), position_of(bundle, 2)
    settings = {"target": 1, "position": position, "tolerance": 1e-4, "most_points": 4096}
    whole = integrated_gradients(bundle, sequence, **settings)
    for part, heard in (("forward", 0), ("backward", 1)):
        weight_LW = bundle.tensors["head.linear.weight"].copy()
        weight_LW.reshape(5, -1, 2, 3)[:, :, 1 - heard] = 0
        tensors = {**bundle.tensors, "head.linear.weight": weight_LW}
        deaf = dataclasses.replace(bundle, tensors=tensors)
        alone = integrated_gradients(deaf, sequence, **settings)
        scale = np.abs(whole.steps).max()
        np.testing.assert_allclose(getattr(whole, part), alone.steps, atol=2e-3 * scale)


def test_an_unknown_word_of_the_baselines_row_adds_nothing(make):
    bundle = make("symbols", "label-mean")
    found = integrated_gradients(bundle, ["A", "?", "C", "?"], target=0)
    assert not found.steps[[1, 3]].any()
    assert found.steps[[0, 2]].all()


def test_where_nothing_changes_nothing_is_attributed(make):
    found = integrated_gradients(make("symbols", "label-mean"), ["?", "?"], target=0)
    assert found.logit == found.baseline
    assert not found.steps.any()
    assert found.gap == 0


# ---------------------------------------------------------------------- what is asked


def test_without_a_target_it_is_what_the_model_answers(make, draw):
    tagger, classifier = make("words", "crf-iob2"), make("words", "label-max")
    sequence = draw(tagger, 5)
    answers = mean_ablation(tagger, sequence).answers[0]
    for position in (0, 3, -1):
        assert occlusion(tagger, sequence, position=position).target == answers[position]
    found = integrated_gradients(classifier, sequence)
    assert found.target == mean_ablation(classifier, sequence).answers[0]
    assert found.logit == pytest.approx(
        mean_ablation(classifier, sequence).scores[0].max(), rel=1e-5
    )
    named = integrated_gradients(classifier, sequence, target="I-PER")
    assert named.target == 2


def test_it_stops_where_it_is_told_to_and_says_what_was_reached(make, draw):
    bundle = make("vectors", "label-max", cell="rnn_relu")
    sequence = draw(bundle, 8)
    few = integrated_gradients(bundle, sequence, target=1, tolerance=1e-9, most_points=8)
    more = integrated_gradients(bundle, sequence, target=1, tolerance=1e-9, most_points=2048)
    assert few.points == 8
    assert 8 < more.points <= 2048
    assert more.gap < few.gap
    change = few.logit - few.baseline
    assert few.gap == pytest.approx(abs(few.steps.sum() - change) / abs(change))
    for settings in ({"tolerance": 0}, {"most_points": 7}):
        with pytest.raises(ConfigError, match="must be above 0, and 8 or more"):
            integrated_gradients(bundle, sequence, **settings)


def test_the_pieces_that_memory_allows_change_nothing(make, draw, monkeypatch):
    bundle = make("words", "label-attention")
    sequence = draw(bundle, 6)
    whole = integrated_gradients(bundle, sequence), occlusion(bundle, sequence)
    for module in ("attribution", "path"):
        monkeypatch.setattr(f"birnn.explain.{module}.BATCH_ROWS", 13)
    pieces = integrated_gradients(bundle, sequence), occlusion(bundle, sequence)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one.steps, other.steps, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- occlusion


@pytest.mark.parametrize("head", ["crf", "label-last+max+mean", "values"])
def test_occlusion_is_what_the_model_says_of_the_sequence_without_the_step(make, draw, head):
    """Of symbols the baseline row is that of an unknown one, which can be written."""
    bundle = make("symbols", head, num_layers=2)
    sequence, position = draw(bundle, 6), position_of(bundle, 4)
    found = occlusion(bundle, sequence, target=1, position=position)

    def logit(given):
        scores = mean_ablation(bundle, given).scores[0]
        return scores[1] if position is None else scores[position, 1]

    expected = [logit(sequence) - logit([*sequence[:t], "?", *sequence[t + 1 :]]) for t in range(6)]
    np.testing.assert_allclose(found.steps, expected, rtol=1e-4, atol=1e-5)
    assert found.logit == pytest.approx(logit(sequence), rel=1e-5)


def test_of_a_model_without_recurrence_occlusion_is_integrated_gradients(make):
    """Where a tag depends on its own row alone, its logit's change is that row's doing."""
    bundle = make("symbols", "tags", cell="rnn_tanh")
    tensors = {
        name: np.zeros_like(value) if "weight_hh" in name else value
        for name, value in bundle.tensors.items()
    }
    plain = Bundle(bundle.spec, bundle.vocabularies, tensors)
    left_out = occlusion(plain, "ACGA", target=0, position=1)
    found = integrated_gradients(plain, "ACGA", target=0, position=1)
    assert not left_out.steps[[0, 2, 3]].any()
    assert not found.steps[[0, 2, 3]].any()
    np.testing.assert_allclose(found.steps, left_out.steps, rtol=0.01)


def test_both_engines_agree(make, draw, on_engine):
    bundle = make("words", "label-last+max+mean", num_layers=2, merge="project", residual=True)
    found = []
    for engine in ("native", "torch"):
        with on_engine(engine):
            sequence = draw(bundle, 6)
            gradients = integrated_gradients(bundle, sequence, target=1)
            found.append((gradients.forward, gradients.backward, gradients.direct,
                          occlusion(bundle, sequence, target=1).steps))  # fmt: skip
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
