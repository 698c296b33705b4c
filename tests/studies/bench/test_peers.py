"""Each peer that is installed does the work that it is timed for: the reference's answers."""

# B sequences, T steps, N rows

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from birnn.errors import UsageError
from birnn.ragged import Ragged
from birnn.reference import bidirectional
from birnn.reference.stack import Stack
from birnn.studies.bench import COMPARED, TORCH_KINDS, Case, LayerKind, Shape
from birnn.studies.bench.cases import WORKS, Problem, Work, problem
from birnn.studies.bench.peers import OURS, Peer, choose
from peers import PEERS

SHAPE = Shape(3, 4, 5, 6)
RELU = LayerKind("BiRNN of relu", cell="rnn_relu")


def expected(drawn: Problem, work: Work) -> np.ndarray[Any, Any]:
    """The reference's rows in float64: the output, or the gradient of the input."""
    shape, kind = drawn.case.shape, drawn.case.kind
    stack = Stack(kind.cell, shape.inputs, shape.hidden, bidirectional=kind.directions == 2)
    parameters = {name: value.astype(float) for name, value in drawn.parameters.items()}
    x = Ragged.from_padded(drawn.x.astype(float), drawn.lengths)
    outcome, saved = bidirectional.run_saving(x, parameters, stack)
    if work == "forward":
        return np.asarray(outcome.output.values)
    d_output = Ragged.from_padded(drawn.d_output.astype(float), drawn.lengths)
    return np.asarray(bidirectional.gradients(saved, d_output.values)[0])


def cases() -> list[Any]:
    return [
        pytest.param(peer, Case(SHAPE, kind), work, id=f"{peer.name} {kind.called} {work}")
        for peer in PEERS.values()
        for kind in (COMPARED, *TORCH_KINDS, RELU)
        for work in WORKS
        # Where padding leaks into an answer there is none to agree with.
        if peer.does(Case(SHAPE, kind), work) and peer.compared(Case(SHAPE, kind), work)
    ]


@pytest.mark.parametrize(("peer", "case", "work"), cases())
def test_every_way_of_a_peer_answers_as_the_reference(peer: Peer, case: Case, work: Work) -> None:
    if not peer.installed():
        pytest.skip(f"{peer.called} is not installed: {peer.how_to_install()}")
    if peer.name == "keras" and os.environ["KERAS_BACKEND"] != "tensorflow":
        pytest.skip("Keras runs on another backend here. KERAS_BACKEND=tensorflow tests the peer.")
    drawn = problem(case)
    columns = peer.compared(case, work)
    assert columns is not None
    wanted = expected(drawn, work)[:, columns]
    ways = peer.implement(drawn, work, 1)
    assert ways
    for way in ways:
        padded = way.answer(way.call())
        got = padded[drawn.real][:, columns]
        assert np.abs(got - wanted).max() < 1e-5
        again = way.answer(way.call())[drawn.real][:, columns]
        assert (np.asarray(again) == np.asarray(got)).all()


def test_padding_leaks_where_it_is_said_to() -> None:
    drawn = problem(Case(SHAPE))
    (way,) = PEERS["torch-padded"].implement(drawn, "forward", 1)
    backward_half = way.answer(way.call())[drawn.real][:, SHAPE.hidden :]
    wanted = expected(drawn, "forward")[:, SHAPE.hidden :]
    assert np.abs(backward_half - wanted).max() > 1e-2


def test_nobody_takes_part_in_what_it_cannot_do() -> None:
    gru = Case(SHAPE, LayerKind("BiGRU", cell="gru"))
    assert not PEERS["onnxruntime"].does(Case(SHAPE), "forward+backward")
    assert not PEERS["keras"].does(gru, "forward")
    assert PEERS["torch-packed"].does(gru, "forward+backward")


def test_birnn_is_always_chosen_and_first() -> None:
    installed, missing = choose([], PEERS)
    assert next(iter(installed)) == OURS
    assert {*installed, *(peer.name for peer in missing)} == set(PEERS)
    assert list(choose(["torch-padded"], PEERS)[0]) == [OURS, "torch-padded"]


def test_an_unknown_peer_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean openvino"):
        choose(["openvinno"], PEERS)


def test_a_peer_that_is_not_here_is_told_with_how_to_install_it() -> None:
    absent = replace(PEERS["flax"], modules=("a_module_that_nobody_has",))
    with pytest.raises(UsageError, match="pip install flax jax"):
        choose(["flax"], PEERS | {"flax": absent})
