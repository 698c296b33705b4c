"""What `birnn.keras` promises on every backend of Keras, checks that raise where it is not so.

`python battery.py FOLDER CHECK...` runs some of them and writes to FOLDER what each said; Keras has
one backend in a process, so a test of another one asks for a process of its own.
"""

# B sequences, T steps of the longest, L scores

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle import Bundle, Encoder, Spec
from birnn.export import EXPORTERS, export_model, feeds, with_offset
from birnn.export.verify import random_batch, verify_loaded
from birnn.inputs import Characters, Dense, Surface, Symbols, Vectors, Words
from birnn.keras import from_keras, stack_to_keras, to_keras
from birnn.keras.backend import load_keras, precision
from birnn.ragged import Ragged
from birnn.reference import Stack, StackState, bidirectional, initialise
from birnn.runtime import Predictor
from birnn.tasks import Label, Labels, Tags, Values
from random_tensors import random_tensors

VOCABULARIES = {
    "words": ("<unk>", "the", "bank", "river", "of", "0"),
    "characters": ("<unk>", *"abehiknrtvT1"),
    "traits": ("<unk>", "p1=b", "p2=ba", "p2=th", "s3=the", "shape=xx", "shape=Xxx"),
    "symbols": ("<unk>", "A", "C", "G"),
    "labels": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
}
SPELT = Characters(size=13, dim=3, hidden_size=2)
AFFIXES = Surface(size=7, dim=2, prefixes=(1, 2), suffixes=(3,))

# Inputs, head and encoder: every kind of input, pooling, cell and merge at least once.
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "words": (
        Words(size=6, dim=3, characters=SPELT, surface=AFFIXES),
        Tags(size=5, decoder="crf", scheme="iob2"),
        {"num_layers": 2, "residual": True},
    ),
    "symbols": (
        Symbols(size=4, dim=3),
        Label(size=5, pooling="attention", attention_size=3, hidden=(4,), activation="gelu"),
        {"cell": "gru", "merge": "project", "merge_size": 4},
    ),
    "vectors": (
        Vectors(size=3, offset=(1e9, 0.0, -5.0), dense=Dense(size=4, activation="tanh")),
        Values(size=2, pooling="last+max+mean", offset=(1e9, 0.0)),
        {
            "cell": "rnn_tanh",
            "merge": "product",
            "num_layers": 2,
            "directions": ("both", "forward"),
        },
    ),
    "labels": (
        Symbols(size=4, dim=3),
        Labels(size=5, pooling="attention", attention_score="linear", thresholds=(0.5, *[0.3] * 4)),
        {"cell": "rnn_relu", "merge": "sum"},
    ),
    "final states": (
        Symbols(size=4, dim=3),
        Label(size=5, pooling="last"),
        {"cell": "rnn_relu", "merge": "mean"},
    ),
}


def bundle_of(name: str, seed: int = 0) -> Bundle:
    """A model of `MODELS` with random tensors, larger than fresh ones, so that answers differ."""
    inputs, head, encoder = MODELS[name]
    spec = Spec(inputs=inputs, encoder=Encoder(hidden_size=3, **encoder), head=head)
    tensors = random_tensors(spec, np.random.default_rng(seed), 0.6)
    wanted = spec.inputs.vocabularies() | spec.head.vocabularies()
    return Bundle(spec, {name: VOCABULARIES[name] for name in wanted}, tensors)


def sequences_of(bundle: Bundle, lengths: tuple[int, ...] = (4, 0, 1, 6)) -> list[Any]:
    """Random sequences that a bundle reads."""
    random, inputs = np.random.default_rng(1), bundle.spec.inputs
    if isinstance(inputs, Vectors):
        offset = np.array(inputs.offset or (0.0,) * inputs.size)
        return [random.standard_normal((t, inputs.size)) * 2 + offset for t in lengths]
    pool = ["the", "Bank", "river", "1", "x" * 80] if inputs.kind == "words" else [*"ACG?"]
    return [tuple(random.choice(pool, size=t).tolist()) for t in lengths]


def called(model: Any, given: dict[str, Any]) -> Any:
    """A model's output as an array."""
    return load_keras().ops.convert_to_numpy(model(given, training=False))


# ---------------------------------------------------------------------- the checks


def scores_are_the_runtimes(folder: Path) -> None:
    """A `.keras` file of each model: sequences of length 0 among others, and nothing but these."""
    for name in MODELS:
        bundle = bundle_of(name)
        path = export_model(bundle, folder / f"{name}.keras", to="keras", overwrite=True)
        opened = EXPORTERS["keras"].load(path, bundle)
        batches = {
            "ragged": sequences_of(bundle),
            "empty": sequences_of(bundle, (0, 0)),
            "random": random_batch(bundle),
        }
        found = verify_loaded(bundle, opened, batches, to="keras")
        assert found.passed, (name, found.lines())


def padding_does_not_leak(folder: Path) -> None:
    """Other numbers, or NaN, where no step is, and more of it, and lengths that no row has."""
    del folder
    for name in MODELS:
        bundle = bundle_of(name)
        given = feeds(bundle, sequences_of(bundle))
        model = to_keras(bundle)
        real = np.arange(max(given["lengths"]) + 3) < given["lengths"][:, None]
        other = dict(given)
        for key, array in given.items():
            if key == "lengths":
                continue
            wide = np.zeros((len(array), real.shape[1], *array.shape[2:]), array.dtype)
            wide[:, : array.shape[1]] = array
            wide[~real] = np.nan if array.dtype.kind == "f" else 1
            other[key] = wide
        one, two = called(model, given), called(model, other)
        # What no sequence can have: below 0 counts as 0, above the steps as all of them.
        steps = {"character_lengths": "characters", "lengths": None}
        for key in steps.keys() & given.keys():
            array = given[key]
            most = given[steps[key]].shape[2] if steps[key] else max(array)
            beyond = np.where(array == 0, -3, np.where(array == most, most + 9, array))
            assert (beyond != array).any()
            clipped = called(model, given | {key: beyond})
            np.testing.assert_allclose(clipped, one, rtol=1e-5, atol=1e-6, err_msg=key)
        if bundle.spec.head.per_step:
            one, two = one[real[:, : one.shape[1]]], two[real]
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def files_open_without_birnn(folder: Path) -> None:
    """Every class that the config of a file names is one of Keras."""
    del folder

    def modules(value: Any) -> set[str]:
        below = value.values() if isinstance(value, dict) else value
        if not isinstance(value, dict | list):
            return set()
        own = {value.get("module")} if isinstance(value, dict) else set()
        return own.union(*map(modules, below)) - {None}

    for name in MODELS:
        named = modules(json.loads(to_keras(bundle_of(name)).to_json()))
        assert named, name
        assert all(str(module).split(".")[0] in {"keras", "builtins"} for module in named), named


def gradients_are_right(folder: Path) -> None:
    """Of a sum of squares along a random direction: finite, and as differences have it.

    Also where NaN stands in padding, as a gradient of 0 times NaN is NaN.
    """
    del folder
    keras = load_keras()
    for name in MODELS:
        bundle = bundle_of(name)
        model, given = to_keras(bundle), feeds(bundle, sequences_of(bundle))
        padding = np.arange(max(given["lengths"])) >= given["lengths"][:, None]
        if "vectors" in given:
            given["vectors"][padding] = np.nan
        # As an empty sequence has no row to choose among, of a maximum too.
        weights = [np.asarray(w) for w in model.get_weights()]
        slopes = gradients(keras, model, given)
        assert all(np.isfinite(slope).all() for slope in slopes), name
        random = np.random.default_rng(2)
        directions = [random.standard_normal(w.shape).astype(w.dtype) for w in weights]
        losses, step = [], 1e-3
        for sign in (1, -1):
            model.set_weights(
                [w + sign * step * d for w, d in zip(weights, directions, strict=True)]
            )
            losses.append(float((np.float64(called(model, given)) ** 2).sum()))
        expected = (losses[0] - losses[1]) / (2 * step)
        found = sum(float((s * d).sum()) for s, d in zip(slopes, directions, strict=True))
        np.testing.assert_allclose(found, expected, rtol=2e-2)


def gradients(keras: Any, model: Any, given: dict[str, Any]) -> list[Any]:
    """Gradients of the sum of squares of a model's output with respect to its weights."""
    ops, backend = keras.ops, keras.backend.backend()
    if backend == "torch":
        loss = ops.sum(model(given, training=False) ** 2)
        loss.backward()
        return [ops.convert_to_numpy(w.value.grad) for w in model.trainable_weights]
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = ops.sum(model(given, training=False) ** 2)
        values = [w.value for w in model.trainable_weights]
        return [ops.convert_to_numpy(tf.convert_to_tensor(g)) for g in tape.gradient(loss, values)]
    import jax

    others = [w.value for w in model.non_trainable_variables]

    def loss_of(values: Any) -> Any:
        return ops.sum(model.stateless_call(values, others, given, training=False)[0] ** 2)

    return [np.asarray(g) for g in jax.grad(loss_of)([w.value for w in model.trainable_weights])]


def float64_agrees_with_the_reference(folder: Path) -> None:
    """Of stacks, with initial states, to 1e-10, where Keras computes in float64."""
    del folder
    keras = load_keras()
    for stack in (
        Stack("lstm", 3, 4, num_layers=2, merge="project", merge_size=5),
        Stack("gru", 3, 3, num_layers=3, directions=("both", "forward", "both"), merge="sum"),
        Stack("rnn_tanh", 3, 3, merge="product"),
    ):
        random, lengths = np.random.default_rng(0), np.array([3, 0, 5, 1])
        parameters = initialise(stack, 1, scheme="torch", dtype="float64")
        x = Ragged(random.standard_normal((lengths.sum(), 3)), lengths)
        zeros = StackState.zeros(stack, len(lengths), np.dtype(np.float64))
        initial = StackState(*(random.uniform(-1, 1, z.shape) for z in zeros.parts))
        padded = np.full((len(lengths), 6, 3), np.nan)
        real = np.arange(6) < lengths[:, None]
        padded[real] = x.values
        model = stack_to_keras(stack, parameters, initial_state=True, dtype="float64")
        states = {n: p.swapaxes(0, 1) for n, p in zip("hc", initial.parts, strict=False)}
        with precision(keras, "float64"):
            found = model({"vectors": padded, "lengths": lengths} | states)
        expected = bidirectional.run(x, parameters, stack, initial)
        pairs = {"final": expected.final, "h": expected.state.h.swapaxes(0, 1)}
        for part, wanted in pairs.items():
            got = keras.ops.convert_to_numpy(found[part])
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)
        rows = keras.ops.convert_to_numpy(found["rows"])[real]
        np.testing.assert_allclose(rows, expected.output.values, rtol=1e-10, atol=1e-10)


def predictions_are_the_runtimes(folder: Path) -> None:
    """`model.predict`, which TensorFlow and JAX compile, on batches of other shapes."""
    del folder
    for name in MODELS:
        bundle = bundle_of(name)
        model, head = to_keras(bundle), bundle.spec.head
        for lengths in ((4, 0, 1, 6), (9, 2)):
            sequences = sequences_of(bundle, lengths)
            found = with_offset(bundle, model.predict(feeds(bundle, sequences), verbose=0))
            offset = np.array(getattr(head, "offset", ()) or 0.0)
            for row, scores in zip(found, Predictor(bundle).scores(sequences), strict=True):
                row = row[: len(scores)] if head.per_step else row
                # Beside a large offset a relative tolerance would pass all.
                np.testing.assert_allclose(row - offset, scores - offset, rtol=1e-5, atol=1e-5)


def predict_and_fit_work(folder: Path) -> None:
    """`model.predict` in batches, and a step of `model.fit` lowers the loss."""
    del folder
    keras = load_keras()
    bundle = bundle_of("symbols")
    model, sequences = to_keras(bundle), sequences_of(bundle, (4, 0, 1, 6, 3, 2))
    given = feeds(bundle, sequences)
    found = model.predict(given, batch_size=4, verbose=0)
    expected = np.stack(Predictor(bundle).scores(sequences))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    labels = np.array([0, 1, 2, 3, 4, 0])
    losses = model.fit(given, labels, epochs=4, batch_size=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0], losses


def lookups_say_the_vocabulary(folder: Path) -> None:
    """Of a model that reads strings, which only TensorFlow has."""
    del folder
    keras = load_keras()
    import tensorflow as tf

    layers, items = keras.layers, ["the", "bank", "river"]
    for lookup, given in (
        (layers.StringLookup(vocabulary=items), [["bank", "the", "tea"]]),
        (layers.TextVectorization(vocabulary=items), [["Bank the, tea"]]),
    ):
        text = layers.Input((None,) if len(given[0]) > 1 else (1,), dtype="string")
        numbers = lookup(text)
        rows = layers.Embedding(lookup.vocabulary_size(), 3, mask_zero=len(given[0]) == 1)(numbers)
        rows = layers.Bidirectional(layers.GRU(2, return_sequences=True))(rows)
        model = keras.Model(text, layers.Dense(2)(rows))
        notices: list[str] = []
        bundle = from_keras(model, labels=["x", "y"], tell=notices.append)
        assert bundle.spec.inputs.kind == "words", notices
        expected = keras.ops.convert_to_numpy(model(tf.constant(given)))[0]
        [found] = Predictor(bundle).scores([["bank", "the", "tea"]])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def tags_of_real_data_are_the_runtimes(folder: Path) -> None:
    """A trained tagger `pos` in the folder, and the sentences in `sentences.json`."""
    predictor = Predictor.load(folder / "pos")
    sentences = json.loads((folder / "sentences.json").read_text("utf-8"))
    path = export_model(predictor.bundle, folder / "pos.keras", to="keras", overwrite=True)
    opened = EXPORTERS["keras"].load(path, predictor.bundle)
    found = [s for start in range(0, len(sentences), 64) for s in opened(sentences[start:][:64])]
    for ours, theirs in zip(predictor.scores(sentences), found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    assert predictor.decode(found) == predictor.predict(sentences)


CHECKS: dict[str, Callable[[Path], None]] = {
    check.__name__: check
    for check in (
        scores_are_the_runtimes,
        padding_does_not_leak,
        files_open_without_birnn,
        gradients_are_right,
        predictions_are_the_runtimes,
        predict_and_fit_work,
    )
}
REAL = tags_of_real_data_are_the_runtimes
ON_TENSORFLOW = CHECKS | {
    "float64_agrees_with_the_reference": float64_agrees_with_the_reference,
    "lookups_say_the_vocabulary": lookups_say_the_vocabulary,
}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    said: dict[str, str] = {}
    for each in sys.argv[2:]:
        try:
            (ON_TENSORFLOW | {REAL.__name__: REAL})[each](place)
            said[each] = ""
        except Exception:
            said[each] = traceback.format_exc()
    said["backend"] = load_keras().backend.backend()
    (place / "said.json").write_text(json.dumps(said), "utf-8")
