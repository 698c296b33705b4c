"""Answers of one model and of two: scores, intervals, errors, and tests of a difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Label, Labels, Spec, Symbols, Tags, Values
from birnn.data import Example
from birnn.errors import DataError, UsageError
from birnn.metrics.significance import McNemar, PairedPermutation
from birnn.runtime import Predictor
from birnn.studies.answers import answers, paired

SYMBOLS = ("<unk>", "a", "b", "c", "d")
HEADS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "tags": (Tags(size=3), ("x", "y", "z")),
    "spans": (Tags(size=3, decoder="crf", scheme="iob2"), ("O", "B-X", "I-X")),
    "label": (Label(size=3, pooling="max"), ("x", "y", "z")),
    "labels": (Labels(size=3, pooling="max", thresholds=(0.3, 0.5, 0.7)), ("x", "y", "z")),
    "values": (Values(size=2), ()),
}


def model(kind: str, seed: int) -> Predictor:
    """A model of random weights."""
    head, labels = HEADS[kind]
    inputs = Symbols(size=len(SYMBOLS), dim=4)
    spec = Spec(inputs=inputs, encoder=Encoder(hidden_size=3), head=head)
    draw = np.random.default_rng(seed)
    tensors = {name: draw.normal(0, 1, shape).astype(np.float32)
               for name, shape in spec.tensors().items()}  # fmt: skip
    vocabularies = {"symbols": SYMBOLS} | ({"labels": labels} if labels else {})
    return Predictor(Bundle(spec, vocabularies, tensors))


def data(kind: str, count: int = 60) -> list[Example]:
    """Sequences, some of length 0, with targets of any kind, each with its line."""
    draw = np.random.default_rng(0)
    _, labels = HEADS[kind]
    found, line = [], 1
    for number in range(count):
        length = number % 5
        inputs = tuple(draw.choice(list(SYMBOLS[1:]), length).tolist())
        if kind in ("tags", "spans"):
            target: Any = tuple(draw.choice(list(labels), length).tolist())
        elif kind == "labels":
            target = tuple(label for label in labels if draw.random() < 0.4)
        else:
            target = str(draw.choice(labels)) if labels else draw.normal(0, 1, 2)
        lines = tuple(range(line, line + length))
        found.append(Example(inputs, target, f"f:{line}", lines=lines))
        line += length + 1
    return found


@pytest.mark.parametrize("kind", HEADS)
def test_scores_are_those_of_evaluate_and_errors_are_all_that_is_wrong(kind: str) -> None:
    one, examples = model(kind, 1), data(kind)
    found = answers(one, examples)
    expected = one.evaluate(examples)
    for volatile in ("seconds", "tokens_per_second"):
        del expected[volatile]
    assert {name: found.scores[name] for name in expected} == expected
    for name, score in found.statistics.scores().items():
        assert score == pytest.approx(expected[name])
    predictions = one.predict([example.inputs for example in examples])
    if kind == "tags":
        wrong = [(f"f:{example.lines[step]}", tag, said)
                 for example, answer in zip(examples, predictions, strict=True)
                 for step, (tag, said) in enumerate(zip(example.target, answer, strict=True))
                 if tag != said]  # fmt: skip
        assert [(e.where, e.gold, e.predicted) for e in found.errors] == wrong
        chances = one.predict_proba([example.inputs for example in examples])
        at = {line: row for example, rows in zip(examples, chances, strict=True)
              for line, row in zip(example.lines, rows, strict=True)}  # fmt: skip
        for error in found.errors:
            row = at[int(error.where[2:])]
            assert error.probability == pytest.approx(row.max())
            assert error.gold_probability == pytest.approx(row[one.labels.index(error.gold)])
    elif kind == "label":
        assert [e.where for e in found.errors] == [
            e.where for e, said in zip(examples, predictions, strict=True) if e.target != said
        ]
    elif kind == "labels":
        chances = one.predict_proba([example.inputs for example in examples])
        expected_errors = [
            (e.where, label if missed else "", "" if missed else label, pytest.approx(p))
            for e, said, row in zip(examples, predictions, chances, strict=True)
            for missed in (True, False)
            for label, p in zip(one.labels, row, strict=True)
            if (label in e.target) != (label in said) and (label in e.target) == missed
        ]
        assert [
            (e.where, e.gold, e.predicted, e.gold_probability if e.gold else e.probability)
            for e in found.errors
        ] == expected_errors
    sizes = [error.size for error in found.worst()]
    assert sizes == sorted(sizes, reverse=True)
    assert found.worst(3) == found.worst()[:3]
    assert not answers(one, examples, errors=False).errors


@pytest.mark.parametrize("kind", HEADS)
def test_two_models_are_tested_by_what_each_alone_has_right(kind: str) -> None:
    one, other, examples = model(kind, 1), model(kind, 2), data(kind)
    found = paired(one, other, examples)
    first, second = (m.predict([e.inputs for e in examples]) for m in (one, other))
    golds = [example.target for example in examples]
    if kind in ("tags", "label"):
        flat: Callable[[Any], list[str]] = (
            (lambda rows: [tag for row in rows for tag in row]) if kind == "tags" else list
        )
        marks = [np.array(flat(said)) == np.array(flat(golds)) for said in (first, second)]
        only = [int((marks[n] & ~marks[1 - n]).sum()) for n in (0, 1)]
        assert isinstance(found.test, McNemar)
        assert [found.test.only_first, found.test.only_second] == only
        scipy = pytest.importorskip("scipy.stats")
        assert found.test.p == pytest.approx(scipy.binomtest(only[0], sum(only)).pvalue)
        assert found.questions == len(marks[0])
    else:
        assert isinstance(found.test, PairedPermutation)
        assert found.questions == len(examples)
    if kind == "values":
        errors = [float(np.sum((np.array(said) - np.array(golds)) ** 2)) / 2 for said in
                  (first, second)]  # fmt: skip
        sums = found.test.errors_first, found.test.errors_second  # type: ignore[attr-defined]
        assert sums == pytest.approx(errors, rel=1e-5)
    differences = found.differences()
    for name, apart in differences.items():
        expected = found.second.scores[name] - found.first.scores[name]
        assert apart == pytest.approx(expected, abs=1e-9)
    low, high = found.intervals(level=0.99)["rmse" if kind == "values" else "f1"]
    assert low < differences["rmse" if kind == "values" else "f1"] < high


def test_errors_that_both_make_are_not_apart() -> None:
    one, other, examples = model("tags", 1), model("tags", 2), data("tags")
    found = paired(one, other, examples)
    sides = [{(e.where, e.predicted) for e in each.errors} for each in (found.first, found.second)]
    apart = [(number, (error.where, error.predicted)) for number, error in found.apart()]
    assert sorted(apart) == sorted(
        [(0, key) for key in sides[0] - sides[1]] + [(1, key) for key in sides[1] - sides[0]]
    )
    assert not list(paired(one, one, examples).apart())
    assert paired(one, one, examples).test.p == 1.0


def test_models_that_cannot_be_compared() -> None:
    for kinds, said in ((("tags", "label"), "tagger, the other a classifier"),
                        (("tags", "spans"), "single tags")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            paired(*(model(kind, 1) for kind in kinds), data("tags"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no target"):
        paired(model("tags", 1), model("tags", 2), [replace(data("tags")[1], target=None)])


def test_examples_may_come_one_by_one() -> None:
    found = paired(model("tags", 1), model("tags", 2), iter(data("tags")))
    assert found.first.scores["sequences"] == found.second.scores["sequences"] == 60
