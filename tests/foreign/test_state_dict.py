"""State dicts of torch modules, against what the modules themselves answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from birnn.errors import ConversionError, ShapeError, UsageError
from birnn.foreign import Beside, assemble, bundle_of, state_dict_layers
from birnn.foreign.layers import RecurrentLayer
from birnn.runtime import Predictor

ITEMS = ["<pad>", "<UNK>", *"abcdefgh"]
LABELS = ["x", "y", "z"]
TAGGER = Beside(task="tagger")
SEQUENCES = ["abcdefgh", "a", "hgf?ed", "", "bab"]
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}


class Tagger(nn.Module):
    """Embedding, a stack, and a head with a hidden layer; names as people give them."""

    def __init__(self, cell="lstm", layers=1, both=True, bias=True, between=0, hidden=6):
        super().__init__()
        self.char_emb = nn.Embedding(len(ITEMS), 5, padding_idx=0)
        self.proj = nn.Linear(5, between) if between else None
        how = {"nonlinearity": cell[4:]} if cell.startswith("rnn") else {}
        self.birnn = CELLS[cell](
            between or 5, 4, layers, bias=bias, batch_first=True, bidirectional=both, **how
        )
        self.out = nn.Sequential(
            nn.Linear(8 if both else 4, hidden), nn.Tanh(), nn.Linear(hidden, len(LABELS))
        )

    def rows(self, text):
        ids = torch.tensor([[ITEMS.index(c) if c in ITEMS else 1 for c in text]])
        x = self.char_emb(ids)
        return self.birnn(x if self.proj is None else self.proj(x).tanh())

    def forward(self, text):
        return self.out(self.rows(text)[0][0])


class Pooled(Tagger):
    """One answer for a sequence, of poolings side by side."""

    def __init__(self, pooling, **how):
        super().__init__(**how)
        self.pooling = pooling
        self.out = nn.Linear(8 * len(pooling), len(LABELS))

    def forward(self, text):
        rows, state = self.rows(text)
        h = state[0] if isinstance(state, tuple) else state
        parts = {"last": h[-2:, 0].reshape(-1), "max": rows[0].amax(0), "mean": rows[0].mean(0)}
        return self.out(torch.cat([parts[part] for part in self.pooling]))


def arrays_of(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def imported(model, **beside):
    told = Beside.checked(vocabulary=ITEMS, labels=LABELS, **beside)
    notices = []
    return Predictor(bundle_of(state_dict_layers(arrays_of(model), told, notices), told, notices))


def drawn(model, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.7)
        model.char_emb.weight[0] = 0
    return model.eval()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"cell": "gru", "layers": 3},
        {"cell": "rnn_tanh", "both": False, "layers": 2},
        {"cell": "rnn_relu"},
        {"bias": False},
        {"between": 7},
        {"between": 5, "cell": "gru"},
    ],
    ids=str,
)
def test_a_tagger_answers_as_the_module_does(how):
    model = drawn(Tagger(**how))
    predictor = imported(model, task="tagger", activation="tanh", cell=how.get("cell"))
    found = predictor.predict_proba(SEQUENCES)
    for text, rows in zip(SEQUENCES, found, strict=True):
        assert rows.shape == (len(text), len(LABELS))
        if text:
            with torch.no_grad():
                expected = model(text).softmax(-1).numpy()
            np.testing.assert_allclose(rows, expected, atol=2e-6)


@pytest.mark.parametrize(
    "pooling", ["last", "max", "mean", "max+mean", "mean+last", "last+max+mean"]
)
def test_poolings_are_taken_apart(pooling):
    model = drawn(Pooled(pooling.split("+"), cell="gru", layers=2))
    predictor = imported(model, task="classifier", pooling=pooling)
    texts = [text for text in SEQUENCES if text]
    with torch.no_grad():
        expected = torch.stack([model(text) for text in texts]).softmax(-1).numpy()
    np.testing.assert_allclose(predictor.predict_proba(texts), expected, atol=2e-6)


def test_a_crf_is_that_of_pytorch_crf():
    """The best of all paths, counted out: scores, transitions between tags, and both ends."""
    model = drawn(Tagger())
    random = np.random.default_rng(0)
    chain = {
        "crf.transitions": random.standard_normal((3, 3)).astype(np.float32) * 2,
        "crf.start_transitions": random.standard_normal(3).astype(np.float32),
        "crf.end_transitions": random.standard_normal(3).astype(np.float32),
    }
    beside = Beside(vocabulary=ITEMS, labels=LABELS, activation="tanh")
    layers = state_dict_layers(arrays_of(model) | chain, beside, [])
    predictor = Predictor(bundle_of(layers, beside, []))
    assert predictor.spec.head.decoder == "crf"
    for text in ("abc", "h", "fede"):
        with torch.no_grad():
            scores = model(text).numpy()
        paths = np.stack(np.meshgrid(*[range(3)] * len(text), indexing="ij"), -1).reshape(
            -1, len(text)
        )
        totals = scores[np.arange(len(text)), paths].sum(1)
        totals += chain["crf.start_transitions"][paths[:, 0]]
        totals += chain["crf.end_transitions"][paths[:, -1]]
        totals += chain["crf.transitions"][paths[:, :-1], paths[:, 1:]].sum(1)
        [answer] = predictor.predict([text])
        assert answer == [LABELS[tag] for tag in paths[totals.argmax()]]


def test_vectors_need_no_vocabulary_and_a_regressor_no_labels():
    torch.manual_seed(1)
    lstm, out = nn.LSTM(3, 4, bidirectional=True, batch_first=True), nn.Linear(8, 2)
    arrays = {f"module.rnn.{n}": v.numpy() for n, v in lstm.state_dict().items()}
    arrays |= {f"module.fc.{n}": v.numpy() for n, v in out.state_dict().items()}
    beside, x = Beside(task="regressor", pooling="mean"), torch.randn(1, 5, 3)
    found = Predictor(bundle_of(state_dict_layers(arrays, beside, []), beside, [])).predict([x[0]])
    with torch.no_grad():
        expected = out(lstm(x)[0].mean(1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_embedding_is_known_by_its_shape_where_no_name_says_it():
    """As in torch's own example of a language model: encoder, rnn, decoder."""
    model = drawn(Tagger())
    names = {"char_emb": "encoder", "birnn": "rnn", "out.0": "hidden", "out.2": "decoder"}
    arrays = {}
    for name, array in arrays_of(model).items():
        owner, _, last = name.rpartition(".")
        arrays[f"{names[owner]}.{last}"] = array
    beside, notices = Beside(task="tagger", activation="tanh", vocabulary=ITEMS, labels=LABELS), []
    predictor = Predictor(bundle_of(state_dict_layers(arrays, beside, notices), beside, []))
    assert notices == [
        "rnn is a lstm of 1 layer, two directions; below it encoder; above it hidden, decoder"
    ]
    with torch.no_grad():
        expected = model("abc?").softmax(-1).numpy()
    np.testing.assert_allclose(predictor.predict_proba(["abc?"])[0], expected, atol=2e-6)


def test_what_is_guessed_is_told():
    notices = []
    state_dict_layers(arrays_of(Tagger()), Beside(task="tagger"), notices)
    assert notices == [
        "birnn is a lstm of 1 layer, two directions; below it char_emb; above it out.0, out.2",
        "after out.0: relu, as is usual; a state dict does not say it, --activation does",
    ]


def without(*names):
    return {n: v for n, v in arrays_of(Tagger()).items() if not n.endswith(names)}


BAD = {
    "no reverse": (without("_reverse"), ShapeError, r"give 4, .*reverse direction missing\?"),
    "half a reverse": (
        {n: v for n, v in arrays_of(Tagger(layers=2)).items() if not n.endswith("l1_reverse")},
        ConversionError,
        r"birnn, layer 1: the reverse direction is missing: there is no weight_ih_l1_reverse",
    ),
    "no layer": (without("_l0", "_reverse"), ConversionError, "has no recurrent layer"),
    "another array": (
        {**arrays_of(Tagger()), "conv.weight": np.zeros((2, 3, 4))},
        ConversionError,
        r"belong to no layer that birnn has: conv\.weight \(2, 3, 4\)",
    ),
    "normalisation": (
        {**arrays_of(Tagger()), "norm.running_mean": np.zeros(8)},
        ConversionError,
        r"norm\.running_mean .*ONNX",
    ),
    "a projection": (
        {n: v.numpy() for n, v in nn.LSTM(3, 4, proj_size=2).state_dict().items()},
        ConversionError,
        "proj_size",
    ),
    "widths": (
        {**arrays_of(Tagger()), "out.2.weight": np.zeros((3, 9), np.float32)},
        ShapeError,
        r"no chain: .*give 8, .*out\.2 \(3, 9\)",
    ),
    "two embeddings": (
        {**arrays_of(Tagger()), "word_embedding.weight": np.zeros((9, 5))},
        ConversionError,
        "2 embeddings",
    ),
    "half a CRF": (
        {**arrays_of(Tagger()), "crf.transitions": np.zeros((3, 3))},
        ConversionError,
        "transitions alone",
    ),
    "a CRF with START and STOP": (
        {**arrays_of(Tagger()), "crf.transitions": np.zeros((5, 5))},
        ConversionError,
        "needed are three .* START and STOP",
    ),
    "quantised": (
        {**arrays_of(Tagger()), "char_emb.weight": np.zeros((10, 5), np.int8)},
        ConversionError,
        r"char_emb\.weight \(10, 5\) int8",
    ),
    "a mask": (
        {**arrays_of(Tagger()), "crf._constraint_mask": np.zeros((5, 5), bool)},
        ConversionError,
        "_constraint_mask",
    ),
    "names without an order": (
        {
            **arrays_of(Tagger(hidden=8)),
            "mid.weight": np.zeros((8, 8), np.float32),
            "mid.bias": np.zeros(8, np.float32),
        },
        ConversionError,
        "mid, out.0, out.2 and out.0, mid, out.2 both fit",
    ),
    "modules without an order": (
        {
            f"{n}.{name}": v.numpy()
            for n in ("fw", "bw")
            for name, v in nn.LSTM(4, 4).state_dict().items()
        }
        | {"out.weight": np.zeros((3, 4))},
        ConversionError,
        "bw, fw and fw, bw both fit",
    ),
    "a scalar for a CRF": (
        {
            **arrays_of(Tagger()),
            "crf.transitions": np.zeros((3, 3)),
            "crf.start_transitions": np.zeros(()),
            "crf.end_transitions": np.zeros(3),
        },
        ShapeError,
        r"start \(\)",
    ),
    "no cell": (
        {**arrays_of(Tagger()), "birnn.weight_hh_l0": np.zeros((15, 4))},
        ShapeError,
        r"\(15, 4\), which no cell has",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_counterpart_is_named(name):
    arrays, error, message = BAD[name]
    with pytest.raises(error, match=message):
        assemble(state_dict_layers(arrays, Beside(task="tagger"), []))


class Listed(nn.Module):
    """Modules in a list, of which a file has the tenth before the second."""

    def __init__(self, count=12):
        super().__init__()
        self.ensemble = nn.Linear(8, 8)  # no embedding, though "emb" is in its name
        self.rnns = nn.ModuleList(
            [nn.GRU(8, 4, batch_first=True, bidirectional=True) for _ in range(count)]
        )
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.ensemble(x).relu()
        for rnn in self.rnns:
            x = rnn(x)[0]
        return self.out(x)


def test_modules_stand_in_the_order_of_their_numbers_wherever_a_file_has_them():
    torch.manual_seed(0)
    model = Listed().eval()
    arrays, notices = dict(sorted(arrays_of(model).items(), reverse=True)), []
    with pytest.raises(ConversionError, match="ensemble, out"):
        # Whether the square layer stands below or above is not in the shapes.
        assemble(state_dict_layers(arrays | {"mid.weight": np.zeros((8, 8))}, TAGGER, []))
    layers = state_dict_layers(arrays, TAGGER, notices)
    names = [layer.name for layer in layers if isinstance(layer, RecurrentLayer)]
    assert names == [f"rnns.{number}" for number in range(12)]
    assert any("ensemble could as well stand below" in line for line in notices)


def test_modules_stand_in_the_order_in_which_widths_agree():
    arrays = {
        f"{owner}.{name}": value.numpy()
        for owner, inputs in (("lower", 5), ("high", 8))
        for name, value in nn.GRU(inputs, 4, bidirectional=True).state_dict().items()
    }
    for order in (arrays, dict(reversed(arrays.items()))):
        layers = state_dict_layers(order | {"out.weight": np.zeros((3, 8))}, TAGGER, [])
        assert [layer.name for layer in layers] == ["lower", "high", "out"]


def test_what_it_does_not_say_must_be_said():
    arrays = arrays_of(Tagger())
    with pytest.raises(UsageError, match="Give the task"):
        state_dict_layers(arrays, Beside(), [])
    with pytest.raises(UsageError, match="Give the pooling"):
        state_dict_layers(arrays, Beside(task="classifier"), [])
    with pytest.raises(UsageError, match="it must be of last, max and mean"):
        state_dict_layers(arrays, Beside(task="classifier", pooling="max+max"), [])
    with pytest.raises(ShapeError, match="said to be gru, but 16 rows"):
        state_dict_layers(arrays, Beside(task="tagger", cell="gru"), [])
