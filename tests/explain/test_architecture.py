"""The drawing of a model: to scale, in full, its parameters counted once."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from birnn.bundle import Label, Spec, Symbols, Tags, Values, Vectors, Words
from birnn.explain.architecture import architecture, stages
from birnn.inputs import Characters, Dense, Surface
from birnn.report.figures import HALVES, alt_text
from birnn.report.figures.style import TOOLTIP
from birnn.tasks import PoolingName, TargetSequence
from stacks import encoders

sizes = st.integers(1, 300)
poolings = st.sampled_from(get_args(PoolingName))
inputs = st.one_of(
    st.builds(Symbols, size=sizes, dim=sizes),
    st.builds(Vectors, size=sizes, dense=st.none() | st.builds(Dense, size=sizes)),
    st.builds(
        Words,
        size=sizes,
        dim=sizes,
        characters=st.none() | st.builds(Characters, size=sizes, dim=sizes, hidden_size=sizes),
        surface=st.none()
        | st.builds(Surface, size=sizes, dim=sizes, prefixes=st.just((1,)), suffixes=st.just((2,))),
    ),
)
hidden = st.lists(sizes, max_size=2).map(tuple)
heads = st.one_of(
    st.builds(Tags, size=sizes, decoder=st.sampled_from(["softmax", "crf"]), hidden=hidden),
    st.builds(Label, size=sizes, pooling=poolings, attention_size=sizes, hidden=hidden),
    st.builds(Values, size=sizes, pooling=poolings, attention_size=sizes, hidden=hidden),
    st.builds(
        TargetSequence,
        size=sizes,
        dim=sizes,
        hidden_size=sizes,
        num_layers=st.integers(1, 3),
        cell=st.just("gru"),
        bridge=st.sampled_from(["project", "none"]),
        attention=st.sampled_from(["general", "additive", "none"]),
        input_feeding=st.booleans(),
        tied=st.booleans(),
    ),
)
specs = st.builds(Spec, inputs=inputs, encoder=encoders(300, most_layers=7), head=heads)


def shown_layers(spec: Spec) -> list[int]:
    """Of a higher stack than four layers the first two and the last."""
    layers = list(range(spec.stack.num_layers))
    return layers if len(layers) <= 4 else [0, 1, layers[-1]]


@given(spec=specs)
def test_no_parameter_is_left_out_or_counted_twice(spec: Spec) -> None:
    rows = list(stages(spec))
    assert sum(row.parameters for row in rows) == spec.parameter_count()
    assert rows[len(spec.inputs.stages()) - 1].width == spec.inputs.width
    assert rows[-1].width == spec.head.size
    layers = [row for row in rows if row.apart]
    assert [row.width for row in layers] == [
        spec.encoder.hidden_size * spec.stack.directions_of(layer) for layer in shown_layers(spec)
    ]
    if isinstance(spec.head, (Label, Values)):
        assert rows[-2 - len(spec.head.hidden)].width == spec.head.pooled_width(
            spec.stack.output_size
        )
    if spec.encoder.num_layers <= 4:
        assert len(layers) == spec.encoder.num_layers


@given(spec=specs)
def test_boxes_are_to_one_scale_and_arrows_point_as_the_halves_read(spec: Spec) -> None:
    figure = architecture(spec)
    (axes,) = figure.axes
    boxes = [
        patch for patch in axes.patches
        if isinstance(patch, Rectangle) and (patch.get_gid() or "").startswith(TOOLTIP)
    ]  # fmt: skip
    told = [box for row in stages(spec) for box in row.boxes]
    scales = [drawn.get_width() / box.width for drawn, box in zip(boxes, told, strict=True)]
    assert scales == pytest.approx([scales[0]] * len(scales))
    reading = [(drawn, box) for drawn, box in zip(boxes, told, strict=True) if box.reads]
    annotations = [text for text in axes.texts if text.get_text() == ""]
    for annotation, (drawn, box) in zip(annotations, reading, strict=True):
        assert annotation.arrow_patch is not None
        tip, tail = annotation.xy[0], annotation.get_position()[0]
        assert (tip > tail) == (box.half == "forward")
        for end in (tip, tail):
            assert drawn.get_x() < end < drawn.get_x() + drawn.get_width()
    words = alt_text(figure)
    assert f"{spec.parameter_count():,} parameters" in words
    assert (HALVES["backward"] in words) == any(
        spec.stack.directions_of(layer) == 2 for layer in shown_layers(spec)
    )
