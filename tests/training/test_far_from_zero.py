"""A constant that is added to all series, or to all targets, changes nothing that is learnt.

1700000000 and 1700000001 are one number in float32, and so are 16777216 and 16777217.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import birnn
from birnn import explain
from birnn.bundle import Bundle, Encoder, Label, Spec, Tags, Values, Vectors, load, save
from birnn.data import Example, read
from birnn.engine.stack import PackedStack
from birnn.errors import BundleError
from birnn.models import build
from birnn.runtime import Predictor
from birnn.training.prepare import prepare
from random_tensors import random_tensors

FAR = 1_700_000_000
SERIES = [[0, 1, 2], [2, 1, 0], [3, 5], [1, 1, 4, 2]]
LABELS = ["a", "b", "a", "b"]
TARGETS = [16777216, 16777217, 16777219, 16777218]


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_text(content)
        return path

    return written


def series_files(write, far):
    rows = [[value + far for value in one] for one in SERIES]
    pairs = list(zip(rows, LABELS, strict=True))
    lines = "".join(f"{','.join(map(str, one))}:{label}\n" for one, label in pairs)
    yield write("s.ts", f"@classLabel true a b\n@data\n{lines}")
    yield write(
        "s.jsonl",
        "".join(
            json.dumps({"vectors": [[v] for v in one], "label": label}) + "\n"
            for one, label in pairs
        ),
    )
    path = write("s.npz", "")
    values = np.concatenate(rows)[:, None]
    np.savez(path, values=values, lengths=list(map(len, rows)), labels=LABELS)
    yield path


def standardised(prepared):
    mean, scale = prepared.initial["inputs.mean"], prepared.initial["inputs.scale"]
    return (prepared.train.inputs.vectors - mean) / scale


def standardised_targets(prepared):
    return (prepared.train.targets - prepared.initial["head.mean"]) / prepared.initial["head.scale"]


def test_a_series_far_from_zero_is_learnt_as_one_near_it(write, tiny):
    rows_N = np.concatenate(SERIES)[:, None]
    right = (rows_N - rows_N.mean()) / rows_N.std()
    arrays = [
        Example(np.array(one)[:, None] + FAR, label)
        for one, label in zip(SERIES, LABELS, strict=True)
    ]
    sets = [arrays, *(list(read(path, "label")) for path in series_files(write, FAR))]
    for examples in sets:
        prepared = prepare("classifier", examples, examples, tiny("classifier"))
        np.testing.assert_allclose(standardised(prepared), right, rtol=1e-6)


def test_targets_far_from_zero_stay_apart(write, tiny):
    right = (np.array(TARGETS) - np.mean(TARGETS)) / np.std(TARGETS)
    texts = ["cheap", "dear", "dearest", "dearer"]
    pairs = list(zip(texts, TARGETS, strict=True))
    npz = write("s.npz", "")
    np.savez(npz, values=np.ones((4, 1)), lengths=np.ones(4, int), targets=TARGETS)
    files = [
        write("s.csv", "text,score\n" + "".join(f"{text},{y}\n" for text, y in pairs)),
        write("s.tsv", "".join(f"{text}\t{y}\n" for text, y in pairs)),
        write("s.jsonl", "".join(json.dumps({"text": t, "values": y}) + "\n" for t, y in pairs)),
        write("s.ts", "@targetLabel true\n@data\n" + "".join(f"1,2:{y}\n" for y in TARGETS)),
        npz,
    ]
    arrays = [Example((text,), np.array([y])) for text, y in pairs]
    for examples in [arrays, *(list(read(path, "values")) for path in files)]:
        prepared = prepare("regressor", examples, examples, tiny("regressor"))
        np.testing.assert_allclose(standardised_targets(prepared)[:, 0], right, rtol=1e-6)


def bundle_of(head, labels=("x", "y"), **inputs):
    encoder = Encoder(hidden_size=3, bidirectional=False)
    spec = Spec(inputs=Vectors(size=2, **inputs), encoder=encoder, head=head)
    tensors = random_tensors(spec, np.random.default_rng(3), 0.5)
    names = {} if isinstance(head, Values) else {"labels": labels}
    return Bundle(spec, names, tensors)


NEAR = [np.random.default_rng(7).integers(-9, 9, (n, 2)) for n in (5, 1, 0, 4)]


@pytest.mark.parametrize("head", [Tags(size=2), Label(size=2)])
def test_an_offset_of_the_inputs_is_subtracted_before_anything_is_rounded(head):
    near = bundle_of(head)
    spec = near.spec.model_copy(update={"inputs": Vectors(size=2, offset=(FAR, -FAR))})
    plain, far = Predictor(near), Predictor(replace(near, spec=spec))
    moved = [one + np.array([FAR, -FAR]) for one in NEAR]
    for one, other in zip(plain.predict_proba(NEAR), far.predict_proba(moved), strict=True):
        np.testing.assert_array_equal(one, other)
    assert far.predict([one.tolist() for one in moved]) == plain.predict(NEAR)
    here, there = plain.online(), far.online()
    for row, moved_row in zip(NEAR[0], moved[0], strict=True):
        np.testing.assert_array_equal(
            here.step_proba(row)[1], there.step_proba(moved_row.tolist())[1]
        )
    one, other = (explain.states(m, s) for m, s in ((plain, NEAR[0]), (far, moved[0])))
    np.testing.assert_array_equal(one.forward, other.forward)
    # the torch half reads it by the same codec
    network = build(spec)
    network.load_tensors(near.tensors)
    network.eval()
    batch = spec.inputs.codec({}).encode(moved).batch([0, 3])
    found = network.answered(batch, near.vocabularies["labels"])
    assert found.answers == far.predict([moved[0], moved[3]])


def test_answers_far_from_zero_stay_apart():
    near = bundle_of(Values(size=2))
    spec = near.spec.model_copy(update={"head": Values(size=2, offset=(FAR, -FAR))})
    far = replace(near, spec=spec)
    answers = Predictor(near).predict(NEAR)
    moved = Predictor(far).predict(NEAR)
    np.testing.assert_array_equal(np.array(moved), np.add(answers, [FAR, -FAR]))
    network = build(spec)
    network.load_tensors(near.tensors)
    network.eval()
    batch = spec.inputs.codec({}).encode(NEAR).batch([0, 1, 3])
    found = np.subtract(network.answered(batch, ()).answers, [FAR, -FAR])
    np.testing.assert_allclose(found, np.array(answers)[[0, 1, 3]], atol=1e-5)


def test_only_a_bundle_that_needs_an_offset_names_one(tmp_path):
    near = bundle_of(Values(size=2))
    save(near, tmp_path / "near")
    assert "offset" not in (tmp_path / "near" / "birnn.json").read_text()
    spec = near.spec.model_copy(update={"inputs": Vectors(size=2, offset=(0.1, FAR + 1 / 3))})
    save(replace(near, spec=spec), tmp_path / "far")
    assert load(tmp_path / "far").spec == spec


@pytest.mark.parametrize("offset", ["[1]", "[1, null]", "[1, 1e999]", '"12"'])
def test_an_offset_that_cannot_be_is_refused(tmp_path, offset):
    save(bundle_of(Label(size=2), offset=(0.5, 0.25)), tmp_path / "m")
    manifest = tmp_path / "m" / "birnn.json"
    text = json.dumps(json.loads(manifest.read_text()))
    manifest.write_text(text.replace("[0.5, 0.25]", offset))
    with pytest.raises(BundleError, match="offset"):
        load(tmp_path / "m")


def test_training_on_series_far_from_zero_gives_the_same_model(tmp_path):
    random = np.random.default_rng(0)
    near = [random.permutation(6)[:, None] for _ in range(20)]
    answers = []
    for far in (0, FAR):
        examples = [Example(one + far, "up" if one[0] < one[-1] else "down") for one in near]
        model = birnn.train(
            "classifier",
            train=examples,
            dev=examples,
            out=tmp_path / str(far),
            quiet=True,
            settings={"training.epochs": 2, "encoder.hidden_size": 4},
        )
        assert model.spec.inputs.offset == ((FAR + 2.5,) if far else ())
        answers.append(model.predict_proba([one + far for one in near]))
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("constant", [0.1, -7.0, 1e9, 1.7e9 + 0.1])
def test_a_channel_of_one_number_is_not_blown_up_in_float64(tiny, constant):
    rows = np.random.default_rng(0).standard_normal((1001, 2))
    rows[:, 1] = constant
    examples = [Example(rows, "a"), Example(rows, "b")]
    prepared = prepare("classifier", examples, examples, tiny("classifier"))
    assert prepared.initial["inputs.scale"][1] == 1.0


def test_a_model_without_an_offset_reads_float64_as_it_always_did():
    """Rows are narrowed first, then standardised in float32: older bundles keep their bits."""
    bundle = bundle_of(Label(size=2))
    rows = np.random.default_rng(1).standard_normal((9, 2)) * 3
    model = Predictor(bundle)
    narrow = rows.astype(np.float32)
    for given in (rows, rows.tolist(), narrow):
        np.testing.assert_array_equal(model.predict_proba([given]), model.predict_proba([narrow]))
    standard = (narrow - bundle.tensors["inputs.mean"]) / bundle.tensors["inputs.scale"]
    assert standard.dtype == np.float32
    encoder = PackedStack.of(bundle.tensors, "encoder", bundle.spec.stack)
    embed = bundle.spec.inputs.codec({}).embedding(bundle.tensors, encoder)
    np.testing.assert_array_equal(embed([rows]).values, standard)
