"""ONNX graphs that torch exports, against what the modules answer; and graphs that are none."""

from __future__ import annotations

import io
import os
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from birnn.errors import ConversionError, FormatError, ShapeError
from birnn.foreign import Beside, bundle_of, onnx_layers
from birnn.importing.onnx_file import read_onnx_file
from birnn.runtime import Predictor

ITEMS, LABELS = ["<pad>", "<unk>", *"abcdefg"], ["x", "y", "z"]
IDS = np.random.default_rng(0).integers(1, 9, (3, 7))
TEXTS = ["".join("??abcdefg"[number] for number in row) for row in IDS]


class Tagger(nn.Module):
    """Embedding, a stack, a head with a hidden layer and a softmax."""

    def __init__(self, cell, layers, both, activation):
        super().__init__()
        self.table = nn.Embedding(9, 5)
        self.rnn = getattr(nn, cell)(5, 4, layers, bidirectional=both, batch_first=True)
        self.out = nn.Sequential(nn.Linear(4 * (1 + both), 6), activation, nn.Linear(6, 3))

    def forward(self, ids):
        return self.out(self.rnn(self.table(ids))[0]).softmax(-1)


class Pooled(Tagger):
    """One answer for a sequence."""

    def __init__(self, pooling, cell, layers, both):
        super().__init__(cell, layers, both, nn.ReLU())
        self.pooling = pooling
        self.out = nn.Linear(4 * (1 + both) * len(pooling), 3)

    def forward(self, ids):
        rows, state = self.rnn(self.table(ids))
        h = state[0] if isinstance(state, tuple) else state
        last = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
        parts = {"last": last, "max": rows.amax(1), "mean": rows.mean(1), "end": rows[:, -1]}
        chosen = [parts[part] for part in self.pooling]
        return self.out(chosen[0] if len(chosen) == 1 else torch.cat(chosen, 1)).softmax(-1)


class Series(nn.Module):
    """Channels, normalised, through a dense layer; steps first."""

    def __init__(self):
        super().__init__()
        self.norm, self.dense = nn.BatchNorm1d(3), nn.Linear(3, 5)
        self.rnn, self.out = nn.GRU(5, 4, bidirectional=True), nn.Linear(8, 3, bias=False)

    def forward(self, x):
        rows = self.dense(self.norm(x.transpose(1, 2)).transpose(1, 2)).relu()
        return self.out(self.rnn(rows.transpose(0, 1))[0]).transpose(0, 1)


MODELS = {
    "tagger, lstm, 2 layers": lambda: Tagger("LSTM", 2, True, nn.ReLU()),
    "tagger, gru, gelu": lambda: Tagger("GRU", 1, True, nn.GELU()),
    "tagger, rnn, one direction": lambda: Tagger("RNN", 2, False, nn.Tanh()),
    "last, lstm, 2 layers": lambda: Pooled(["last"], "LSTM", 2, True),
    "last, one direction": lambda: Pooled(["last"], "GRU", 1, False),
    "last row, one direction": lambda: Pooled(["end"], "GRU", 2, False),
    "max": lambda: Pooled(["max"], "GRU", 1, True),
    "max and mean": lambda: Pooled(["max", "mean"], "GRU", 2, True),
}


def exported(model, given):
    stream = io.BytesIO()
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is old, and says so
        torch.onnx.export(
            model, given, stream, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "batch", 1: "steps"}},
        )  # fmt: skip
    return onnx.load_model_from_string(stream.getvalue())


@pytest.fixture(scope="module")
def graph_of(tmp_path_factory):
    """The graph of an ONNX model, through a file."""

    def read(model, folder=None):
        path = (folder or tmp_path_factory.mktemp("onnx")) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return read_onnx_file(path)[0]

    return read


def predictor_of(graph, **beside):
    told = Beside(**beside)
    return Predictor(bundle_of(onnx_layers(graph), told, []))


@pytest.mark.parametrize("name", MODELS)
def test_it_answers_as_the_module_does(name, graph_of):
    torch.manual_seed(4)
    model = MODELS[name]()
    graph = graph_of(exported(model, torch.from_numpy(IDS)))
    found = predictor_of(graph, vocabulary=ITEMS, labels=LABELS).predict_proba(TEXTS)
    with torch.no_grad():
        expected = model(torch.from_numpy(IDS)).numpy()
    np.testing.assert_allclose(np.stack(list(found)), expected, atol=1e-6)


def test_a_series_with_steps_first_is_followed_through_its_transpositions(graph_of):
    torch.manual_seed(4)
    model, x = Series(), torch.randn(2, 6, 3)
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    graph = graph_of(exported(model, x))
    found = predictor_of(graph, labels=LABELS).scores(list(x.numpy()))
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(np.stack(found), expected, atol=2e-6)


# ---------------------------------------------------------------------- graphs that are none


@pytest.fixture(scope="module")
def tagger():
    torch.manual_seed(4)
    return exported(Tagger("GRU", 1, True, nn.ReLU()), torch.from_numpy(IDS))


def copy(model):
    return onnx.load_model_from_string(model.SerializeToString())


def node_of(model, kind):
    return next(node for node in model.graph.node if node.op_type == kind)


def with_attribute(model, kind, **values):
    node = node_of(model, kind)
    for name, value in values.items():
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])


def old_gru(model):
    with_attribute(model, "GRU", linear_before_reset=0)


def clipped(model):
    with_attribute(model, "GRU", clip=3.0)


def backwards(model):
    with_attribute(model, "GRU", direction="reverse")


def half(model):
    """Arrays of one direction for a layer of two."""
    names = list(node_of(model, "GRU").input[1:4])
    for tensor in model.graph.initializer:
        if tensor.name in names:
            array = numpy_helper.to_array(tensor)[:1]
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def begun(model):
    """Initial states that are not zero."""
    node = node_of(model, "GRU")
    state = numpy_helper.from_array(np.ones((2, 3, 4), np.float32), "state")
    model.graph.initializer.append(state)
    node.input[5] = "state"


def convolved(model):
    node_of(model, "Relu").op_type = "HardSwish"


def mixed(model):
    """The axes of directions and sequences in each other's place before they are joined."""
    places = [n for n in model.graph.node if n.op_type == "Transpose"]
    next(n for n in places if len(n.attribute[0].ints) == 4).attribute[0].ints[:] = [0, 1, 2, 3]


def reshaped(model):
    """Sizes written out, from which it cannot be seen that sequences and steps change places."""
    name = node_of(model, "Reshape").input[1]
    maker = next(n for n in model.graph.node if name in n.output)
    maker.attribute[0].t.CopyFrom(numpy_helper.from_array(np.array([3, 7, -1])))


def narrow(model):
    """A matrix of the head that reads other rows."""
    held = {t.name: t for t in model.graph.initializer}
    node = node_of(model, "MatMul")
    name = next(name for name in node.input if name in held)
    array = numpy_helper.to_array(held[name])[:-1]
    held[name].CopyFrom(numpy_helper.from_array(array, name))


def cut_short(model):
    """Lengths that are written into the graph: the layer reads two steps of each sequence."""
    lengths = numpy_helper.from_array(np.array([2, 2, 2], np.int32), "lengths")
    model.graph.initializer.append(lengths)
    node_of(model, "GRU").input[4] = "lengths"


def before(model, kind, made):
    """An operator between one of a kind and what it reads."""
    places = list(model.graph.node)
    at = next(n for n, node in enumerate(places) if node.op_type == kind)
    made.input[0] = places[at].input[0]
    places[at].input[0] = made.output[0]
    del model.graph.node[:]
    model.graph.node.extend([*places[:at], made, *places[at:]])


def rounded(model):
    before(model, "Relu", helper.make_node("Cast", [""], ["whole"], to=onnx.TensorProto.INT32))


def rounded_weights(model):
    """A matrix that is cast to integers in the graph, as if it were only passed on."""
    name = node_of(model, "MatMul").input[1]
    cast = helper.make_node("Cast", [name], ["whole"], to=onnx.TensorProto.INT32)
    model.graph.node.insert(0, cast)
    node_of(model, "MatMul").input[1] = "whole"


def dropping(model):
    training = numpy_helper.from_array(np.array(True), "training")
    model.graph.initializer.append(training)
    before(model, "Relu", helper.make_node("Dropout", ["", "", "training"], ["dropped"]))


def circular(model):
    """States that are made of themselves."""
    node_of(model, "GRU").input[5] = "round"
    for first, second in (("round", "about"), ("about", "round")):
        model.graph.node.insert(0, helper.make_node("Identity", [first], [second]))


def given_twice(model):
    model.graph.node.append(helper.make_node("Identity", [model.graph.output[0].name], ["x"]))


def unmade(model):
    model.graph.output[0].name = "nowhere"


def zeros_are_sizes(model):
    with_attribute(model, "Reshape", allowzero=1)


GRAPHS = {
    cut_short: (ConversionError, "its sequence_lens lengths is computed or a constant"),
    rounded: (ConversionError, "it makes whole numbers of the rows"),
    rounded_weights: (ConversionError, "whole is computed"),
    dropping: (ConversionError, "it drops values when the model predicts too"),
    circular: (FormatError, "it reads (round|about), which nothing before it gives"),
    given_twice: (FormatError, "it gives x, which is there already"),
    unmade: (FormatError, "its output nowhere"),
    zeros_are_sizes: (ConversionError, "allowzero"),
    old_gru: (ConversionError, "linear_before_reset is 0, it must be 1"),
    clipped: (ConversionError, "clip is 3.0"),
    backwards: (ConversionError, "reads backwards alone"),
    half: (ConversionError, "reverse direction is missing: its arrays are of 1, 1, 1"),
    begun: (ConversionError, "initial state is not zero"),
    convolved: (ConversionError, r"Relu.* birnn has no counterpart of ONNX' HardSwish here"),
    mixed: (ConversionError, r"reshapes axes T, S, B, W to \[0, 0, -1\], which may mix"),
    reshaped: (ConversionError, r"reshapes axes T, B, S, W to \[3, 7, -1\], which may mix"),
    narrow: (ShapeError, r"reads rows of 7 values, and .* below it gives 8"),
}


@pytest.mark.parametrize("change", GRAPHS, ids=lambda change: change.__name__)
def test_what_has_no_counterpart_is_named(change, tagger, graph_of):
    model, (error, message) = copy(tagger), GRAPHS[change]
    change(model)
    with pytest.raises(error, match=message):
        predictor_of(graph_of(model), vocabulary=ITEMS, labels=LABELS)


def test_the_last_row_of_two_directions_is_no_final_state(graph_of):
    model = exported(Pooled(["end"], "GRU", 1, True), torch.from_numpy(IDS))
    with pytest.raises(ConversionError, match="there the backward half has read one step"):
        onnx_layers(graph_of(model))


def test_batch_normalisation_by_the_batch_is_refused(graph_of):
    """Its mean and variance are those of what it reads."""
    model = exported(Series(), torch.zeros(4, 2, 3))
    with_attribute(model, "BatchNormalization", training_mode=1)
    with pytest.raises(ConversionError, match="training_mode"):
        onnx_layers(graph_of(model))


def test_a_graph_without_opset_or_with_an_array_twice_is_refused(tagger, graph_of):
    model = copy(tagger)
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(FormatError, match="several arrays"):
        graph_of(model)
    del model.opset_import[:]
    with pytest.raises(ConversionError, match="says no opset"):
        graph_of(model)


@pytest.mark.parametrize("version", [3, 999])
def test_an_unknown_opset_is_refused(version, tagger, graph_of):
    model = copy(tagger)
    model.opset_import[0].version = version
    with pytest.raises(ConversionError, match=f"opset {version} is not known"):
        graph_of(model)


def test_an_old_softmax_is_over_more_than_the_labels(tagger, graph_of):
    model = copy(tagger)
    del node_of(model, "Softmax").attribute[:]
    model.opset_import[0].version = 13
    onnx_layers(graph_of(model))
    model.opset_import[0].version = 12
    with pytest.raises(ConversionError, match="its axis is 1, not that of labels"):
        onnx_layers(graph_of(model))


def test_operators_of_others_are_refused(tagger, graph_of):
    model = copy(tagger)
    node_of(model, "Relu").domain = "com.example"
    with pytest.raises(ConversionError, match=r"operators Relu of com\.example"):
        graph_of(model)


def external(model, **entries):
    """The first array of a model in a file beside it."""
    tensor = model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": "data.bin", "length": str(len(content))} | entries).items():
        tensor.external_data.add(key=key, value=value)
    return content


def test_external_data_is_read_within_the_folder_alone(tagger, graph_of, tmp_path):
    model = copy(tagger)
    name, expected = model.graph.initializer[0].name, model.graph.initializer[0]
    expected = numpy_helper.to_array(expected)
    content = external(model)
    (tmp_path / "data.bin").write_bytes(content)
    np.testing.assert_array_equal(graph_of(model, tmp_path).constants[name], expected)
    (tmp_path / "data.bin").write_bytes(content[:-1])
    with pytest.raises(FormatError, match=r"data\.bin: is truncated"):
        graph_of(model, tmp_path)
    (tmp_path / "data.bin").unlink()
    with pytest.raises(FormatError, match=r"data\.bin: is missing: array .* of .*model\.onnx "):
        graph_of(model, tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "data.bin").symlink_to("/etc/hostname")
    with pytest.raises(FormatError, match="leaves the folder: refused"):
        graph_of(model, tmp_path / "model")
    for place in ("../data.bin", "/etc/hostname", ""):
        outside = copy(tagger)
        external(outside, location=place)
        with pytest.raises(FormatError, match=r"leaves the folder|names no file"):
            graph_of(outside, tmp_path)
    wrong = copy(tagger)
    external(wrong, length="3")
    with pytest.raises(FormatError, match="3 bytes at 0, needed are"):
        graph_of(wrong, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    endless = copy(tagger)
    external(endless, location="pipe")
    with pytest.raises(FormatError, match="pipe: is no file"):
        graph_of(endless, tmp_path)
    vast = copy(tagger)
    vast.graph.initializer[0].dims[0] = 10**15
    external(vast, location="model.onnx")
    del vast.graph.initializer[0].external_data[1]
    with pytest.raises(FormatError, match="is truncated"):
        graph_of(vast, tmp_path)
