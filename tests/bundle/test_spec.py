"""The encoder of a spec: directions of its layers, and the width of its projections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from pydantic import ValidationError

from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags, load, save
from birnn.reference import Stack
from stacks import encoder_of, encoders, stacks


@given(encoder=encoders())
def test_an_encoder_is_read_as_it_was_written(encoder: Encoder) -> None:
    assert Encoder.model_validate_json(encoder.model_dump_json()) == encoder


@given(stack=stacks())
def test_an_encoder_makes_the_stack_that_it_is_of(stack: Stack) -> None:
    assert encoder_of(stack).stack(stack.input_size) == stack


def test_what_is_not_used_is_not_written() -> None:
    plain = Encoder(merge="project").model_dump()
    assert {"directions", "merge_size"}.isdisjoint(plain)
    used = Encoder(merge="project", merge_size=3, directions=("both", "forward")).model_dump()
    assert (used["directions"], used["merge_size"]) == (("both", "forward"), 3)


@pytest.mark.parametrize("given", ["both, forward", ["both", "forward"], ("both", "forward")])
def test_directions_may_be_text_or_a_list_and_say_how_many_layers_there_are(given: Any) -> None:
    encoder = Encoder(directions=given)
    assert (encoder.directions, encoder.num_layers) == (("both", "forward"), 2)
    one = Encoder(directions=("forward",) * 3)
    assert (one.num_layers, one.bidirectional) == (3, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directions": "both", "num_layers": 2}, "num_layers is 2, directions has 1 entries"),
        ({"directions": "", "num_layers": 2}, "directions"),
        ({"directions": [], "num_layers": 2}, "num_layers is 2, directions has 0 entries"),
        ({"directions": []}, "num_layers"),
        ({"directions": "both,up"}, "Input should be 'both' or 'forward'"),
        ({"directions": 3}, "directions"),
        ({"directions": [["both"]]}, "directions"),
        ({"directions": "both", "bidirectional": False}, "but layer 0 has both directions"),
        ({"directions": "forward", "bidirectional": True}, "no layer has both directions"),
        ({"merge_size": 3}, "merge is concat, and only project has a width of its own"),
        ({"merge": "project", "merge_size": 0}, "merge_size"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Encoder(**settings)


def test_a_bundle_keeps_the_directions_of_its_layers(tmp_path: Path) -> None:
    encoder = Encoder(
        hidden_size=2, merge="project", merge_size=3, directions=("both", "forward", "both")
    )
    spec = Spec(inputs=Symbols(size=3, dim=2), encoder=encoder, head=Tags(size=2))
    tensors = {name: np.ones(shape, np.float32) for name, shape in spec.tensors().items()}
    bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
    save(bundle, tmp_path / "bundle")
    assert load(tmp_path / "bundle").spec == spec
    assert "LSTM ⇄→⇄ 2 (project, 3)" in (tmp_path / "bundle" / "README.md").read_text("utf-8")
