"""Which half decided: against ablation with torch, and by hand at single steps."""

# T steps, H hidden units, L labels

from __future__ import annotations

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Spec, Symbols
from birnn.errors import UsageError
from birnn.inputs import Words
from birnn.reference.merge import MERGES
from birnn.runtime import Predictor
from birnn.runtime.ablation import encode
from birnn.runtime.deciding import decisions
from birnn.tasks import Gaps, Label, Labels, Tags, TargetSequence, Values
from random_tensors import random_tensors

LABELS = ("a", "b", "c")


def model_of(head, *, means: bool = True, inputs=None, **encoder) -> Predictor:
    """Random tensors, and random means of its states."""
    inputs = inputs or Symbols(size=4, dim=3)
    settings = {"cell": "lstm", "hidden_size": 3} | encoder
    spec = Spec(inputs=inputs, encoder=Encoder(**settings), head=head)
    random = np.random.default_rng(3)
    vocabularies = {inputs.kind: ("<unk>", "A", "C", "G")}
    if head.vocabulary is not None:
        vocabularies[head.vocabulary] = (
            ("<s>", "x", "y") if head.target == "sequence" else LABELS[: head.size]
        )
    drawn = {
        name: random.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in spec.mean_states().items()
    }
    return Predictor(
        Bundle(spec, vocabularies, random_tensors(spec, random), mean_states=drawn if means else {})
    )


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("head", [Tags(size=3), Tags(size=3, decoder="crf")])
def test_of_a_tagger_they_are_the_margins_that_ablation_in_torch_finds(head, merge):
    from birnn.explain import mean_ablation

    model = model_of(head, merge=merge, num_layers=2, residual=True)
    found = decisions(model, "ACGGA")
    slow = mean_ablation(model, "ACGGA")
    for name, losses in slow.losses().items():
        ours = [getattr(step, name.removeprefix("without ")) for step in found.steps]
        np.testing.assert_allclose(ours, losses, rtol=1e-4, atol=1e-5)
    balances = [step.balance for step in found.steps]
    np.testing.assert_allclose(balances, slow.balance(), rtol=1e-3, atol=1e-4)
    assert (found.whole, found.measure, found.own_means) == (None, "margin", False)


def test_one_direction_has_no_backward_part():
    found = decisions(model_of(Tags(size=3), bidirectional=False), "AC")
    assert [step.backward for step in found.steps] == [0, 0]
    assert [step.both for step in found.steps] == [step.forward for step in found.steps]


@pytest.mark.parametrize("text", ["A", "ACG"])
@pytest.mark.parametrize(
    "head",
    [
        Label(size=3, pooling="last"),
        Label(size=3, pooling="last+max+mean"),
        Values(size=2, pooling="mean"),
        Labels(size=3, pooling="max", thresholds=(0.3, 0.8, 0.5)),
    ],
)
def test_of_one_answer_each_step_is_ablated_alone(head, text):
    """By hand: a row and, where a half ends, its final state replaced by their means."""
    model = model_of(head)
    found = decisions(model, text)
    bundle, means = model.bundle, model.bundle.mean_states
    encoded = encode(model.runner, list(model.validated([text])))
    merge = MERGES["concat"].forward
    halves = (encoded.forward.values, encoded.backward.values)
    last = len(text) - 1

    def support(gone: tuple[str, ...], steps: range) -> float:
        kept, ends = [half.copy() for half in halves], [halves[0][last], halves[1][0]]
        for number, (name, end) in enumerate((("forward", last), ("backward", 0))):
            if name in gone:
                kept[number][steps.start : steps.stop] = means["rows"][number]
                if end in steps:
                    ends[number] = means["last"][number]
        rows_TW = merge(*kept, None)
        parts = {
            "last": merge(*(end[None] for end in ends), None)[0],
            "max": rows_TW.max(axis=0),
            "mean": rows_TW.mean(axis=0),
        }
        pooled = np.concatenate([parts[name] for name in head.pooling.split("+")])
        scores = bundle.tensors["head.linear.weight"] @ pooled + bundle.tensors["head.linear.bias"]
        if isinstance(head, Values):
            return float(scores[0] * bundle.tensors["head.scale"][0])
        if isinstance(head, Labels):
            [own] = model.scores([text])
            return float(scores[np.argmax(own - head.cuts)])
        label = LABELS.index(model.predict([text])[0])
        return float(scores[label] - np.delete(scores, label).max())

    full = support((), range(0))
    cases = {"forward": ("forward",), "backward": ("backward",), "both": ("forward", "backward")}
    for name, gone in cases.items():
        everywhere = full - support(gone, range(last + 1))
        assert getattr(found.whole, name) == pytest.approx(everywhere, rel=1e-3, abs=1e-4)
        for step, decision in enumerate(found.steps):
            alone = full - support(gone, range(step, step + 1))
            assert getattr(decision, name) == pytest.approx(alone, rel=1e-3, abs=1e-4)


def test_of_a_target_the_whole_is_what_its_trace_says():
    from birnn.runtime import trace_target

    head = TargetSequence(size=3, dim=2, hidden_size=4)
    model = model_of(head)
    found = decisions(model, "ACG")
    totals = trace_target(model, "ACG").totals()
    for name in ("forward", "backward", "both"):
        lost = totals["full"] - totals[f"without {name}"]
        assert getattr(found.whole, name) == pytest.approx(lost, rel=1e-4, abs=1e-5)
    assert found.measure == "log-probability"
    assert len(found.steps) == 3
    with pytest.raises(UsageError, match="no mean states"):
        decisions(model_of(head, means=False), "ACG")


def test_of_gaps_only_these_are_decided():
    inputs = Words(size=4, dim=3)
    found = decisions(model_of(Gaps(size=3), inputs=inputs), ["A", "___", "C"])
    assert [step is None for step in found.steps] == [True, False, True]


def test_without_means_the_sequences_own_stand_for_them_and_no_step_decides_nothing():
    model = model_of(Label(size=3, pooling="mean"), means=False)
    found = decisions(model, "ACG")
    assert found.own_means
    assert found.whole.both == pytest.approx(0, abs=1e-5)  # the mean of means is the mean


@pytest.mark.parametrize("head", [Tags(size=3), Label(size=3), Values(size=1)])
def test_nothing_decided_where_there_is_no_step(head):
    found = decisions(model_of(head), "")
    assert (found.steps, found.whole) == ((), None)
