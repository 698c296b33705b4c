"""Whole models in ONNX Runtime, optimised and not, against birnn's own runtime."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest

from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
from birnn.errors import ConversionError, FormatError, MissingExtra
from birnn.export.onnx import (
    OPSET,
    OnnxModel,
    graph_feeds,
    load,
    metadata_of,
    model_of,
    session_of,
    write,
)
from birnn.export.verify import random_batch
from birnn.inputs import restored
from birnn.ragged import Ragged
from birnn.reference import crf
from birnn.reference.softmax import softmax
from birnn.runtime import Predictor
from birnn.runtime.search import GREEDY

Model = Callable[..., Bundle]


def opened(bundle: Bundle, *, optimised: bool = True) -> OnnxModel:
    content = model_of(bundle).SerializeToString()
    return OnnxModel(session_of(content, optimised=optimised), bundle)


def batches_of(bundle: Bundle) -> list[list[Any]]:
    """A ragged batch, none, an empty sequence, several of them, one sequence alone."""
    batch = random_batch(bundle)
    empty = next(sequence for sequence in batch if len(sequence) == 0)
    return [batch, [], [empty], [empty] * 3, [max(batch, key=len)]]


def test_scores_and_answers_are_the_runtime_s(model: Model, name: str) -> None:
    bundle = model(name)
    onnx.checker.check_model(model_of(bundle), full_check=True)
    predictor = Predictor(bundle)
    for optimised in (True, False):
        graph = opened(bundle, optimised=optimised)
        for sequences in batches_of(bundle):
            expected, found = predictor.scores(sequences), graph(sequences)
            assert [scores.shape for scores in found] == [scores.shape for scores in expected]
            for scores, own in zip(found, expected, strict=True):
                np.testing.assert_allclose(scores, own, rtol=1e-5, atol=1e-5)
            if bundle.spec.head.has_labels:
                assert graph.answers(sequences) == predictor.predict(sequences)
            else:
                assert graph.answers(sequences) == [values.tolist() for values in found]


def test_targets_are_those_of_the_greedy_search(model: Model, writer: str) -> None:
    bundle = model(writer)
    predictor = Predictor(bundle)
    for optimised in (True, False):
        graph = opened(bundle, optimised=optimised)
        for sequences in batches_of(bundle):
            expected = predictor.predict_nbest(sequences, search=GREEDY)
            found = graph.write(sequences)
            for own, [other] in zip(found, expected, strict=True):
                assert (own.symbols, own.ended) == (other.symbols, other.ended)
                np.testing.assert_allclose(
                    own.log_probabilities, other.log_probabilities, rtol=1e-5, atol=1e-5
                )


def test_targets_are_0_beyond_their_ends(model: Model) -> None:
    bundle = model("c-from-h")
    _, outputs = opened(bundle).run(random_batch(bundle))
    targets, lengths = outputs["targets"], outputs["target_lengths"]
    assert ((targets != 0) == (np.arange(targets.shape[1]) < lengths[:, None])).all()
    ends = lengths + outputs["ended"]
    told = outputs["log_probabilities"] != 0
    assert (told == (np.arange(targets.shape[1]) < ends[:, None])).all()
    session = session_of(model_of(bundle).SerializeToString())
    assert {each.name: each.shape for each in session.get_outputs()} == {
        "targets": ["sequences", "written"],
        "log_probabilities": ["sequences", "written"],
        "target_lengths": ["sequences"],
        "ended": ["sequences"],
    }


def test_another_runtime_writes_the_same_targets(model: Model) -> None:
    # onnx.reference knows no lengths, so all are alike.
    bundle = model("c-from-h")
    sequences = [("A", "C", "?"), ("G", "G", "C")]
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    evaluator = onnx.reference.ReferenceEvaluator(model_of(bundle))
    [targets] = evaluator.run(["targets"], graph_feeds(codec, sequences))
    symbols = bundle.vocabularies["targets"]
    found = [[symbols[n] for n in row if n] for row in targets.tolist()]
    assert found == Predictor(bundle).predict(sequences, search=GREEDY)


@pytest.mark.parametrize("named", ["gru-tags", "attention"])
def test_probabilities_are_those_of_the_scores(model: Model, named: str) -> None:
    bundle = model(named)
    _, outputs = opened(bundle).run(random_batch(bundle))
    flat = outputs["scores"].reshape(-1, outputs["scores"].shape[-1])
    found = outputs["probabilities"].reshape(flat.shape)
    np.testing.assert_allclose(found, softmax(flat), rtol=1e-5)


def test_beyond_the_end_scores_are_0_and_tags_minus_1(model: Model) -> None:
    bundle = model("lstm-iob2")
    lengths, outputs = opened(bundle).run(random_batch(bundle))
    beyond = np.arange(outputs["tags"].shape[1]) >= lengths[:, None]
    assert ((outputs["tags"] == -1) == beyond).all()
    assert ((outputs["scores"] == 0).all(axis=2) == beyond).all()


@pytest.mark.parametrize("named", ["mixed", "rnn-three"])
def test_padding_reaches_nothing(model: Model, named: str) -> None:
    # In the padding stand numbers of symbols, and there are more steps than any sequence has.
    session = session_of(model_of(model(named)).SerializeToString())
    lengths = np.array([2, 0, 3])
    symbols = np.array([[1, 2, 0], [0, 0, 0], [3, 1, 2]])
    wider = np.full((3, 6), 2)
    wider[:, :3] = np.where(np.arange(3) < lengths[:, None], symbols, 3)
    found, other = (
        session.run(["scores"], {"symbols": numbers, "lengths": lengths})[0]
        for numbers in (symbols, wider)
    )
    np.testing.assert_allclose(other[:, : found.shape[1]], found, rtol=1e-6)


@pytest.mark.parametrize("named", ["mixed", "lstm-iob2"])
@pytest.mark.parametrize("seed", range(4))
def test_ties_of_a_crf_are_broken_as_here(model: Model, named: str, seed: int) -> None:
    # Scores of -1, 0 and 1 have many equal paths. The weights of the last layer are 0, so that the
    # emissions are its bias.
    bundle, random = model(named), np.random.default_rng(seed)
    tensors = dict(bundle.tensors)
    for name, tensor in tensors.items():
        if name.startswith(("head.linear.bias", "head.crf.")):
            tensors[name] = random.integers(-1, 2, tensor.shape).astype(np.float32)
    tensors["head.linear.weight"] = np.zeros_like(tensors["head.linear.weight"])
    bundle = Bundle(bundle.spec, bundle.vocabularies, tensors)
    sequences, head = random_batch(bundle, seed), bundle.spec.head
    assert isinstance(head, Tags)
    lengths = np.array(list(map(len, sequences)))
    emissions = np.tile(tensors["head.linear.bias"], (int(lengths.sum()), 1))
    labels = bundle.vocabularies["labels"]
    paths = crf.viterbi(Ragged(emissions, lengths), head.chain(labels, tensors))
    expected = head.answers_of(paths.tags.values, lengths, labels)
    assert opened(bundle).answers(sequences) == expected


@pytest.mark.parametrize("named", ["gru-tags", "rnn-three"])
def test_another_runtime_gives_the_same_answers(model: Model, named: str) -> None:
    # onnx.reference follows the standard alone. It knows no lengths, so all are alike, and no Scan
    # from the end, so there is no CRF.
    bundle = model(named)
    known = bundle.vocabularies[bundle.spec.inputs.kind][1:]
    sequences = [(known[0], known[1], "?"), (known[2], known[2], known[0])]
    codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))
    evaluator = onnx.reference.ReferenceEvaluator(model_of(bundle))
    found = dict(
        zip(evaluator.output_names, evaluator.run(None, graph_feeds(codec, sequences)), strict=True)
    )
    predictor = Predictor(bundle)
    expected = np.stack(predictor.scores(sequences))
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5, atol=1e-5)
    decoded = found["tags" if bundle.spec.head.per_step else "label"]
    labels = np.array(bundle.vocabularies["labels"])
    assert labels[decoded].tolist() == predictor.predict(sequences)


# ---------------------------------------------------------------------- the file


@pytest.fixture
def bundle(model: Model) -> Bundle:
    return model("lstm-iob2")


def test_a_file_is_enough(bundle: Bundle, tmp_path: Path) -> None:
    write(bundle, tmp_path / "m.onnx")
    session = session_of(tmp_path / "m.onnx")
    kept = session.get_modelmeta().custom_metadata_map
    assert kept == metadata_of(bundle)
    assert Spec.model_validate(json.loads(kept["birnn.spec"])) == bundle.spec
    vocabularies = {n: tuple(v) for n, v in json.loads(kept["birnn.vocabularies"]).items()}
    assert vocabularies == dict(bundle.vocabularies)


def test_lower_case_is_replaced_where_a_model_knows_capitals_alone(model: Model) -> None:
    bundle = model("mixed")
    replaced = {"a": "A", "c": "C", "g": "G"}
    assert json.loads(metadata_of(bundle)["birnn.rules"]) == {"replaced": replaced}
    symbols = ("<unk>", "A", "b", "+")
    bundle = Bundle(bundle.spec, dict(bundle.vocabularies) | {"symbols": symbols}, bundle.tensors)
    assert json.loads(metadata_of(bundle)["birnn.rules"]) == {"replaced": {}}


def test_sizes_of_a_batch_have_names(bundle: Bundle) -> None:
    # pytorch#41774, #62240: traced models kept to the batch that they were traced with.
    session = session_of(model_of(bundle).SerializeToString())
    shapes = {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "lengths": ["sequences"],
        "forms": ["sequences", "steps"],
        "words": ["distinct"],
        "characters": ["distinct", "letters"],
        "character_lengths": ["distinct"],
        "features": ["distinct", 4],
        "scores": ["sequences", "steps", 5],
        "tags": ["sequences", "steps"],
    }


def test_the_graph_is_one_for_readers(bundle: Bundle) -> None:
    model = model_of(bundle)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    [*stacks] = [node.name for node in model.graph.node if node.op_type == "LSTM"]
    assert stacks == [
        "inputs/characters/layer_0/LSTM",
        "encoder/layer_0/LSTM",
        "encoder/layer_1/LSTM",
    ]
    # Every tensor of the model is there under its own name, but those of recurrent layers.
    weights = {weight.name for weight in model.graph.initializer}
    own = {name for name in bundle.tensors if "encoder." not in name and "crf." not in name}
    assert own <= weights
    # All that is there is read.
    read = {name for node in model.graph.node for name in node.input}
    read |= {
        name
        for node in model.graph.node
        for attribute in node.attribute
        for inner in attribute.g.node
        for name in inner.input
    }
    assert weights <= read


def test_a_damaged_file_is_refused_in_one_line(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write(bundle, path)
    whole = path.read_bytes()
    for end in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"m\.onnx: ") as found:
            load(path, bundle)
        assert "\n" not in str(found.value)
    path.write_text("{}")
    with pytest.raises(FormatError, match="ONNX Runtime cannot run it"):
        load(path, bundle)
    path.unlink()
    with pytest.raises(FormatError, match="ONNX Runtime cannot run it"):
        load(path, bundle)


def test_damaged_bytes_are_a_fault_of_the_file(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, random = tmp_path / "m.onnx", np.random.default_rng(0)
    write(bundle, path)
    whole, refused = path.read_bytes(), []
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(0, len(damaged), random.integers(1, 20))
        damaged[places] = random.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        try:
            load(path, bundle)([("the", "bank"), ()])
        except FormatError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert not any("\n" in message for message in refused)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_another_model_is_refused(model: Model, bundle: Bundle, tmp_path: Path) -> None:
    write(bundle, tmp_path / "m.onnx")
    with pytest.raises(FormatError, match="another model"):
        load(tmp_path / "m.onnx", model("gru-tags"))


def test_a_model_larger_than_a_file_can_be_is_refused() -> None:
    spec = Spec(
        inputs=Symbols(size=2**20, dim=600), encoder=Encoder(hidden_size=2), head=Tags(size=2)
    )
    nothing = np.zeros((), np.float32)
    tensors = {name: np.broadcast_to(nothing, shape) for name, shape in spec.tensors().items()}
    with pytest.raises(ConversionError, match=r"take 2\.3 GiB, and an ONNX file of one piece ends"):
        model_of(Bundle(spec, {}, tensors))


def test_what_is_not_installed_is_named(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx.checker", None)
    with pytest.raises(
        MissingExtra, match=r"^this needs onnx\.checker: pip install 'birnn\[onnx\]'"
    ):
        write(bundle, tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"^this needs onnxruntime: pip install 'birnn\[onnx\]'"):
        load(tmp_path / "m.onnx", bundle)
    assert not list(tmp_path.iterdir())
