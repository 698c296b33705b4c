"""Errors of answers: each wrong thing once, where it stands, with what stands around it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from birnn.data import Example
from birnn.data.schemes import spans
from birnn.tasks import Gaps, Label, Tags, TargetSequence, Values
from birnn.tasks.annotated import ScoredSpan, Scores
from birnn.tasks.errors import AnswerError
from birnn.tasks.gap_scores import ScoredGaps

IOB2 = ("O", "B-X", "I-X", "B-Y", "I-Y")
LINES = (3, 4, 5, 6, 9)
EXAMPLE = Example(("a", "b", "c", "d", "e"), where="f.tsv:3", lines=LINES)


def scored(tags: tuple[str, ...]) -> Scores:
    """An answer that the model is the surer of the later a tag comes."""
    rows = np.full((len(tags), len(IOB2)), 0.1, np.float32)
    for step, tag in enumerate(tags):
        rows[step, IOB2.index(tag)] = 0.5 + step / 20
    found = [ScoredSpan(*span, 0.25 + span.start / 10) for span in spans(tags, "iob2")]
    return Scores(list(tags), rows, found)


def span_errors(gold: str, said: str) -> list[AnswerError]:
    tags = [tuple(f"{t}-{k}" if t != "O" else "O" for t, k in zip(a[::2], a[1::2], strict=True))
            for a in (gold, said)]  # fmt: skip
    example = Example(EXAMPLE.inputs[: len(tags[0])], tags[0], "f.tsv:3", lines=LINES)
    return Tags(size=5, scheme="iob2").errors(example, tags[0], scored(tags[1]), IOB2)


@pytest.mark.parametrize(
    ("gold", "said", "kinds"),
    [
        ("BXIXO.", "BXIXO.", []),
        ("BXIXO.", "O.O.O.", ["missed"]),
        ("O.O.O.", "O.BYO.", ["spurious"]),
        ("BXIXO.", "BYIYO.", ["type"]),
        ("BXIXIX", "BXIXO.", ["boundary"]),
        ("BXIXIX", "BYIYO.", ["type and boundary"]),
        ("BXIXO.", "BXBXO.", ["boundary", "spurious"]),
        ("BXBYO.", "BYBXO.", ["type", "type"]),
        # Of two that overlap, that of the same type is the partner.
        ("BXIXIX", "BYO.BX", ["boundary", "spurious"]),
        ("BXO.BY", "O.BXO.", ["missed", "spurious", "missed"]),
    ],
)
def test_wrong_spans_are_paired(gold: str, said: str, kinds: list[str]) -> None:
    assert sorted(error.kind for error in span_errors(gold, said)) == sorted(kinds)


def test_every_wrong_span_is_in_one_error_and_no_right_one() -> None:
    head, example = Tags(size=5, scheme="iob2"), Example(("a", "b", "c"))
    rows = list(itertools.product(("O", "B-X", "I-X", "B-Y"), repeat=3))
    for gold, said in itertools.product(rows[::3], rows):
        errors = head.errors(example, gold, scored(said), IOB2)
        right, found = set(spans(gold, "iob2")), set(spans(said, "iob2"))
        for spare, said_of in ((right - found, "gold"), (found - right, "predicted")):
            named = [getattr(error, said_of) for error in errors]
            wanted = [f"{span.type}: {' '.join('abc'[span.start : span.stop])}" for span in spare]
            assert sorted(filter(None, named)) == sorted(wanted)
        assert bool(errors) == (right != found) == bool(head.faults(gold, said).any())
        assert head.faults(gold, said).tolist() == [len(right ^ found)]


def test_an_error_of_a_span_has_its_place_its_context_and_its_probability() -> None:
    [error] = span_errors("O.O.BXIXO.", "O.O.O.BXO.")
    assert error == AnswerError(
        where="f.tsv:5", kind="boundary", text="c d", gold="X: c d", predicted="X: d",
        before=("a", "b"), after=("e",), probability=0.55, size=0.55,
    )  # fmt: skip
    [missed] = span_errors("O.O.BXIXO.", "O.O.O.O.O.")
    assert (missed.predicted, missed.probability) == ("", None)
    assert missed.size == pytest.approx(0.6)  # the less sure one of two tags


def test_wrong_tags_of_single_steps() -> None:
    head = Tags(size=2)
    chances = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]], np.float32)
    example = Example(("a", "b", "c"), where="f:1", lines=(1, 2, 3))
    errors = head.errors(example, ("p", "q", "new"), Scores(["p", "p", "q"], chances), ("p", "q"))
    known, new = errors
    assert (known.where, known.text, known.gold, known.predicted) == ("f:2", "b", "q", "p")
    assert (known.probability, known.gold_probability) == (0.5, 0.5)
    assert (new.where, new.probability, new.gold_probability) == ("f:3", 0.875, None)
    assert errors[0].before == ("a",)
    assert errors[0].after == ("c",)
    assert head.faults(("p", "q", "new"), ["p", "p", "q"]).tolist() == [0, 1, 1]
    vectors = Example(np.zeros((3, 2)), where="f:1")
    assert [e.text for e in head.errors(vectors, ("p", "q", "q"), Scores(["p", "p", "q"], chances),
                                        ("p", "q"))] == ["step 1"]  # fmt: skip


def test_a_wrong_label_a_wrong_target_wrong_values_and_a_wrong_word() -> None:
    scores = Scores("bad", np.array([0.25, 0.75]))
    example = Example(("so", "so"), where="f:2")
    [label] = Label(size=2).errors(example, "good", scores, ("good", "bad"))
    assert (label.where, label.text, label.probability, label.gold_probability, label.size) == (
        "f:2", "so so", 0.75, 0.25, 0.75,
    )  # fmt: skip
    target = TargetSequence(size=3, hidden_size=2, separator="")
    [written] = target.errors(Example(tuple("cat")), (tuple("xyz"), tuple("KT")), Scores(["K"]), ())
    assert (written.gold, written.predicted, written.size, written.text) == ("KT", "K", 1, "cat")
    assert target.faults((tuple("xyz"), tuple("KT")), ["K"]).tolist() == [1]
    [apart] = Values(size=2).errors(Example(("a",)), (1.0, 2.0), Scores([4.0, 6.0]), ())
    assert apart.gold == [1.0, 2.0]
    assert apart.size == pytest.approx(((9 + 16) / 2) ** 0.5)
    assert Values(size=2).faults((1.0, 2.0), [4.0, 6.0]).tolist() == [12.5]
    gaps = Gaps(size=2)
    example = Example(("to", "___", "or", "___", "___"))
    chances = np.array([[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]])
    answer = Scores(["be", "be", "be"], chances)
    words = gaps.errors(example, ("be", "not", "___"), answer, ("be", "not"))
    assert [(e.gold, e.predicted, e.gold_probability, e.before[-1]) for e in words] == [
        ("not", "be", 0.25, "or")
    ]
    ranks = ScoredGaps(np.zeros(3), np.array([0, 1, 2]))
    assert gaps.faults(("be", "not", "___"), ranks).tolist() == [0, 1]


def test_a_record_is_json_and_its_cells_are_as_many() -> None:
    error = AnswerError("f:1", "values", "a\tb", [1.0, float("inf")], [float("nan")], ("x", "y"))
    record: dict[str, Any] = json.loads(json.dumps(error.record(), allow_nan=False))
    assert record["gold"] == [1.0, None]
    assert record["before"] == ["x", "y"]
    assert list(record) == AnswerError.columns()
    cells = dict(zip(AnswerError.columns(), error.cells(), strict=True))
    assert (cells["before"], cells["probability"], cells["gold"]) == ("x y", "", "1.0 ")
