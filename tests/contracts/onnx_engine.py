"""ONNX Runtime as an engine: a graph of the stack alone."""

from __future__ import annotations

import numpy as np

from birnn.export.onnx import session_of, stack_model
from birnn.ragged import Ragged
from birnn.reference import Outcome, StackState


def run(x, parameters, stack, initial=None):
    """An engine, see `contract_engines`: float32, as ONNX Runtime has no other LSTM."""
    model = stack_model(stack, parameters, initial=initial is not None)
    session = session_of(model.SerializeToString())
    arrays = {"x": x.to_padded(), "lengths": x.lengths}
    if initial is not None:
        arrays |= {f"{name}0": part for name, part in zip("hc", initial.parts, strict=False)}
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, arrays), strict=True))

    def ragged(name):
        return Ragged.from_padded(np.ascontiguousarray(found[name]), x.lengths)

    return Outcome(
        ragged("output"),
        ragged("forward"),
        ragged("backward") if "backward" in found else None,
        found["final"],
        StackState(*(found[name] for name in "hc" if name in found)),
    )
