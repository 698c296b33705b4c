"""The model card says what the model is."""

from __future__ import annotations

import pytest

from birnn.bundle import Bundle, Encoder, Label, Spec, Symbols, Values, Vectors, Words, card
from birnn.bundle.card import outline
from birnn.inputs import Inputs
from birnn.tasks import Head


def test_card_says_what_the_model_is(bundle: Bundle) -> None:
    text = card(
        bundle.spec,
        metadata={"train": {"file": "a|b.conllu", "sequences": 7}, "tags": ["x"]},
        metrics={"accuracy": 0.954321, "confusion": {"A": {"B": 1}}},
    )
    assert f"{bundle.spec.parameter_count():,} parameters" in text
    assert "| train.file | a\\|b.conllu |" in text
    assert "| train.sequences | 7 |" in text
    assert "| accuracy | 0.95432 |" in text
    assert "confusion" not in text
    assert outline(bundle.spec) in text
    for part in ("## Limitations", "birnn.load(", "birnn predict", "birnn evaluate"):
        assert part in text


def test_drawing_of_words_adds_up(bundle: Bundle) -> None:
    assert outline(bundle.spec) == (
        "words 4 × 3 + characters 5 × 2 LSTM ⇄ 2 + affixes and shapes 4 × 2 = 9"
        " → LSTM ⇄ 3 (concat) → 6 → 3 labels (crf)"
    )


@pytest.mark.parametrize("inputs", [Words(size=3, dim=2), Symbols(size=3, dim=2), Vectors(size=4)])
@pytest.mark.parametrize("head", [Label(size=2), Values(size=3, pooling="attention")])
def test_every_kind_has_a_card(inputs: Inputs, head: Head) -> None:
    spec = Spec(inputs=inputs, encoder=Encoder(num_layers=2, bidirectional=False), head=head)
    text = card(spec, metadata={}, metrics={})
    assert f"A {spec.task} made with birnn" in text
    assert "2 × LSTM → 200" in text
    assert "No evaluation was recorded." in text
