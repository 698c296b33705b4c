"""What changes between two models of one kind, held against their own answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Label, Labels, Spec, Symbols, Tags, Values, Words
from birnn.data import Example
from birnn.runtime import Predictor
from birnn.studies.changes import SHOWN, changes
from birnn.tasks import Gaps

TOKENS = ("<unk>", "a", "b", "c", "d")
LABELS = ("x", "y", "z")
HEADS: dict[str, Any] = {
    "tags": Tags(size=3),
    "spans": Tags(size=3, decoder="crf", scheme="iob2"),
    "label": Label(size=3, pooling="max"),
    "labels": Labels(size=3, pooling="max", thresholds=(0.3, 0.5, 0.7)),
    "values": Values(size=2),
    "words": Gaps(size=3, share=0.5),
}


def model(kind: str, seed: int) -> Predictor:
    """A model of random weights."""
    inputs: Any = Words if kind == "words" else Symbols
    spec = Spec(
        inputs=inputs(size=len(TOKENS), dim=4), encoder=Encoder(hidden_size=3), head=HEADS[kind]
    )
    draw = np.random.default_rng(seed)
    tensors = {
        name: draw.normal(0, 1, shape).astype(np.float32) for name, shape in spec.tensors().items()
    }
    labels = ("O", "B-X", "I-X") if kind == "spans" else ("a", "b", "c")
    labels = labels if kind in ("spans", "words") else LABELS
    vocabularies = {spec.inputs.kind: TOKENS} | ({} if kind == "values" else {"labels": labels})
    return Predictor(Bundle(spec, vocabularies, tensors))


def data(kind: str, count: int = 40) -> list[Example]:
    """Sequences, some of length 0, with targets of any kind, each step with its line."""
    draw = np.random.default_rng(0)
    targets = {
        "tags": lambda length: tuple(draw.choice(LABELS, length).tolist()),
        "spans": lambda length: ("O",) * length,
        "label": lambda _: str(draw.choice(LABELS)),
        "labels": lambda _: tuple(draw.choice(LABELS, 2, replace=False).tolist()),
        "values": lambda _: draw.normal(0, 1, 2),
        "words": lambda _: None,
    }
    found, line = [], 1
    for number in range(count):
        length = number % 5
        inputs = tuple(draw.choice(TOKENS[1:], length).tolist())
        lines = tuple(range(line, line + length))
        found.append(Example(inputs, targets[kind](length), f"f:{line}", lines=lines))
        line += length + 1
    return found


@pytest.mark.parametrize("kind", HEADS)
def test_answers_that_differ_are_those_of_predict(kind: str) -> None:
    one, other, examples = model(kind, 1), model(kind, 2), data(kind)
    found = changes(one, other, examples)
    head = one.spec.head
    asked = [head.question(each, number) for number, each in enumerate(examples)]
    answers = [each.predict([example.inputs for example in asked]) for each in (one, other)]
    wanted, count = [], 0
    for example, first, second in zip(asked, *answers, strict=True):
        tokens = example.inputs
        if kind in ("tags", "spans", "words"):
            steps = [at for at, token in enumerate(tokens) if kind != "words" or token == "___"]
            count += len(steps)
            wanted += [
                (f"f:{example.lines[at]}", tokens[at], was, now)
                for at, was, now in zip(steps, first, second, strict=True)
                if was != now
            ]
        else:
            count += 1
            if list(first) != list(second):
                first, second = (
                    each if kind == "label" else list(each) for each in (first, second)
                )
                wanted.append((example.where, "".join(tokens), first, second))
    told = [(each.where, each.text, each.gold, each.predicted) for each in found.changed]
    if kind == "values":
        apart = [max(np.abs(np.subtract(was, now))) for *_, was, now in told]
        assert apart == sorted(apart, reverse=True)
        assert found.largest == apart[0]
        told.sort(key=lambda each: int(each[0][2:]))
    assert (told, found.answers) == (wanted, count)
    assert 0 < len(told) <= count
    for scores, each in ((found.before, one), (found.after, other)):
        expected = each.evaluate(examples)
        assert {**scores, "seconds": 0, "tokens_per_second": 0} == {
            **expected, "seconds": 0, "tokens_per_second": 0
        }  # fmt: skip
    record = found.record("f", "float32", "int8")
    assert record["changed"] == len(told)
    assert set(record["float32"]) == set(record["int8"]) <= set(found.before)
    assert len(found.to_dict("float32", "int8")["differing"]) == len(told)
    scores, differing = found.tables("f", "float32", "int8")
    assert scores.header == ("measure", "float32", "int8", "difference")
    assert differing.header[2:] == ("float32", "int8")
    assert len(differing.rows) == min(SHOWN, len(told))
    which = f"{SHOWN} farthest apart" if kind == "values" else f"first {SHOWN}"
    many = f"the {which} of " if len(told) > SHOWN else ""
    assert differing.title.startswith(f"{many}{len(told)} answers that differ, of {count}")


@pytest.mark.parametrize("kind", HEADS)
def test_nothing_changes_between_a_model_and_itself(kind: str) -> None:
    one = model(kind, 1)
    told: list[str] = []
    found = changes(one, one, data(kind), tell=told.append)
    assert not found.changed
    assert found.largest == (0.0 if kind == "values" else None)
    assert len(list(found.tables("f", "float32", "int8"))) == 1
    assert len(told) == len(set(told))


def test_values_that_are_no_numbers_are_apart_from_numbers_alone() -> None:
    one, other = model("values", 1), model("values", 1)
    [example] = data("values", 5)[4:]
    far = dict(one.bundle.tensors)
    far["head.mean"] = np.array([np.nan, 0.0], np.float32)
    broken = Predictor(Bundle(one.spec, one.bundle.vocabularies, far))
    assert not changes(broken, broken, [example]).changed
    found = changes(other, broken, [example])
    assert found.largest == np.inf
