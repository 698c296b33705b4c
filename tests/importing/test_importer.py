"""Files of other frameworks: what they become, what comes beside them, and what is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import onnx
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from onnx import helper

import birnn
from birnn.bundle import load
from birnn.errors import BirnnError, ConversionError, FormatError, ShapeError, UsageError

ITEMS = ["[PAD]", "<unk>", *"abcd"]
LABELS = ["x", "y"]


def arrays(seed=0, items=6):
    random = np.random.default_rng(seed)
    shapes = {"emb.weight": (items, 3), "fc.weight": (2, 4), "fc.bias": (2,)}
    for end in ("l0", "l0_reverse"):
        shapes |= {f"rnn.weight_ih_{end}": (6, 3), f"rnn.weight_hh_{end}": (6, 2)}
        shapes |= {f"rnn.bias_ih_{end}": (6,), f"rnn.bias_hh_{end}": (6,)}
    return {n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


@pytest.fixture
def state_dict(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(arrays(), path)
    return path


@pytest.fixture
def keras_file(tmp_path):
    """A Keras file as Keras writes it, without Keras: its config and its weights."""
    path = tmp_path / "model.keras"
    gru = {"name": "g", "units": 2, "return_sequences": True}
    config = {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"name": "in"}},
                {"class_name": "GRU", "config": gru},
                {"class_name": "Dense", "config": {"name": "d", "activation": "softmax"}},
            ]
        },
    }
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name, shape in {
            "gru/cell/vars/0": (3, 6),
            "gru/cell/vars/1": (2, 6),
            "gru/cell/vars/2": (2, 6),
            "dense/vars/0": (2, 2),
            "dense/vars/1": (2,),
        }.items():
            file[f"layers/{name}"] = np.ones(shape, np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", (tmp_path / "w.h5").read_bytes())
    return path


@pytest.fixture
def onnx_file(tmp_path):
    path = tmp_path / "model.onnx"
    random = np.random.default_rng(0)
    held = {"W": (1, 6, 3), "R": (1, 6, 2), "B": (1, 12), "M": (2, 2)}
    nodes = [
        helper.make_node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=2, linear_before_reset=1),
        helper.make_node("Squeeze", ["y", "one"], ["rows"]),
        helper.make_node("MatMul", ["rows", "M"], ["scores"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in held.items()
    ]
    constants.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", floats, ["t", "b", 3])],
        [helper.make_tensor_value_info("scores", floats, ["t", "b", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def files(state_dict, keras_file, onnx_file):
    """A file of each format, and what must be said beside it."""
    return {
        state_dict: {"task": "tagger", "vocabulary": ITEMS, "labels": LABELS},
        keras_file: {"labels": LABELS},
        onnx_file: {"labels": LABELS},
    }


def ignore(line):
    del line


def test_each_becomes_a_bundle_that_says_where_it_comes_from(files, tmp_path):
    for path, beside in files.items():
        out = tmp_path / f"{path.suffix[1:]}-out"
        model = birnn.import_model(path, out=out, tell=ignore, **beside)
        sequence = "abba" if "vocabulary" in beside else np.ones((4, 3), np.float32)
        assert birnn.load(out).predict([sequence]) == model.predict([sequence])
        assert len(model.predict([sequence])[0]) == 4
        assert load(out).metadata["imported"]["file"] == path.name
        card = (out / "README.md").read_text("utf-8")
        assert "tagger" in card


def test_no_half_of_a_model_is_left(files, tmp_path):
    """Whatever byte is cut away: an error of ours, and no folder."""
    for path, beside in files.items():
        content, out = path.read_bytes(), tmp_path / "never"
        for kept in (0, 1, 9, len(content) // 3, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:kept])
            with pytest.raises(BirnnError, match=path.name):
                birnn.import_model(path, out=out, tell=ignore, **beside)
            assert not out.exists()


def test_a_pickle_is_refused_and_what_to_do_is_said(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(arrays()))
    with pytest.raises(FormatError, match=r"Python pickle.* could run code\. .*save_file\(torch"):
        birnn.import_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(FormatError, match=r"torch\.save.*save_file"):
        birnn.import_model(path)


def test_an_old_keras_file_is_refused_and_what_to_do_is_said(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(FormatError, match=r"HDF5.*model\.save\('model\.keras'\)"):
        birnn.import_model(tmp_path / "model.h5")
    with pytest.raises(FormatError, match="no such file"):
        birnn.import_model(tmp_path / "nothing.onnx")


def test_a_bundle_needs_no_import_and_a_folder_is_no_file(state_dict, tmp_path):
    birnn.import_model(
        state_dict,
        out=tmp_path / "out",
        task="tagger",
        vocabulary=ITEMS,
        labels=LABELS,
        tell=ignore,
    )
    with pytest.raises(FormatError, match=r"out: is a bundle already: it needs no import\.$"):
        birnn.import_model(tmp_path / "out")
    with pytest.raises(FormatError, match=r": is a folder\. Give the file of a model\.$"):
        birnn.import_model(tmp_path)


@pytest.mark.parametrize("ending", [".onnx", ".keras", ".safetensors"])
def test_an_empty_file_is_told(ending, tmp_path):
    path = tmp_path / f"model{ending}"
    path.touch()
    with pytest.raises(FormatError, match=r": is empty\. Save or export the model again\.$"):
        birnn.import_model(path)


def changed(path, **entries):
    with zipfile.ZipFile(path) as old:
        held = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in (held | entries).items():
            if content is not None:
                new.writestr(name, content)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"../../evil": b""}, "leaves the archive: refused"),
        ({"/etc/evil": b""}, "leaves the archive: refused"),
        ({"config.json": None}, r"has no config\.json"),
        ({"config.json": b"[]"}, "is not a JSON object"),
        ({"config.json": b"{" * 50}, "is not whole JSON"),
        ({"config.json": b" " * (1 << 25)}, "unpacks to 33,554,432 bytes"),
        ({"model.weights.h5": b"\0" * (1 << 25)}, "unpacks to 33,554,432 bytes"),
        ({"model.weights.h5": b"nothing"}, "is damaged"),
        ({"model.weights.h5": None}, r"has no model\.weights\.h5"),
    ],
)
def test_a_keras_file_that_is_none_is_refused(entries, message, keras_file):
    changed(keras_file, **entries)
    with pytest.raises(FormatError, match=message):
        birnn.import_model(keras_file, labels=LABELS)


def test_arrays_that_unpack_to_more_than_the_file_are_refused(keras_file, tmp_path):
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["layers/dense/vars/0"]
        # Nothing of it is written: four gigabytes of a fill value.
        file.create_dataset("layers/dense/vars/0", (1 << 15, 1 << 15), "f4", chunks=(64, 64))
    changed(keras_file, **{"model.weights.h5": (tmp_path / "w.h5").read_bytes()})
    with pytest.raises(FormatError, match="unpacks to 4,294,967,296 bytes"):
        birnn.import_model(keras_file, labels=LABELS)


def test_half_precision_and_counters(tmp_path):
    path = tmp_path / "model.safetensors"
    held = {name: array.astype(np.float16) for name, array in arrays().items()}
    safetensors.numpy.save_file(held | {"steps": np.array([3])}, path)
    beside = {"task": "tagger", "vocabulary": ITEMS, "labels": LABELS}
    model = birnn.import_model(path, tell=ignore, **beside)
    np.testing.assert_array_equal(
        model.bundle.tensors["head.linear.weight"], held["fc.weight"].astype(np.float32)
    )
    header = json.loads(path.read_bytes()[8:].split(b"}}")[0] + b"}}")
    assert header["fc.bias"]["dtype"] == "F16"
    halves = {name: torch.from_numpy(array).bfloat16() for name, array in arrays().items()}
    safetensors.torch.save_file(halves, path)
    model = birnn.import_model(path, tell=ignore, **beside)
    expected = halves["fc.weight"].float().numpy()
    np.testing.assert_array_equal(model.bundle.tensors["head.linear.weight"], expected)


def test_weights_of_other_types_are_refused_and_not_passed_over(tmp_path):
    """A table of eighths would else be left out, and the model read vectors."""
    path = tmp_path / "model.safetensors"
    held = {name: torch.from_numpy(array) for name, array in arrays().items()}
    for dtype, message in ((torch.int8, r"\(6, 3\) int8"), (torch.float8_e4m3fn, "F8_E4M3")):
        safetensors.torch.save_file(held | {"emb.weight": held["emb.weight"].to(dtype)}, path)
        with pytest.raises(ConversionError, match=rf"emb\.weight .*{message}"):
            birnn.import_model(path, tell=ignore, task="tagger", labels=LABELS)


def test_weights_that_are_no_numbers_are_refused(state_dict):
    held = arrays()
    held["fc.bias"][1] = np.nan
    safetensors.numpy.save_file(held, state_dict)
    with pytest.raises(ConversionError, match="1 values that are NaN or infinite"):
        birnn.import_model(state_dict, task="tagger", vocabulary=ITEMS, labels=LABELS, tell=ignore)


# ---------------------------------------------------------------------- vocabulary and labels


def imported(path, tell=ignore, **beside):
    given = {"task": "tagger", "vocabulary": ITEMS, "labels": LABELS} | beside
    return birnn.import_model(path, tell=tell, **given)


def test_the_unknown_item_comes_first_and_padding_goes(state_dict):
    model, table = imported(state_dict), arrays()["emb.weight"]
    assert model.bundle.vocabularies["symbols"] == ("<unk>", *"abcd")
    np.testing.assert_array_equal(model.bundle.tensors["inputs.symbols.weight"], table[1:])


def test_numbers_decide_the_order_and_files_say_the_same(state_dict, tmp_path):
    numbers = {"b": 4, "<UNK>": 5, "a": 0, "B": 2, "c": 1, "<pad>": 3}
    table = arrays()["emb.weight"]
    as_json, lines = tmp_path / "v.json", tmp_path / "v.txt"
    as_json.write_text(json.dumps(numbers), "utf-8")
    lines.write_text("\n".join(sorted(numbers, key=numbers.get)) + "\n", "utf-8")
    for given in (numbers, as_json, str(lines)):
        model = imported(state_dict, vocabulary=given)
        assert model.bundle.vocabularies["symbols"] == ("<unk>", "a", "c", "B", "b")
        np.testing.assert_array_equal(
            model.bundle.tensors["inputs.symbols.weight"], table[[5, 0, 1, 2, 4]]
        )


def test_words_are_looked_up_as_their_vocabulary_shows(state_dict):
    told = []
    words = ["<pad>", "[UNK]", "the", "bank", "of", "river"]
    model = imported(state_dict, told.append, vocabulary=words)
    assert (model.spec.inputs.kind, model.spec.inputs.lowercase) == ("words", True)
    assert any("words are looked up in lower case, as no item has a capital" in t for t in told)
    assert model.predict([["The", "bank"]]) == model.predict([["the", "bank"]])
    model = imported(state_dict, vocabulary=[*words[:-1], "River"])
    assert not model.spec.inputs.lowercase
    assert not imported(state_dict, vocabulary=words, lowercase=False).spec.inputs.lowercase
    symbols = imported(state_dict, vocabulary=words, inputs="symbols")
    assert symbols.spec.inputs.kind == "symbols"


def test_without_an_unknown_item_they_get_zeros(state_dict):
    told = []
    model = imported(state_dict, told.append, vocabulary=list("abcdef"))
    assert not model.bundle.tensors["inputs.symbols.weight"][0].any()
    assert any("no item stands for unknown ones: they get zeros" in line for line in told)


@pytest.mark.parametrize(
    ("beside", "error", "message"),
    [
        ({"vocabulary": ITEMS[:-1]}, ConversionError, "has 5 items, the model has vectors of 6"),
        ({"vocabulary": [*ITEMS, "e"]}, ConversionError, "has 7 items, the model has vectors of 6"),
        ({"vocabulary": {"a": 0, "b": 9}}, ConversionError, "2 items with numbers 0 to 9"),
        ({"vocabulary": [*ITEMS[:-1], "a"]}, ConversionError, "the item 'a' stands there 2 times"),
        ({"vocabulary": {"a": 1, "b": 1}}, ConversionError, "the number 1 stands there 2 times"),
        ({"vocabulary": {"a": "1"}}, FormatError, "'a' with number '1' is no item"),
        ({"vocabulary": []}, FormatError, "holds no item"),
        ({"vocabulary": None}, UsageError, "Give the vocabulary"),
        ({"vocabulary": "/no/where.txt"}, FormatError, "no such file"),
        ({"unknown": "?"}, ConversionError, "the unknown item '\\?' is none of the vocabulary's"),
        ({"padding": "?"}, ConversionError, "the padding item '\\?' is none of the vocabulary's"),
        ({"labels": None}, UsageError, "has 2 labels, and their names are not in it"),
        ({"labels": ["x"]}, ConversionError, "has 1 items, the model has 2 labels"),
        ({"labels": {"x": 1, "y": 2}}, ConversionError, "2 items with numbers 1 to 2"),
        ({"labels": ["x", "x"]}, ConversionError, "the item 'x' stands there 2 times"),
        ({"task": "taggr"}, UsageError, "did you mean tagger"),
        ({"inputs": "letters"}, UsageError, "inputs is 'letters'"),
        ({"task": "classifier"}, UsageError, "Give the pooling"),
        ({"task": "regressor", "pooling": "last"}, UsageError, "no use for labels"),
        ({"task": "tagger", "cell": "lstm"}, ShapeError, "said to be lstm"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(beside, error, message, state_dict):
    with pytest.raises(error, match=message):
        imported(state_dict, **beside)


def test_a_file_of_items_that_is_none_is_refused(state_dict, tmp_path):
    path = tmp_path / "items.json"
    for content, message in (
        (b'{"a": 1, "a": 2}', "the item 'a' stands there 2 times"),
        (b"[1, 2]", "1 with number 0 is no item"),
        (b'["a"', "is not JSON"),
        (b"\xff\xfe", "not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(BirnnError, match=message):
            imported(state_dict, vocabulary=path)


def test_files_of_items_as_other_programs_write_them(state_dict, tmp_path):
    """With a byte order mark, lines of Windows, JSON of another name."""
    lines = "".join(f"{item}\r\n" for item in ITEMS).encode()
    plain = imported(state_dict, vocabulary=ITEMS, labels=LABELS).bundle.vocabularies
    for content in (lines, b"\xef\xbb\xbf" + lines, json.dumps(ITEMS).encode("utf-8-sig")):
        (tmp_path / "items").write_bytes(content)
        found = imported(state_dict, vocabulary=tmp_path / "items", labels=LABELS)
        assert found.bundle.vocabularies == plain
    some = {item: number for number, item in enumerate(ITEMS[:4])}
    found = imported(state_dict, vocabulary=some, labels=LABELS)
    assert found.bundle.vocabularies["symbols"] == ("<unk>", "a", "b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", "x\n\n", "a label is empty"),
        ("l.txt", "x\t0\ny\t1\n", "several columns"),
        ("l.txt", "", "holds no item"),
        ("l.json", '{"x": 0, "x": 1}', "json: the item 'x' stands there 2 times"),
        ("l.json", '"xy"', "is a str, not a list"),
        ("l.json", '["x", "\\ud800"]', "surrogate"),
        ("l.json", '{"x": 0, "y": ' + 5000 * "9" + "}", "is not JSON"),
    ],
)
def test_labels_that_are_none_are_refused(name, content, message, state_dict, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises((FormatError, ConversionError), match=message):
        imported(state_dict, vocabulary=ITEMS, labels=tmp_path / name)


def test_what_a_file_says_itself_is_not_asked(keras_file):
    told = []
    birnn.import_model(keras_file, tell=told.append, labels=LABELS, cell="lstm", pooling="max")
    assert any("cell, pooling: unused" in line for line in told)
    with pytest.raises(UsageError, match="no use for unknown, lowercase"):
        birnn.import_model(keras_file, labels=LABELS, unknown="?", lowercase=True)


def test_vectors_have_no_vocabulary(keras_file):
    with pytest.raises(UsageError, match="no use for vocabulary"):
        birnn.import_model(keras_file, labels=LABELS, vocabulary=ITEMS)
    with pytest.raises(ConversionError, match=r"said to be a classifier, but .* those of a tagger"):
        birnn.import_model(keras_file, labels=LABELS, task="classifier")


ALONE = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "keras", "tensorflow", "jax", "onnxruntime"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import birnn
files = json.loads(sys.argv[1])
models = [birnn.import_model(file, tell=lambda line: None, **given) for file, given in files]
print([model.spec.task for model in models])
"""


def test_no_framework_is_needed(files):
    given = json.dumps([[str(path), beside] for path, beside in files.items()])
    command = [sys.executable, "-c", ALONE, given]
    assert subprocess.check_output(command, text=True).strip() == str(["tagger"] * 3)
