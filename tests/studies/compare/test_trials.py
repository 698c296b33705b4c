"""Ways of reading: their widths by brute force, and a trial against training by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Encoder, Label, Spec, Symbols, Tags, Words
from birnn.demos import brackets
from birnn.errors import UsageError
from birnn.runtime import Predictor
from birnn.studies.compare.trials import WAYS, TrialPlan, equal_width, run_trial, run_trials, way_of
from birnn.tasks import TargetSequence
from birnn.training.fit import fit
from birnn.training.recipe import Recipe
from birnn.training.sets import Sets
from grids import sampled
from stacks import encoders

specs = st.builds(
    Spec,
    inputs=st.one_of(
        st.builds(Symbols, size=st.integers(1, 9), dim=st.integers(1, 20)),
        st.builds(Words, size=st.integers(1, 9), dim=st.integers(1, 20)),
    ),
    encoder=encoders(),
    head=st.one_of(
        st.builds(Tags, size=st.integers(1, 5)),
        st.builds(Label, size=st.integers(1, 5), pooling=st.just("last+max+mean")),
        st.builds(TargetSequence, size=st.integers(1, 5), dim=st.just(4), hidden_size=st.just(3)),
    ),
)


@given(spec=specs)
def test_equal_width_is_the_nearest_of_all_widths(spec: Spec) -> None:
    one, both = way_of(spec, "forward"), way_of(spec, "both")
    wanted = one.parameter_count()

    def distance(width: int) -> int:
        encoder = both.encoder.model_copy(update={"hidden_size": width})
        return abs(both.model_copy(update={"encoder": encoder}).parameter_count() - wanted)

    best = min(map(distance, range(1, one.encoder.hidden_size + 1)))
    assert distance(equal_width(spec)) == best
    assert way_of(spec, "equal").encoder.hidden_size == equal_width(spec)


@given(spec=specs)
def test_ways_change_nothing_but_directions_and_width(spec: Spec) -> None:
    for way, chosen in WAYS.items():
        changed = way_of(spec, way)
        assert changed.encoder.bidirectional == changed.stack.bidirectional == chosen.bidirectional
        if chosen.bidirectional and spec.encoder.bidirectional:
            assert changed.encoder.directions == spec.encoder.directions
        back = changed.encoder.model_copy(
            update={
                "bidirectional": spec.encoder.bidirectional,
                "hidden_size": spec.encoder.hidden_size,
                "directions": spec.encoder.directions,
            }
        )
        assert changed.model_copy(update={"encoder": back}) == spec
    assert way_of(spec, "both").encoder.hidden_size == spec.encoder.hidden_size
    half = way_of(spec, "half").encoder.hidden_size
    assert half == 1 or spec.encoder.hidden_size - 1 <= 2 * half <= spec.encoder.hidden_size


@pytest.fixture(scope="module")
def plan() -> TrialPlan:
    settings = {"training.epochs": 2, "encoder.hidden_size": 6, "encoder.cell": "gru"}
    sets = Sets(*(brackets.generate(count, seed) for count, seed in ((40, 1), (20, 2), (30, 3))))
    return TrialPlan("tagger", sets, Recipe.load("tagger").with_settings(settings), threads=1)


def test_a_trial_is_what_training_and_predicting_by_hand_give(
    plan: TrialPlan, tmp_path: Path
) -> None:
    trial = run_trial(plan, plan.spec(), "half", 5, folder=tmp_path / "kept")
    recipe = plan.recipe.with_settings({"encoder.hidden_size": 3})
    result = fit("tagger", Sets(plan.sets.train, plan.sets.dev), recipe, seed=5)
    model = Predictor(result.bundle)
    asked = [example.inputs for example in plan.sets.test]
    assert list(trial.answers) == [tuple(tags) for tags in model.predict(asked)]
    assert trial.spec == model.spec
    assert trial.scores["accuracy"] == model.evaluate(plan.sets.test)["accuracy"]
    assert trial.epochs == result.epochs == 2
    assert trial.curve == tuple(row["dev_accuracy"] for row in result.history)
    assert trial.losses == tuple(row["loss"] for row in result.history)
    assert Predictor.load(tmp_path / "kept").predict(asked) == model.predict(asked)


@pytest.mark.parametrize("asked", sampled(["both", "forward both"], ["both"]))
def test_trials_side_by_side_answer_as_those_in_turn(plan: TrialPlan, asked: str) -> None:
    ways = asked.split()
    said: list[str] = []
    alone = run_trials(plan, ["forward", "both"], [1], tell=said.append)
    assert list(alone) == ["forward", "both"]
    assert [line.split(",")[0] for line in said] == ["one direction", "two directions"]
    beside = run_trials(plan, ways, [1], jobs=2)
    for way in ways:
        trials = alone[way]
        assert [trial.answers for trial in trials] == [trial.answers for trial in beside[way]]
        assert [trial.curve for trial in trials] == [trial.curve for trial in beside[way]]


def test_a_misspelt_way_is_refused_before_training(plan: TrialPlan) -> None:
    with pytest.raises(UsageError, match="'boht' is no way of reading: did you mean both"):
        run_trials(plan, ["forward", "boht"], [1])
    with pytest.raises(UsageError, match="at least one way of reading and one seed"):
        run_trials(plan, ["forward"], [])


def test_a_decoder_stays_as_wide_as_it_is_unless_the_bridge_hands_over_the_states() -> None:
    spec = Spec(
        inputs=Symbols(size=5, dim=4),
        encoder=Encoder(hidden_size=6),
        head=TargetSequence(size=4, dim=3, hidden_size=12),
    )
    assert {way_of(spec, way).head.hidden_size for way in WAYS} == {12}
    handed = spec.model_copy(update={"head": spec.head.model_copy(update={"bridge": "concat"})})
    for way in WAYS:
        changed = way_of(handed, way)
        assert changed.head.hidden_size == changed.stack.output_size
        assert not changed.head.encoder_faults(changed.stack)
    one, equal = (way_of(handed, way).parameter_count() for way in ("forward", "equal"))
    assert abs(one - equal) < one / 4
