"""Bundles in JAX: whole models under jit and grad, the CRF, and the exported program."""

from __future__ import annotations

import json
import zipfile
from itertools import islice

import jax
import numpy as np
import pytest
import torch

import birnn
from birnn.bundle import dequantised, quantised
from birnn.data import read
from birnn.engine import isa
from birnn.errors import ConversionError, LengthError, UsageError
from birnn.export import EXPORTERS, export_model, feeds, plain_torch, with_offset
from birnn.export.feeds import unpadded
from birnn.export.torch import plain_tensor_name, state_dict
from birnn.export.verify import random_batch
from birnn.inputs import restored
from birnn.jax import ChainScores, from_bundle, negative_log_likelihood, viterbi
from birnn.models import build
from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.runtime import Predictor

needs_native = pytest.mark.skipif(
    isa.native_module() is None, reason="the engine native does not run here"
)


@needs_native
@pytest.mark.parametrize("which", ["lstm-iob2", "far"])
def test_the_native_engine_runs_whole_models(model, which):
    bundle = model(which)
    sequences = random_batch(bundle)
    function, params = from_bundle(bundle, engine="native")
    given = feeds(bundle, sequences)
    values = with_offset(bundle, jax.jit(function)(params, given))
    found = unpadded(bundle, values, given["lengths"])
    offset = np.array(getattr(bundle.spec.head, "offset", ()) or 0.0)
    for ours, expected in zip(found, Predictor(bundle).scores(sequences), strict=True):
        np.testing.assert_allclose(ours - offset, expected - offset, rtol=1e-5, atol=1e-5)


def test_a_quantised_bundle_is_dequantised_and_told(model, caplog):
    small = quantised(model("far"), "int8")
    _, params = from_bundle(small)
    assert ["weights are int8, dequantised" in line for line in caplog.messages] == [True]
    for name, tensor in dequantised(small).tensors.items():
        np.testing.assert_array_equal(params[name], tensor)


@pytest.mark.parametrize("which", ["far", pytest.param("lstm-iob2", marks=pytest.mark.slow)])
def test_gradients_of_a_loss_are_those_of_the_model_in_torch(model, which):
    bundle = model(which)
    sequences = random_batch(bundle)[:5]
    given = feeds(bundle, sequences)
    lengths = given["lengths"]
    network = build(bundle.spec, labels=bundle.vocabularies.get("labels"))
    network.load_tensors(bundle.tensors)
    network.eval()
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    steps = [codec.validated(sequence, "one", None) for sequence in sequences]
    answer = network(codec.encode(steps).batch(range(len(steps))))
    function, params = from_bundle(bundle)
    random = np.random.default_rng(0)

    if which == "far":
        targets = random.standard_normal((5, 2)).astype(np.float32)
        (network.head.measured(answer.scores) - torch.tensor([1e9, 0]) - torch.tensor(targets)).pow(
            2
        ).sum().backward()

        def loss(params):
            return ((function(params, given) - targets) ** 2).sum()
    else:
        # Tags that the scheme allows: "O" and "B-LOC" may stand anywhere.
        tags = random.choice([0, 3], (5, int(lengths.max()))).astype(np.int64)
        own = torch.from_numpy(Ragged.from_padded(tags, lengths).values)
        network.head.crf.negative_log_likelihood(
            answer.rows.with_values(answer.scores), own
        ).sum().backward()

        def loss(params):
            scores = function(params, given)
            return negative_log_likelihood(scores, tags, lengths, function.chain(params)).sum()

    found = jax.jit(jax.grad(loss))(params)
    # Means and scales of the data, which are no parameters of the network, are not learnt.
    expected = {name: np.zeros(value.shape) for name, value in params.items()}
    expected |= {name: value.grad.numpy() for name, value in network.named_parameters()}
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-4, atol=2e-4, err_msg=name)


def plain_scores(bundle, given):
    """The plain model of a bundle, and the scores that it gives for the arrays of a batch."""
    plain = plain_torch.PlainModel(bundle.spec.model_dump(mode="json"), bundle.vocabularies)
    plain.load_state_dict({n: torch.tensor(a) for n, a in state_dict(bundle).items()})
    return plain, plain(**{n: torch.from_numpy(a) for n, a in given.items()})


def test_scores_of_targets_are_those_of_the_plain_model(model):
    bundle = model("c-from-h")
    given = feeds(bundle, ["ACG", "", "A"], [("K", "AE1"), ("T",), ()])
    function, params = from_bundle(bundle)
    expected = plain_scores(bundle, given)[1].detach()
    np.testing.assert_allclose(function(params, given), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow  # seconds to compile each
def test_gradients_of_targets_are_those_of_the_plain_model(writer, model):
    bundle = model(writer)
    targets = [("K", "AE1", "S"), (), ("T",), ("K", "K")]
    given = feeds(bundle, random_batch(bundle)[:4], targets)
    plain, expected = plain_scores(bundle, given)
    expected.square().sum().backward()
    function, params = from_bundle(bundle)
    gradients = jax.jit(jax.grad(lambda params: (function(params, given) ** 2).sum()))(params)
    own = {plain_tensor_name(name): np.asarray(value) for name, value in gradients.items()}
    for name, parameter in plain.named_parameters():
        # Of affixes the vector of an unknown one is not learnt here.
        if name != "inputs.features.weight" and parameter.grad is not None:
            size = max(1.0, float(parameter.grad.abs().max()))
            found = own[name].reshape(parameter.shape) / size
            np.testing.assert_allclose(found, parameter.grad / size, atol=1e-4, err_msg=name)


@pytest.mark.slow  # exported programs, which scan computes, are compared in every run
@needs_native
def test_the_native_engine_writes_what_scan_writes(model):
    bundle = model("sum")
    given = feeds(bundle, random_batch(bundle)[:5])
    given["longest"] = np.array([0, 3, 99, 2, 9])  # there is room for what training learnt
    written = [
        function.write(params, given)
        for function, params in (from_bundle(bundle, engine=e) for e in ("scan", "native"))
    ]
    np.testing.assert_array_equal(written[1].targets, written[0].targets)
    assert (written[0].target_lengths <= np.minimum(given["longest"], 100)).all()


def test_what_a_model_does_not_do_is_refused(model):
    bundle = model("sum")
    function, params = from_bundle(bundle)
    given = feeds(bundle, ["ACG"])
    with pytest.raises(UsageError, match="give targets and target_lengths"):
        function(params, given)
    tagger, params = from_bundle(model("mixed"))
    with pytest.raises(UsageError, match="a tagger writes no sequences"):
        tagger.write(params, given)


def test_the_crf_is_the_reference_s():
    random = np.random.default_rng(0)
    lengths = np.array([5, 0, 1, 3])
    emissions = random.standard_normal((4, 6, 3)).astype(np.float32)
    scores = [random.standard_normal(shape).astype(np.float32) for shape in ((3, 3), 3, 3)]
    masks = [np.array([[1, 0, 1], [1, 1, 1], [1, 1, 0]], bool), *~np.eye(3, dtype=bool)[:2]]
    chain = ChainScores(*scores).where(*masks)
    names = ("allowed", "allowed_start", "allowed_end")
    expected = crf.Chain.of(*scores, **dict(zip(names, masks, strict=True)))
    ragged = Ragged.from_padded(emissions, lengths)
    best = crf.viterbi(ragged, expected).tags
    np.testing.assert_array_equal(viterbi(emissions, lengths, chain), best.to_padded(steps=6))

    tags = np.full((4, 6), 9)
    tags[np.arange(6) < lengths[:, None]] = best.values
    found, gradient = jax.jit(
        jax.value_and_grad(
            lambda e, c: negative_log_likelihood(e, tags, lengths, c).sum(), argnums=(0, 1)
        )
    )(emissions, ChainScores(*scores).where(*masks))
    wanted = crf.gradient(ragged, best.values, expected)
    np.testing.assert_allclose(found, -wanted.log_likelihood.sum(), rtol=1e-5)
    np.testing.assert_allclose(
        Ragged.from_padded(np.asarray(gradient[0]), lengths).values, -wanted.emissions, atol=1e-5
    )
    for ours, theirs in zip(gradient[1], wanted[2:], strict=True):
        np.testing.assert_allclose(ours, -theirs, atol=1e-5)


def test_an_exported_program_needs_jax_alone(model, tmp_path):
    bundle = model("gru-tags")
    path = export_model(bundle, tmp_path / "tagger.zip", to="jax")
    with zipfile.ZipFile(path) as archive:
        program = jax.export.deserialize(bytearray(archive.read("model.stablehlo")))
        told = json.loads(archive.read("model.json"))
    assert set(program.platforms) == {"cpu", "cuda", "rocm", "tpu"}
    assert told["vocabularies"]["labels"] == list(bundle.vocabularies["labels"])
    assert told["takes"]["words"] == ["int32", ["sequences", "steps"]]
    given = feeds(bundle, [("the", "bank"), ()])
    arrays = {name: given[name].astype(dtype) for name, (dtype, _) in told["takes"].items()}
    labels = np.asarray(program.call(arrays)["labels"])
    tags = [told["vocabularies"]["labels"][number] for number in labels[0]]
    assert [tags] == Predictor(bundle).predict([("the", "bank")])
    # A program cannot refuse a length: it is taken within 0 and the steps.
    beyond = program.call(arrays | {"lengths": np.array([9, -1], np.int32)})
    np.testing.assert_array_equal(beyond["labels"], labels)


def test_lengths_beyond_the_steps_are_refused_and_clipped_under_jit():
    random = np.random.default_rng(0)
    emissions = random.standard_normal((3, 4, 2)).astype(np.float32)
    chain = ChainScores(*(random.standard_normal(s).astype("f4") for s in ((2, 2), 2, 2)))
    tags, within, beyond = np.ones((3, 4), int), np.array([4, 0, 2]), np.array([7, -2, 2])

    def loss(emissions, lengths, chain):
        return negative_log_likelihood(emissions, tags, lengths, chain)

    for function in (viterbi, loss):
        expected = function(emissions, within, chain)
        np.testing.assert_array_equal(jax.jit(function)(emissions, beyond, chain), expected)
        with pytest.raises(LengthError, match=r"lengths\[1\] is -2"):
            function(emissions, beyond, chain)


@pytest.mark.parametrize("damage", ["nothing of it", "cut", "another"])
def test_a_file_that_is_no_program_is_named(model, tmp_path, damage):
    path = tmp_path / "model.zip"
    if damage == "another":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.stablehlo", b"no program")
    else:
        path.write_bytes(b"PK" if damage == "cut" else b"")
    with pytest.raises(ConversionError, match=r"model\.zip is no program that jax .* reads"):
        EXPORTERS["jax"].load(path, model("far"))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("corpus", ["ud-english-lines/{}.conllu", "wnut17/{}.conll"])
@pytest.mark.parametrize("engine", ["scan", pytest.param("native", marks=needs_native)])
def test_tags_of_a_test_set_are_the_runtime_s(shared_data, corpus, engine):
    examples = list(islice(read(shared_data / corpus.format("train"), "tags"), 200))
    small = {"training.epochs": 2, "encoder.hidden_size": 12, "inputs.character_hidden": 6}
    model = birnn.train("tagger", train=examples, settings=small, quiet=True)
    sentences = [e.inputs for e in read(shared_data / corpus.format("test"), "tags")]
    sentences = sorted([(), *sentences], key=len)
    function, params = from_bundle(model.bundle, engine=engine)
    labels = model.bundle.vocabularies["labels"]

    @jax.jit
    def run(params, given):
        scores = function(params, given)
        return scores, function.decode(params, scores, given["lengths"])

    for start in range(0, len(sentences), 64):
        batch = sentences[start : start + 64]
        scores, numbers = map(np.asarray, run(params, rounded_up(feeds(model.bundle, batch))))
        found = [
            [labels[n] for n in row[: len(words)]]
            for row, words in zip(numbers, batch, strict=False)
        ]
        assert found == model.predict(batch)
        for own, row in zip(model.scores(batch), scores, strict=False):
            np.testing.assert_allclose(row[: len(own)], own, rtol=1e-5, atol=1e-5)


def rounded_up(given):
    """The arrays of a batch with more padding, so that few shapes are compiled."""

    def rounded(name, array):
        more = [64 - len(array), *(-size % 32 for size in array.shape[1:])]
        if name == "features":
            more[2] = 0
        return np.pad(array, [(0, extra) for extra in more])

    return {name: rounded(name, array) for name, array in given.items()}
