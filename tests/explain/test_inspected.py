"""A model taken apart: same answers, same messages, and the model itself as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from birnn.bundle import save
from birnn.errors import BundleError, ConfigError, DataError
from birnn.explain.ablation import mean_ablation
from birnn.explain.attribution import integrated_gradients, occlusion
from birnn.explain.flow import flow
from birnn.explain.gates import gates
from birnn.explain.inspected import InspectedModel
from birnn.explain.reading import Reading
from birnn.explain.states import states
from birnn.ragged import Ragged
from birnn.runtime import Predictor

HEADS = ("tags", "crf-iob2", "label-attention", "label-last+max+mean", "values", "tags-hidden")
MERGES = ("concat", "sum", "mean", "product", "project")


@pytest.mark.parametrize("inputs", ["words", "symbols", "vectors", "vectors+dense"])
@pytest.mark.parametrize("head", HEADS)
def test_it_says_what_the_model_says(make, draw, inputs, head):
    bundle = make(inputs, head, num_layers=2, merge="project", residual=True)
    inspected, predictor = InspectedModel.of(bundle), Predictor(bundle)
    for steps in (1, 6):
        sequence = draw(bundle, steps)
        with torch.no_grad():
            scores, rows = inspected.scores(inspected.run(Reading.of(inspected, sequence).rows))
        [expected] = predictor.predict([sequence])
        answers = inspected.answers(scores, rows)
        if head == "values":
            np.testing.assert_allclose(answers[0], expected, rtol=1e-4, atol=1e-5)
        elif head.startswith("label"):
            assert inspected.labels[answers[0]] == expected
        else:
            assert [inspected.labels[answer] for answer in answers] == expected


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize(
    "directions", [("both",) * 3, ("forward",) * 3, ("forward", "both", "both")]
)
def test_layer_by_layer_is_the_whole_stack(encoder, merge, directions):
    settings = {"num_layers": 3, "merge": merge, "residual": True, "directions": directions}
    settings |= {"merge_size": 5} if merge == "project" else {}
    whole = encoder("gru", 4, 4, **settings)
    rows = Ragged(torch.randn(7, 4, dtype=torch.float64), np.array([5, 0, 2]))
    expected = whole(rows)
    inspected = InspectedModel.of(whole)
    halves = inspected.run(rows)
    output, final = inspected.merge(halves)
    torch.testing.assert_close(output.values, expected.output.values)
    torch.testing.assert_close(halves.forward.values, expected.forward.values)
    torch.testing.assert_close(final, expected.final)
    if directions[-1] == "both":
        torch.testing.assert_close(halves.backward.values, expected.backward.values)


def test_a_model_opens_from_wherever_it_is(make, draw, tmp_path):
    bundle = make("words", "label-mean")
    save(bundle, tmp_path / "model")
    sequence = draw(bundle, 4)
    forms = [bundle, Predictor(bundle), tmp_path / "model", str(tmp_path / "model")]
    found = [mean_ablation(form, sequence).scores for form in forms]
    for scores in found[1:]:
        assert np.array_equal(scores, found[0])
    assert InspectedModel.of(inspected := InspectedModel.of(bundle)) is inspected
    with pytest.raises(BundleError, match="no such folder"):
        InspectedModel.of(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"model is a LSTM.*birnn\.load"):
        InspectedModel.of(torch.nn.LSTM(2, 2))


def test_the_model_stays_as_it_was(encoder):
    model = encoder("lstm", num_layers=2, dropout=0.3)
    model.train()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    model(Ragged(x, np.array([5]))).output.values.sum().backward()
    before = {
        name: (parameter.detach().clone(), parameter.grad.clone())
        for name, parameter in model.named_parameters()
    }
    x_grad, random = x.grad.clone(), torch.get_rng_state()
    for look in (flow, states, gates):
        look(model, x)
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(x.grad, x_grad)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert torch.equal(parameter, before[name][0])
        assert torch.equal(parameter.grad, before[name][1])


def test_dropout_of_a_model_in_training_is_not_seen(encoder):
    model = encoder("gru", num_layers=2, dropout=0.5).train()
    x = np.random.default_rng(0).standard_normal((6, 3))
    expected = model.eval()(torch.from_numpy(x)[None]).output[0].detach().numpy()
    np.testing.assert_allclose(states(model.train(), x).output, expected, rtol=1e-12)


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_gradients_are_there_whatever_the_caller_switched_off(make, draw, guard):
    bundle = make("words", "label-max")
    sequence = draw(bundle, 4)
    expected = flow(bundle, sequence).combined, integrated_gradients(bundle, sequence).steps
    with guard():
        found = flow(bundle, sequence).combined, integrated_gradients(bundle, sequence).steps
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


# ---------------------------------------------------------------------- inputs


def test_a_sequence_that_does_not_fit_gets_the_message_of_predict(make):
    for inputs, bad in (
        ("words", b"a text for a tagger"),
        ("words", ["a", 3]),
        ("vectors", np.ones((4, 2))),
        ("vectors", np.full((2, 3), np.nan)),
    ):
        bundle = make(inputs, "tags")
        with pytest.raises(DataError) as expected:
            Predictor(bundle).predict([bad])
        for look in (flow, states, mean_ablation, lambda model, s: occlusion(model, s, position=0)):
            with pytest.raises(DataError) as found:
                look(bundle, bad)
            assert str(found.value) == str(expected.value)


def test_a_bare_encoder_reads_arrays_of_its_width(encoder):
    with pytest.raises(DataError, match=r"shape \(4, 2\), the model reads \(steps, 3\)"):
        states(encoder(), np.ones((4, 2)))
    with pytest.raises(ConfigError, match="has no head"):
        mean_ablation(encoder(), np.ones((4, 3)))
    # All digits of float64 arrive.
    x = np.random.default_rng(0).standard_normal((4, 3))
    assert np.array_equal(Reading.of(encoder(), x).rows.values.numpy(), x)


def test_a_sequence_without_steps_is_refused(make):
    for look in (flow, states, gates, mean_ablation, integrated_gradients, occlusion):
        with pytest.raises(DataError, match="the sequence has no steps"):
            look(make("symbols", "label-mean"), "")


def test_the_baseline_is_a_word_of_no_letters_that_nobody_knows(make):
    bundle = make("words")
    inspected = InspectedModel.of(bundle)
    row = inspected.baseline().numpy()
    known = bundle.spec.inputs.dim
    assert np.array_equal(row[:known], bundle.tensors["inputs.words.weight"][0])
    # A character network that has read nothing is in its initial state; no feature adds nothing,
    # and number 0 of the features is what a feature that is not known or not there adds.
    spelt = bundle.spec.inputs.characters.width
    assert not row[known : known + spelt].any()
    none = 4 * bundle.tensors["inputs.surface.weight"][0]
    np.testing.assert_allclose(row[known + spelt :], none, rtol=1e-6)
    symbols = make("symbols")
    expected = symbols.tensors["inputs.symbols.weight"][0]
    assert np.array_equal(InspectedModel.of(symbols).baseline().numpy(), expected)
    vectors = make("vectors")
    mean = vectors.tensors["inputs.mean"]
    assert np.array_equal(
        Reading.of(vectors, [mean]).rows.values[0], InspectedModel.of(vectors).baseline()
    )


def test_batches_leave_out_what_is_empty(make, draw):
    bundle = make("symbols")
    inspected = InspectedModel.of(bundle)
    lengths = [batch.lengths.tolist() for batch in inspected.batches(["AC", "", "G"])]
    assert lengths == [[2, 1]]
    with pytest.raises(DataError, match="not one of the sequences"):
        list(inspected.batches(["", ""]))


@pytest.mark.parametrize("layer", [2, -3, 1.0])
def test_a_layer_that_is_not_there(encoder, layer):
    with pytest.raises(ConfigError, match="layers 0 to 1"):
        states(encoder(num_layers=2), np.ones((2, 3)), layer=layer)


def test_positions_and_targets_fit_the_head(make, draw):
    tagger, classifier = make("symbols", "crf"), make("symbols", "label-mean")
    for position in (None, 4, -5, 1.5):
        with pytest.raises(ConfigError, match="the sequence has steps 0 to 3"):
            occlusion(tagger, "ACGA", position=position)
    with pytest.raises(ConfigError, match="answers once"):
        occlusion(classifier, "ACGA", position=0)
    with pytest.raises(ConfigError, match="did you mean B-PER"):
        occlusion(classifier, "ACGA", target="B-PRE")
    with pytest.raises(ConfigError, match="answers 0 to 4"):
        occlusion(classifier, "ACGA", target=5)
    assert occlusion(tagger, "ACGA", position=-1).position == 3
    assert InspectedModel.of(make("symbols", "values")).outputs == ("value 0", "value 1")
