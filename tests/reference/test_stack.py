"""Settings of a stack: their normal form, what follows from them, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.errors import ConfigError
from birnn.reference import Stack
from stacks import stacks


@given(stack=stacks(), bidirectional=st.booleans())
def test_the_same_directions_in_all_layers_are_no_directions_of_their_own(stack, bidirectional):
    each = ("both" if bidirectional else "forward",) * stack.num_layers
    alike = dataclasses.replace(stack, bidirectional=True, directions=each)
    assert alike == dataclasses.replace(stack, bidirectional=bidirectional, directions=None)
    assert alike.mixed_layers == ()


@given(stack=stacks())
def test_what_is_asked_of_a_layer_is_true_of_its_parameters(stack):
    shapes = stack.shapes()
    width = stack.input_size
    for layer in range(stack.num_layers):
        both = f"weight_ih_l{layer}_reverse" in shapes
        assert stack.directions_of(layer) == 1 + both
        assert [f"weight_hh_l{layer}{end}" in shapes for end in stack.suffixes(layer)] == [True] * (
            1 + both
        )
        assert stack.projects(layer) == (f"merge_l{layer}.weight" in shapes)
        assert stack.layer_input_size(layer) == width == shapes[f"weight_ih_l{layer}"][1]
        width = stack.layer_output_size(layer)
        if stack.projects(layer):
            assert width == shapes[f"merge_l{layer}.weight"][0]
        assert stack.adds_input(layer) == (
            stack.residual and width == stack.layer_input_size(layer)
        )
    assert stack.output_size == width
    assert stack.bidirectional == any(name.endswith("_reverse") for name in shapes)


@given(stack=stacks())
def test_states_stand_layer_by_layer_without_a_gap(stack):
    where = [stack.states_of(layer) for layer in range(stack.num_layers)]
    assert [here.start for here in where] == [0, *(here.stop for here in where[:-1])]
    assert where[-1].stop == stack.state_count
    assert [here.stop - here.start for here in where] == [
        stack.directions_of(layer) for layer in range(stack.num_layers)
    ]


@given(stack=stacks(), data=st.data())
def test_layers_are_counted_from_the_end_too(stack, data):
    layer = data.draw(st.integers(0, stack.num_layers - 1))
    for ask in (
        Stack.directions_of,
        Stack.suffixes,
        Stack.states_of,
        Stack.projects,
        Stack.layer_input_size,
        Stack.layer_output_size,
        Stack.adds_input,
    ):
        assert ask(stack, layer - stack.num_layers) == ask(stack, layer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directions": ("both",)}, "num_layers is 2, directions has 1 entries: give one for each"),
        ({"directions": ()}, "num_layers is 2, directions has 0 entries"),
        ({"directions": ("both", "forwards")}, "layer 1 is 'forwards': did you mean forward"),
        ({"directions": ("backward", "both")}, "layer 0 is 'backward'"),
        (
            {"bidirectional": False, "directions": ("forward", "both")},
            "bidirectional is false, but layer 1 has both",
        ),
        ({"merge_size": 3}, "merge is concat, and only project has a width of its own"),
        ({"merge": "project", "merge_size": 0}, "merge_size is 0, it must be a whole number"),
        ({"merge": "project", "merge_size": 2.5}, r"merge_size is 2\.5, it must be a whole"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Stack("gru", 3, 4, num_layers=2, **settings)
