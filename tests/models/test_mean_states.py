"""Mean states against the states of each sequence on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from birnn.demos import senses
from birnn.explain import MeanStates
from birnn.models import mean_states
from birnn.ragged import Ragged
from birnn.tasks import TargetSequence
from birnn.training.fit import fit
from birnn.training.recipe import Recipe
from birnn.training.sets import Sets


@pytest.mark.parametrize(
    "directions", [("both",), ("forward",), ("both",) * 2, ("both", "forward"), ("forward", "both")]
)
def test_means_are_those_of_all_steps(
    describe: Any, make: Any, codec: Any, draw: Any, directions: tuple[str, ...]
) -> None:
    spec = describe("symbols", "tags", directions=directions)
    network = make(spec).eval()
    encoded = codec(spec).encode(draw(spec, [3, 0, 5, 1, 2]))
    batches = [encoded.batch(indices) for indices in ([0, 1, 2], [3, 4])]
    found = mean_states(network, batches)
    steps, finals = [], []
    for batch in batches:
        rows = Ragged(network.inputs(batch.inputs), batch.lengths)
        for sequence in rows:
            if len(sequence):
                with torch.no_grad():
                    out = network.encoder(sequence.unsqueeze(0))
                parts = [out.forward, out.backward][: 2 if directions[-1] == "both" else 1]
                steps.append(np.stack([part[0].numpy() for part in parts]))
                finals.append(
                    np.stack(
                        [part[0, end].numpy() for part, end in zip(parts, (-1, 0), strict=False)]
                    )
                )
    np.testing.assert_allclose(
        found["rows"], np.concatenate(steps, axis=1).mean(axis=1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found["last"], np.mean(finals, axis=0), rtol=1e-5, atol=1e-6)
    assert {name: array.shape for name, array in found.items()} == spec.mean_states()


def test_nothing_has_no_mean(describe: Any, make: Any, codec: Any, draw: Any) -> None:
    spec = describe("symbols", "tags")
    empty = codec(spec).encode(draw(spec, [0, 0])).batch([0, 1])
    assert mean_states(make(spec).eval(), [empty]) == {}


def test_training_leaves_the_means_of_the_kept_weights_over_dev() -> None:
    cases = [case.example for case in senses.generate(60, 1)]
    sets = Sets(cases[:40], cases[40:])
    # averaged weights are kept, which are not those that the last step left
    settings = {"training.epochs": 3, "encoder.hidden_size": 4, "training.ema": 0.9}
    recipe = Recipe.load("tagger").with_settings(settings)
    bundle = fit("tagger", sets, recipe).bundle
    again = MeanStates.over(bundle, [case.inputs for case in cases[40:]])
    np.testing.assert_allclose(bundle.mean_states["rows"], again.rows, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bundle.mean_states["last"], again.last, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_decoder_gets_the_means_of_all_final_states(
    describe: Any, make: Any, codec: Any, draw: Any, cell: str
) -> None:
    spec = describe("symbols", "tags", directions=("both", "forward"), cell=cell)
    spec = spec.model_copy(update={"head": TargetSequence(size=4, dim=2, hidden_size=3, cell=cell)})
    network = make(spec).eval()
    encoded = codec(spec).encode(draw(spec, [3, 0, 5]))
    found = mean_states(network, [encoded.batch([0, 1]), encoded.batch([2])])
    states = []
    for number in (0, 2):
        one = encoded.batch([number])
        with torch.no_grad():
            out = network.encoder(Ragged(network.inputs(one.inputs), one.lengths))
        parts = [out.state.h, *([out.state.c] if cell == "lstm" else [])]
        states.append(np.stack([part[:, 0].numpy() for part in parts]))
    for at, name in enumerate(("final_h", "final_c")[: len(states[0])]):
        np.testing.assert_allclose(found[name], np.mean(states, axis=0)[at], atol=1e-6)
    assert {name: array.shape for name, array in found.items()} == spec.mean_states()
