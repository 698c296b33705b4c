"""Hypothesis strategies of any stack of layers, each layer with one or two directions."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from birnn.bundle import Encoder
from birnn.reference import GATES, MERGE_WIDTH, Stack


@st.composite
def stacks(draw: st.DrawFn, widest: int = 4, most_layers: int = 3, **fixed: Any) -> Stack:
    """Any small stack.

    Args:
        draw: Of Hypothesis.
        widest: Most inputs and hidden units.
        most_layers: Most layers.
        fixed: Settings that all have.
    """
    choices = {
        "cell": st.sampled_from(sorted(GATES)),
        "input_size": st.integers(1, widest),
        "hidden_size": st.integers(1, widest),
        "num_layers": st.integers(1, most_layers),
        "merge": st.sampled_from(sorted(MERGE_WIDTH)),
        "residual": st.booleans(),
    }
    settings = fixed | {name: draw(each) for name, each in choices.items() if name not in fixed}
    if "bidirectional" not in fixed:
        each = st.sampled_from(["both", "forward"])
        settings["directions"] = draw(st.tuples(*[each] * settings["num_layers"]))
    if settings["merge"] == "project":
        settings["merge_size"] = draw(st.none() | st.integers(1, widest))
    return Stack(**settings)


def encoders(widest: int = 40, most_layers: int = 3) -> st.SearchStrategy[Encoder]:
    """The settings of any encoder."""
    return stacks(widest, most_layers, input_size=1).map(encoder_of)


def encoder_of(stack: Stack) -> Encoder:
    """A stack as the encoder of a spec."""
    names = Encoder.model_fields
    return Encoder(**{name: getattr(stack, name) for name in names})


def layer_of(stack: Stack, layer: int) -> Stack:
    """One layer of a stack as a stack of its own, without the residual connection around it."""
    return dataclasses.replace(
        stack,
        input_size=stack.layer_input_size(layer),
        num_layers=1,
        residual=False,
        bidirectional=stack.directions_of(layer) == 2,
        directions=None,
    )
