"""How a target came about, against the slow model with halves replaced by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Encoder, Spec, Symbols, Tags
from birnn.errors import DataError, UsageError
from birnn.reference.bidirectional import StackState
from birnn.runtime import Predictor, Search, trace_target
from birnn.runtime.ablation import CONDITIONS
from birnn.tasks import TargetSequence

CASES = {
    "lstm, concat": (Encoder(hidden_size=3), {"hidden_size": 6, "bridge": "concat"}),
    "gru, two layers, residual sum": (
        Encoder(cell="gru", hidden_size=4, num_layers=2, merge="sum", residual=True),
        {"hidden_size": 5, "cell": "gru", "attention": "additive", "attention_size": 3},
    ),
    "one direction": (
        Encoder(cell="gru", hidden_size=4, bidirectional=False),
        {"hidden_size": 4, "cell": "gru", "attention": "dot", "input_feeding": True},
    ),
    "no attention": (Encoder(hidden_size=3), {"hidden_size": 4, "attention": "none"}),
}
DATA = ["abc", "", "cab1", "dea"]


def spec_of(case: str) -> Spec:
    encoder, head = CASES[case]
    head = TargetSequence(**{"size": 6, "dim": 3, "separator": "", **head})
    return Spec(inputs=Symbols(size=9, dim=4), encoder=encoder, head=head)


@dataclass(frozen=True)
class Means:
    """Mean states over data, one step after another."""

    rows: list[np.ndarray]
    state: StackState

    @classmethod
    def over(cls, slow: Any) -> Means:
        stack = slow.bundle.spec.stack
        runs = [slow.recurrent("encoder", stack, slow.rows(list(text))) for text in DATA if text]
        halves = [[run.forward.values, run.backward.values] if run.backward is not None
                  else [run.forward.values] for run in runs]  # fmt: skip
        parts = zip(*(run.state.parts for run in runs), strict=True)
        return cls(
            [np.concatenate(each).mean(axis=0) for each in zip(*halves, strict=True)],
            StackState(*(np.mean(part, axis=0) for part in parts)),
        )


def without(slow: Any, means: Means, gone: tuple[str, ...]) -> Any:
    """The slow model whose encoder says means in the place of some directions."""

    class Ablated(type(slow)):
        def recurrent(self, prefix: str, stack: Any, x: np.ndarray) -> Any:
            outcome = super().recurrent(prefix, stack, x)
            if prefix != "encoder":
                return outcome
            names = ("forward", "backward")[: 1 + (outcome.backward is not None)]
            halves = [getattr(outcome, name).values for name in names]
            kept = [
                np.tile(mean, (len(x), 1)) if name in gone else half
                for name, half, mean in zip(names, halves, means.rows, strict=True)
            ]
            merge = (lambda h: h[0] + h[-1]) if stack.merge == "sum" else np.hstack
            below = outcome.output.values - merge(halves)
            parts = []
            for part, mean in zip(outcome.state.parts, means.state.parts, strict=True):
                turned = part.copy()
                for at in range(len(part)):
                    # Without other directions by layer, halves take turns.
                    if names[at % len(names)] in gone:
                        turned[at] = mean[at]
                parts.append(turned)
            rows = outcome.output.with_values(merge(kept) + below)
            return replace(outcome, output=rows, state=StackState(*parts))

    return Ablated(slow.bundle)


@pytest.mark.parametrize("case", CASES)
def test_each_condition_is_that_of_the_slow_model(case: str, make: Any, slow: Any) -> None:
    bundle = make(spec_of(case))
    found = trace_target(Predictor(bundle), "abca", target="CAB", data=DATA)
    right = slow(bundle)
    means = Means.over(right)
    names = list(CONDITIONS)[: 2 if "one" in case else 4]
    assert list(found.log_probabilities) == names
    for name in names:
        expected = without(right, means, CONDITIONS[name]).log_probabilities(list("abca"), "CAB")
        np.testing.assert_allclose(found.log_probabilities[name], expected, atol=2e-5)
        assert found.totals()[name] == pytest.approx(expected.sum(), abs=1e-4)
    added = found.added()
    for step, forward in zip(found.steps, added["forward"], strict=True):
        assert step.added["forward"] == forward
    assert found.mean_of == sum(map(len, DATA))


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_that_of_the_search_to_the_bit(case: str, make: Any) -> None:
    model = Predictor(make(spec_of(case)))
    found = trace_target(model, "abcab")
    [nbest] = model.predict_nbest(["abcab"], search=Search(nbest=5), attention=True)
    assert list(found.nbest) == nbest
    steps = len(nbest[0].log_probabilities)
    assert found.log_probabilities["full"][:steps].tolist() == list(nbest[0].log_probabilities)
    said = [step.symbol for step in found.steps]
    assert said == [*nbest[0].symbols, None]
    assert any("no mean states" in line for line in found.left_out)
    for step in found.steps:
        others = [symbol for symbol, _ in step.runners_up]
        assert step.symbol not in others
        assert len(others) == 3
        assert step.probability + sum(p for _, p in step.runners_up) <= 1 + 1e-9
    if case == "no attention":
        assert (found.attention, found.coverage, found.overlooked) == (None, None, [])
        assert any("Attention and coverage" in line for line in found.left_out)
    else:
        np.testing.assert_array_equal(found.attention[:steps], nbest[0].attention)
        np.testing.assert_allclose(found.attention.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(found.coverage, found.attention.sum(axis=0))
    told = found.to_dict()
    assert told["answer"] == list(nbest[0].symbols)
    assert [step["symbol"] for step in told["steps"]] == said


def test_symbols_that_no_step_looks_at_are_named(make: Any) -> None:
    found = trace_target(Predictor(make(spec_of("lstm, concat"))), "a?b")
    attention = np.array([[0.5, 0.04, 0.46], [0.9, 0.049, 0.051]])
    assert replace(found, attention=attention).overlooked == [1]
    assert found.unknown.tolist() == [False, True, False]
    assert found.to_dict()["unknown"] == ["?"]


def test_what_cannot_be_traced_is_refused(make: Any) -> None:
    model = Predictor(make(spec_of("lstm, concat")))
    with pytest.raises(DataError, match="the source has no steps"):
        trace_target(model, "")
    with pytest.raises(DataError, match="'x' is no symbol that this model writes"):
        trace_target(model, "ab", target="Ax")
    with pytest.raises(DataError, match="not one of the sequences has a step"):
        trace_target(model, "ab", data=[""])
    tags = Spec(inputs=Symbols(size=9, dim=4), encoder=Encoder(hidden_size=3), head=Tags(size=2))
    with pytest.raises(UsageError, match="tagger"):
        trace_target(Predictor(make(tags)), "ab")
