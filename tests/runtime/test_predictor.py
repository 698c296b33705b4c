"""The runtime against the same model computed one sequence at a time in float64."""

# T steps, L labels

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from birnn.bundle import (
    Bundle,
    Characters,
    Encoder,
    Label,
    Spec,
    Surface,
    Symbols,
    Tags,
    Values,
    Vectors,
    Words,
    save,
)
from birnn.data.examples import Example
from birnn.data.schemes import SchemeName, convert, spans, transitions
from birnn.engine import isa
from birnn.errors import BundleError, DataError, UsageError
from birnn.inputs import Dense
from birnn.reference.activations import ActivationName
from birnn.reference.stack import CellName, MergeName
from birnn.runtime import Predictor
from birnn.runtime import batches as module
from birnn.tasks import PoolingName
from birnn.tasks.multilabel import Labels

LENGTHS = [3, 0, 7, 1, 1, 12, 0, 5]

CHARACTERS = Characters(size=9, dim=3, hidden_size=4)
SURFACE = Surface(size=14, dim=2, prefixes=(1, 3), suffixes=(2, 4))
INPUTS = {
    "words": Words(size=9, dim=5),
    "words as written": Words(size=9, dim=5, lowercase=False, digits=False),
    "words+characters": Words(size=9, dim=5, characters=CHARACTERS),
    "words+surface": Words(size=9, dim=5, surface=SURFACE),
    "words+characters+surface": Words(size=9, dim=5, characters=CHARACTERS, surface=SURFACE),
    "symbols": Symbols(size=10, dim=5),
    "vectors": Vectors(size=3),
}
HEADS = {
    "softmax": Tags(size=5),
    "crf": Tags(size=5, decoder="crf"),
    "crf iob1": Tags(size=5, decoder="crf", scheme="iob1"),
    "crf iob2": Tags(size=5, decoder="crf", scheme="iob2"),
    "crf iobes": Tags(size=5, decoder="crf", scheme="iobes"),
    "softmax iob2": Tags(size=5, scheme="iob2"),
    "label": Label(size=4),
    "labels": Labels(size=4, thresholds=(0.3, 0.5, 0.6, 0.9)),
    "values": Values(size=2),
}


def specs() -> Iterator[Any]:
    for (name, inputs), (end, head) in itertools.product(INPUTS.items(), HEADS.items()):
        yield pytest.param(
            Spec(inputs=inputs, encoder=Encoder(hidden_size=4), head=head), id=f"{name}-{end}"
        )
    for cell, merge, both in itertools.product(
        get_args(CellName), get_args(MergeName), (True, False)
    ):
        encoder = Encoder(
            cell=cell, hidden_size=4, num_layers=2, merge=merge, bidirectional=both, residual=True
        )
        yield pytest.param(
            Spec(inputs=INPUTS["symbols"], encoder=encoder, head=Label(size=3)),
            id=f"{cell}-{merge}-{both}",
        )
    for merge, width, *directions in (
        ("concat", None, "both", "both", "forward"),
        ("product", None, "forward", "both"),
        ("project", 3, "both", "forward", "both"),
    ):
        encoder = Encoder(
            cell="gru", hidden_size=4, merge=merge, merge_size=width, directions=directions
        )
        yield pytest.param(
            Spec(inputs=INPUTS["symbols"], encoder=encoder, head=Label(size=3)),
            id="-".join(directions),
        )
    for activation, head in itertools.product(
        get_args(ActivationName), (Tags(size=3, decoder="crf"), Label(size=3), Values(size=2))
    ):
        dense = Vectors(size=3, dense=Dense(size=5, activation=activation))
        hidden = {"hidden": (6, 4), "activation": activation}
        yield pytest.param(
            Spec(
                inputs=dense,
                encoder=Encoder(cell="gru", hidden_size=4),
                head=head.model_copy(update=hidden),
            ),
            id=f"{activation}-{head.kind}",
        )
    for pooling, merge in itertools.product(get_args(PoolingName), get_args(MergeName)):
        for head in (
            Label(size=3, pooling=pooling, attention_size=3),
            Labels(size=3, pooling=pooling, attention_score="linear", hidden=(2,)),
            Values(size=2, pooling=pooling, attention_size=3),
        ):
            encoder = Encoder(cell="gru", hidden_size=4, merge=merge)
            yield pytest.param(
                Spec(inputs=INPUTS["vectors"], encoder=encoder, head=head),
                id=f"{pooling}-{merge}-{head.kind}",
            )


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


class Chain:
    """A CRF by the enumeration of every tag sequence."""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.vocabularies["labels"]
        self.scores = [
            bundle.tensors[f"head.crf.{name}"].astype(np.float64)
            for name in ("transitions", "start", "end")
        ]
        scheme = bundle.spec.head.scheme
        if scheme != "none":
            masks = transitions(self.labels, scheme)
            self.scores = [np.where(m, s, -np.inf) for m, s in zip(masks, self.scores, strict=True)]

    def paths(self, emissions_TL: np.ndarray) -> dict[tuple[int, ...], float]:
        pairs, start, end = self.scores
        found = {}
        steps, labels = emissions_TL.shape
        for path in itertools.product(range(labels), repeat=steps):
            score = start[path[0]] + end[path[-1]]
            score += sum(emissions_TL[t, tag] for t, tag in enumerate(path))
            score += sum(pairs[a, b] for a, b in itertools.pairwise(path))
            found[path] = float(score)
        return found

    def marginals(self, emissions_TL: np.ndarray) -> np.ndarray:
        found = self.paths(emissions_TL)
        top = max(found.values())
        out = np.zeros(emissions_TL.shape)
        for path, score in found.items():
            out[np.arange(len(path)), path] += np.exp(score - top)
        return out / out.sum(axis=1, keepdims=True)

    def best(self, emissions_TL: np.ndarray) -> list[str]:
        found = self.paths(emissions_TL)
        return [self.labels[tag] for tag in max(found, key=found.__getitem__)]


def assert_same(one: Any, other: Any) -> None:
    """Equal labels, or numbers equal up to the rounding of float32."""
    if isinstance(one, np.ndarray) or (one and isinstance(one[0], float)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    else:
        assert one == other


# ------------------------------------------------------------------ against the slow way


@pytest.mark.parametrize("spec", list(specs()))
def test_scores_are_those_of_the_slow_model(
    spec: Spec, make: Callable[..., Bundle], draw: Callable[..., Any], slow: Callable[..., Any]
) -> None:
    bundle = make(spec)
    predictor, reference = Predictor(bundle), slow(bundle)
    data = draw(spec, LENGTHS)
    expected = [reference.scores(sequence) for sequence in data]
    answers = predictor.predict(data)
    if spec.head.kind == "values":
        mean, scale = reference.tensor("head.mean"), reference.tensor("head.scale")
        np.testing.assert_allclose(
            answers, [raw * scale + mean for raw in expected], rtol=1e-5, atol=1e-5
        )
        return
    if spec.head.kind == "label":
        proba = predictor.predict_proba(data)
        np.testing.assert_allclose(proba, softmax(np.array(expected)), rtol=0, atol=1e-5)
        assert answers == [predictor.labels[i] for i in np.argmax(expected, axis=1)]
        return
    if spec.head.kind == "labels":
        chances = 1 / (1 + np.exp(-np.array(expected)))
        np.testing.assert_allclose(predictor.predict_proba(data), chances, rtol=0, atol=1e-5)
        least = np.array(spec.head.thresholds or [0.5] * spec.head.size)
        # Too near to a threshold the rounding of float32 may decide.
        assert (np.abs(chances - least) > 1e-5).all()
        given = [
            [label for label, one in zip(predictor.labels, row >= least, strict=True) if one]
            for row in chances
        ]
        assert answers == given
        return
    assert [len(tags) for tags in answers] == LENGTHS
    proba = predictor.predict_proba(data)
    for tags, rows, scores in zip(answers, proba, expected, strict=True):
        assert rows.shape == scores.shape
        np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=0, atol=1e-5)
        if spec.head.decoder == "softmax":
            np.testing.assert_allclose(rows, softmax(scores), rtol=0, atol=1e-5)
            assert tags == [predictor.labels[i] for i in scores.argmax(axis=1)]
        elif 0 < len(scores) <= 5:
            chain = Chain(bundle)
            np.testing.assert_allclose(rows, chain.marginals(scores), rtol=0, atol=1e-5)
            assert tags == chain.best(scores)


@pytest.mark.parametrize(
    ("inputs", "head"),
    [("words+characters+surface", "crf iob2"), ("symbols", "label"), ("vectors", "values")],
)
def test_batch_and_order_change_nothing(
    inputs: str, head: str, make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    spec = Spec(inputs=INPUTS[inputs], encoder=Encoder(hidden_size=4), head=HEADS[head])
    predictor = Predictor(make(spec))
    data = draw(spec, LENGTHS * 4)
    together = predictor.predict(data)
    for sequence, answer in zip(data, together, strict=True):
        assert_same(predictor.predict([sequence])[0], answer)
    order = np.random.default_rng(3).permutation(len(data))
    shuffled = predictor.predict([data[i] for i in order])
    for i, answer in zip(order, shuffled, strict=True):
        assert_same(answer, together[i])
    for window in (1, 3, 1000):
        streamed = list(predictor.stream(iter(data), window=window))
        assert len(streamed) == len(data)
        for one, other in zip(streamed, together, strict=True):
            assert_same(one, other)


def test_dense_layers_give_a_row_the_same_bits_in_any_batch(
    make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    if isa.selected_engine() is None:
        pytest.skip("the engine native does not run here")
    for activation in get_args(ActivationName):
        spec = Spec(
            inputs=Vectors(size=3, dense=Dense(size=17, activation=activation)),
            encoder=Encoder(cell="gru", hidden_size=4),
            head=Tags(size=5, hidden=(19,), activation=activation),
        )
        predictor = Predictor(make(spec))
        data = draw(spec, LENGTHS * 4)
        for sequence, rows in zip(data, predictor.scores(data), strict=True):
            assert predictor.scores([sequence])[0].tobytes() == rows.tobytes()


# ------------------------------------------------------------------ streams


def test_a_stream_reads_no_further_than_its_window(make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=2), head=HEADS["softmax"])
    taken = 0

    def endless() -> Iterator[list[str]]:
        nonlocal taken
        while True:
            taken += 1
            yield ["a", "b"]

    stream = Predictor(make(spec)).stream(endless(), window=10)
    for _ in range(25):
        assert len(next(stream)) == 2
    assert taken <= 30
    with pytest.raises(UsageError, match="window is 0"):
        Predictor(make(spec)).stream([], window=0)


def test_long_sequences_close_a_window_early(
    make: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW_ROWS", 8)
    spec = Spec(inputs=Vectors(size=1), encoder=Encoder(hidden_size=1), head=Values(size=1))
    taken = 0

    def long() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((5, 1), np.float32)

    next(Predictor(make(spec)).stream(long()))
    assert taken == 2


@pytest.mark.parametrize("budget", [1, 4, 9])
def test_the_budget_of_a_batch_changes_nothing(
    budget: int,
    make: Callable[..., Bundle],
    draw: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = Spec(
        inputs=INPUTS["words+characters"], encoder=Encoder(hidden_size=3), head=HEADS["crf"]
    )
    data = draw(spec, LENGTHS)
    together = Predictor(make(spec)).predict(data)
    monkeypatch.setattr(module, "BATCH_ROWS", budget)
    assert Predictor(make(spec)).predict(data) == together


def test_no_sequences(make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=2), head=Label(size=3))
    predictor = Predictor(make(spec))
    assert predictor.predict([]) == []
    assert predictor.predict_proba([]).shape == (0, 3)


# ------------------------------------------------------------------ what a call may be


def test_texts_and_strings(make: Callable[..., Bundle]) -> None:
    encoder = Encoder(hidden_size=3)
    classifier = Predictor(make(Spec(inputs=INPUTS["words"], encoder=encoder, head=Label(size=3))))
    np.testing.assert_array_equal(
        classifier.predict_proba(["It's x, y", ""]),
        classifier.predict_proba([("It", "'s", "x", ",", "y"), ()]),
    )
    proteins = Predictor(make(Spec(inputs=INPUTS["symbols"], encoder=encoder, head=Tags(size=3))))
    expected = proteins.predict([["a", "b", "c"]])
    assert proteins.predict(["abc"]) == expected
    assert proteins.predict(["a b\tc\n"]) == expected
    assert proteins.predict(np.array([["a", "b", "c"]])) == expected
    assert proteins.predict(iter([iter("abc")])) == expected


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        ("The bank", ["sequences is str 'The bank'", "Give a list of sequences"]),
        (3, ["sequences is int 3"]),
        (["The", "bank"], ["sequence 0 is str 'The'", "[["]),
        ([["a"], 5], ["sequence 1 is int 5"]),
        ([["a"], ["b", 7]], ["sequence 1, step 1", "int 7"]),
        ([["a"], ["b", "c", ""]], ["sequence 1, step 2", "at least one character"]),
        ([["a"], None], ["sequence 1 is NoneType None"]),
        ([["a", ["b"]]], ["sequence 0, step 1", "list ['b']"]),
    ],
)
def test_bad_calls_of_a_tagger(call: Any, parts: list[str], make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=2), head=Tags(size=3))
    with pytest.raises(DataError) as caught:
        Predictor(make(spec)).predict(call)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (np.zeros((4, 3)), ["one array of shape (4, 3)"]),
        ([np.zeros((2, 3)), np.zeros((4, 5))], ["sequence 1 has shape (4, 5)", "(steps, 3)"]),
        ([np.zeros(3)], ["sequence 0 has shape (3,)"]),
        ([np.zeros((2, 3)), [[1, 2, np.nan]]], ["sequence 1, step 0", "channel 2 is nan"]),
        ([np.array([[1, 2, 3], [1, np.inf, 3]])], ["sequence 0, step 1", "channel 1 is inf"]),
        ([["a", "b"]], ["sequence 0 is list ['a', 'b']"]),
        (
            [[[1, 2, 1e300]]],
            ["sequence 0, step 0", "channel 2 is 1e+300, which float32 cannot hold"],
        ),
        ([[[1, 2, 3], [1]]], ["sequence 0", "not an array"]),
        ("abc", ["sequences is str 'abc'"]),
    ],
)
def test_bad_calls_on_vectors(call: Any, parts: list[str], make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=Vectors(size=3), encoder=Encoder(hidden_size=2), head=Label(size=3))
    with pytest.raises(DataError) as caught:
        Predictor(make(spec)).predict(call)
    for part in parts:
        assert part in str(caught.value)


def test_a_regressor_has_no_probabilities(make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=Vectors(size=3), encoder=Encoder(hidden_size=2), head=Values(size=1))
    with pytest.raises(UsageError, match="no probabilities"):
        Predictor(make(spec)).predict_proba([np.zeros((2, 3))])


def of_symbols(known: str) -> Predictor:
    spec = Spec(
        inputs=Symbols(size=len(known) + 1, dim=4),
        encoder=Encoder(hidden_size=3),
        head=Tags(size=2),
    )
    random = np.random.default_rng(3)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in spec.tensors().items()
    }
    return Predictor(Bundle(spec, {"symbols": ("<unk>", *known), "labels": ("H", "C")}, tensors))


def test_masked_residues_are_read_as_capitals_and_told(caplog: pytest.LogCaptureFixture) -> None:
    model = of_symbols("ACGT")
    expected = model.predict_proba(["ACGTAACCGGTT"])[0]
    assert caplog.messages == []
    for masked in ("acgtaaccggtt", "ACGTaaccGGTT", list("acgtaaccggtt")):
        np.testing.assert_array_equal(model.predict_proba([masked])[0], expected)
        assert caplog.messages == [
            "lower-case symbols are read as capitals: the model knows no others"
        ]
        caplog.clear()


def test_that_most_tokens_are_unknown_is_told(
    caplog: pytest.LogCaptureFixture, make: Callable[..., Bundle]
) -> None:
    model = of_symbols("ACGT")
    model.predict(["ACGTNN", "NNNNNNNN"])
    assert caplog.messages == [
        "the model knows 4 of the 14 symbols, and reads the others as one: is this its data?"
    ]
    caplog.clear()
    model.predict(["ACGTNN", "NN"])
    model.predict(["NNNNN"])
    assert caplog.messages == []
    told: list[str] = []
    model.evaluate([Example(("N",) * 5000, ("H",) * 5000)], tell=told.append)
    assert [line.partition(",")[0] for line in told] == [
        "the model knows 0 of the first 1000 symbols"
    ]
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=2), head=Tags(size=2))
    reader = Predictor(make(spec))
    known = [word.upper() for word in reader.bundle.vocabularies["words"][1:]]
    reader.predict([known * 2])
    assert caplog.messages == []
    reader.predict([known + ["zzz"] * 9])
    assert caplog.messages[0].startswith(f"the model knows {len(known)} of the {len(known) + 9} wo")


# ------------------------------------------------------------------ evaluation


def test_evaluate_counts_what_predict_gets_right(
    make: Callable[..., Bundle], draw: Callable[..., Any]
) -> None:
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=4), head=HEADS["softmax"])
    predictor = Predictor(make(spec))
    data = draw(spec, LENGTHS)
    answers = predictor.predict(data)
    gold = [list(tags) for tags in answers]
    gold[2][0] = "NEVER"
    gold[5][1] = "NEVER"
    gold[5][2] = "SEEN"
    result = predictor.evaluate(
        [Example(tuple(x), tuple(y)) for x, y in zip(data, gold, strict=True)]
    )
    assert result["sequences"] == len(LENGTHS)
    assert result["empty_sequences"] == LENGTHS.count(0)
    assert result["tokens"] == sum(LENGTHS)
    assert result["accuracy"] == pytest.approx(1 - 3 / sum(LENGTHS))
    assert result["unknown_labels"] == {"NEVER": 2, "SEEN": 1}
    assert result["tokens_per_second"] == pytest.approx(result["tokens"] / result["seconds"])


@pytest.mark.parametrize("target", ["bilou", "iobes", "bmewo", "iob2-suffix"])
def test_spans_in_other_letters_are_compared_as_spans(
    make: Callable[..., Bundle], draw: Callable[..., Any], target: SchemeName
) -> None:
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=4), head=HEADS["crf iob2"])
    predictor = Predictor(make(spec))
    data = draw(spec, LENGTHS)
    random = np.random.default_rng(1)
    labels = predictor.labels
    tags = [convert(random.choice(labels, len(x)).tolist(), "iob2", "iob2") for x in data]
    measures = []
    for gold in (tags, [convert(one, "iob2", target) for one in tags]):
        examples = [Example(tuple(x), y) for x, y in zip(data, gold, strict=True)]
        measures.append(predictor.evaluate(examples))
        del measures[-1]["seconds"], measures[-1]["tokens_per_second"]
    assert sum(len(spans(one, "iob2")) for one in tags) > 5
    assert measures[0] == measures[1]
    assert measures[1]["f1_kind"] == "spans"


def test_other_letters_are_told_once_and_other_marks_of_a_type_are_known(
    make: Callable[..., Bundle],
) -> None:
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=4), head=HEADS["crf iob2"])
    predictor = Predictor(make(spec))
    [type_, *_] = sorted({label[2:] for label in predictor.labels if label != "O"})
    told: list[str] = []
    rows = [("a", "b"), ("a", "b")]
    gold = [(f"B-{type_}", f"E-{type_}"), (f"S-{type_}", "O")]
    examples = [Example(x, y, f"gold:{i}") for i, (x, y) in enumerate(zip(rows, gold, strict=True))]
    result = predictor.evaluate(examples, tell=told.append)
    assert told == [
        "gold:0: spans are marked as IOBES, the model's as IOB2: they are compared as spans"
    ]
    assert result["unknown_labels"] == {}
    # A stray mark stays as it is, and is unknown.
    told.clear()
    strays = [Example(("a", "b", "c"), (f"B-{type_}", f"E-{type_}", "0"), "gold:1")]
    assert predictor.evaluate(strays, tell=told.append)["unknown_labels"] == {"0": 1}
    assert len(told) == 1


def test_evaluate_a_file(make: Callable[..., Bundle], tmp_path: Any) -> None:
    spec = Spec(inputs=INPUTS["words"], encoder=Encoder(hidden_size=4), head=HEADS["crf iob2"])
    predictor = Predictor(make(spec))
    [tags] = predictor.predict([["a", "b", "c"]])
    lines = [f"{word}\t{tag}" for word, tag in zip("abc", tags, strict=True)]
    (tmp_path / "gold.conll").write_text("\n".join(lines) + "\n\n")
    for path in (tmp_path / "gold.conll", str(tmp_path / "gold.conll")):
        result = predictor.evaluate(path)
        assert (result["accuracy"], result["tokens"], result["unknown_labels"]) == (1.0, 3, {})


def test_evaluate_labels_and_values(make: Callable[..., Bundle], draw: Callable[..., Any]) -> None:
    encoder = Encoder(hidden_size=3)
    spec = Spec(inputs=Vectors(size=3), encoder=encoder, head=Label(size=3))
    data = draw(spec, LENGTHS)
    predictor = Predictor(make(spec))
    gold = predictor.predict(data)
    gold[0] = "NEVER"
    result = predictor.evaluate([Example(x, y) for x, y in zip(data, gold, strict=True)])
    assert result["accuracy"] == pytest.approx(1 - 1 / len(LENGTHS))
    assert result["unknown_labels"] == {"NEVER": 1}

    regressor = Predictor(make(Spec(inputs=Vectors(size=3), encoder=encoder, head=Values(size=2))))
    answers = np.array(regressor.predict(data), np.float32)
    result = regressor.evaluate([Example(x, y + 1) for x, y in zip(data, answers, strict=True)])
    assert result["mse"] == pytest.approx(1.0, abs=1e-5)
    assert "unknown_labels" not in result


@pytest.mark.parametrize(
    ("head", "target", "part"),
    [
        (Tags(size=3), None, "f:7 has no target"),
        (Tags(size=3), "DET", "a list of tags is needed"),
        (Tags(size=3), ("DET",), "2 steps and 1 tags"),
        (Label(size=3), ("DET",), "a string or an integer is needed"),
        (Values(size=2), np.zeros(3, np.float32), "2 values"),
        (Values(size=2), "DET", "numbers are needed"),
    ],
)
def test_targets_that_do_not_fit(
    head: Any, target: Any, part: str, make: Callable[..., Bundle]
) -> None:
    spec = Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=2), head=head)
    with pytest.raises(DataError, match=part):
        Predictor(make(spec)).evaluate([Example(("a", "b"), target, "f:7")])


# ------------------------------------------------------------------ from disk


def test_loaded_is_the_same_as_built(
    make: Callable[..., Bundle], draw: Callable[..., Any], tmp_path: Any
) -> None:
    spec = Spec(
        inputs=INPUTS["words+characters+surface"],
        encoder=Encoder(hidden_size=4),
        head=HEADS["crf"],
    )
    bundle = make(spec)
    save(bundle, tmp_path / "model")
    data = draw(spec, LENGTHS)
    loaded = Predictor.load(tmp_path / "model")
    assert loaded.predict(data) == Predictor(bundle).predict(data)
    assert loaded.spec == spec
    assert loaded.labels == bundle.vocabularies["labels"]
    assert "tagger" in repr(loaded)


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "iobes", "iob2-suffix"])
def test_labels_that_mark_no_span_do_not_fit_a_scheme(
    make: Callable[..., Bundle], scheme: str
) -> None:
    head = Tags(size=4, decoder="crf", scheme=scheme)
    bundle = make(Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=4), head=Tags(size=4)))
    spec = bundle.spec.model_copy(update={"head": head})
    crf = {name: np.zeros(shape, np.float32) for name, shape in spec.tensors().items()}
    tensors = {**crf, **bundle.tensors}
    with pytest.raises(BundleError, match=f"the scheme is {scheme}, and no label marks a span"):
        Predictor(Bundle(spec, bundle.vocabularies, tensors))
    fitting = ("O", "X-B", "X-I", "Y-B") if scheme.endswith("suffix") else ("O", "B-X", "I-X", "?")
    Predictor(Bundle(spec, {**bundle.vocabularies, "labels": fitting}, tensors))


def test_values_that_cannot_be_standardised_are_refused(make: Callable[..., Bundle]) -> None:
    spec = Spec(
        inputs=INPUTS["vectors"],
        encoder=Encoder(hidden_size=4, bidirectional=False),
        head=Label(size=4),
    )
    bundle = make(spec)
    model = Predictor(
        replace(bundle, tensors={**bundle.tensors, "inputs.scale": np.full(3, 1e-3, np.float32)})
    )
    assert len(model.predict([np.full((2, 3), 1e30)])) == 1
    spoilt = np.ones((2, 3))
    spoilt[1, 2] = 3e38
    for ask in (model.predict, model.predict_proba, lambda x: model.online().step(x[0][1])):
        with pytest.raises(DataError, match=r"channel 2: 3\.0*\d*e\+38 cannot be standardised"):
            ask([spoilt])


@pytest.mark.parametrize("head", ["crf", "softmax", "label"])
def test_weights_that_overflow_give_no_label(make: Callable[..., Bundle], head: str) -> None:
    spec = Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=4), head=HEADS[head])
    bundle = make(spec)
    weight = bundle.tensors["head.linear.weight"]
    huge = {"head.linear.weight": np.sign(weight) * np.float32(3e38)}
    model = Predictor(replace(bundle, tensors={**bundle.tensors, **huge}))
    with pytest.raises(BundleError, match="weights are so large"):
        model.predict(["abc" * 9])


def test_values_beyond_float32_are_infinite(make: Callable[..., Bundle]) -> None:
    spec = Spec(inputs=INPUTS["symbols"], encoder=Encoder(hidden_size=4), head=HEADS["values"])
    bundle = make(spec)
    huge = {"head.scale": np.full(2, 3e38, np.float32), "head.linear.bias": np.full(2, 90, "f4")}
    model = Predictor(replace(bundle, tensors={**bundle.tensors, **huge}))
    assert model.predict(["abc"]) == [[np.inf, np.inf]]
