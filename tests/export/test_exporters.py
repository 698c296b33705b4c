"""Every exporter on every kind of model: its file answers as the runtime does."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import birnn
from birnn.bundle import Bundle
from birnn.data import read
from birnn.errors import ConversionError, OutputError, UsageError
from birnn.export import EXPORTERS, export_model, verify
from birnn.export.verify import BATCH_ROWS, questions, random_batch, sample, verify_loaded
from birnn.runtime import Predictor
from birnn.runtime.search import GREEDY, Hypothesis


def test_an_exported_file_answers_as_the_runtime(
    model: Callable[..., Bundle], name: str, to: str, tmp_path: Path
) -> None:
    bundle = model(name)
    path = export_model(bundle, tmp_path / f"model{EXPORTERS[to].ending}", to=to)
    found = verify(bundle, path, to=to)
    assert found.passed, found.lines()
    assert found.largest is not None
    assert found.sequences >= 13
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_exported_file_writes_as_the_runtime(
    model: Callable[..., Bundle], writer: str, to: str, tmp_path: Path
) -> None:
    bundle = model(writer)
    path = export_model(bundle, tmp_path / f"model{EXPORTERS[to].ending}", to=to)
    found = verify(bundle, path, to=to)
    assert found.passed, found.lines()
    assert found.largest is not None
    assert found.sequences >= 13
    loaded = EXPORTERS[to].load(path, bundle)
    sources = [*random_batch(bundle, 1), *sample(bundle)]
    expected = [best for [best] in Predictor(bundle).predict_nbest(sources, search=GREEDY)]
    answers: list[Hypothesis] = loaded.write(sources)  # type: ignore[attr-defined]
    assert [(a.symbols, a.ended) for a in answers] == [(e.symbols, e.ended) for e in expected]
    for own, other in zip(answers, expected, strict=True):
        assert own.score == pytest.approx(other.score, rel=1e-5)
        assert len(own.log_probabilities) == len(own.symbols) + own.ended


def test_raw_texts_of_a_filler_are_compared_at_gaps(
    model: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = model("gaps")
    path = export_model(bundle, tmp_path / "model.safetensors", to="torch")
    tensors = dict(bundle.tensors)
    tensors["head.linear.bias"] = tensors["head.linear.bias"] + np.float32(1)
    other = Bundle(bundle.spec, bundle.vocabularies, tensors)
    texts = ["the bank of the river", ["by", "the", "___"], []]
    found = verify(other, path, to="torch", sequences=texts)
    assert found.largest is not None
    assert found.largest.value == pytest.approx(1, rel=1e-4)
    only = verify_loaded(
        other, EXPORTERS["torch"].load(path, other), {"sample": questions(other, texts)}, to="torch"
    )
    assert only.largest is not None
    assert only.largest.value == pytest.approx(1, rel=1e-4)


def test_keras_writes_no_sequences(model: Callable[..., Bundle], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"symbol by symbol.*Export it to onnx, jax or torch"):
        export_model(model("sum"), tmp_path / "model.keras", to="keras")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tagger(shared_data: Path) -> Bundle:
    """A small tagger of the first sentences of ud-english-lines."""
    sentences = list(islice(read(shared_data / "ud-english-lines/train.conllu", "tags"), 600))
    settings = {"training.epochs": 2, "encoder.hidden_size": 24, "inputs.word_dim": 24}
    return birnn.train("tagger", train=sentences, settings=settings, quiet=True).bundle


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("to", sorted(EXPORTERS))
def test_tags_of_a_whole_test_file_are_the_runtime_s(
    tagger: Bundle, shared_data: Path, to: str, tmp_path: Path
) -> None:
    file = shared_data / "ud-english-lines/test.conllu"
    sentences = [example.inputs for example in read(file, "tags", labelled=False)]
    path = export_model(tagger, tmp_path / f"tagger{EXPORTERS[to].ending}", to=to)
    found = verify(tagger, path, to=to, sequences=sentences)
    assert found.passed, found.lines()
    assert found.sequences > len(sentences) > 1000


@pytest.mark.parametrize("to", sorted(EXPORTERS))
def test_places_that_cannot_be_written_are_refused(
    model: Callable[..., Bundle], to: str, tmp_path: Path
) -> None:
    bundle, ending = model("mixed"), EXPORTERS[to].ending
    path = tmp_path / f"model{ending}"
    path.write_text("what stood there")
    with pytest.raises(OutputError, match=r"exists\. Give another --out, or --overwrite"):
        export_model(bundle, path, to=to)
    assert path.read_text() == "what stood there"
    with pytest.raises(UsageError, match=f"end in {ending}. Give --out .*model{ending}"):
        export_model(bundle, tmp_path / "model.bin", to=to)
    with pytest.raises(OutputError, match="no folder that can be written to"):
        export_model(bundle, tmp_path / "nowhere" / f"model{ending}", to=to)
    (tmp_path / f"folder{ending}").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        export_model(bundle, tmp_path / f"folder{ending}", to=to, overwrite=True)
    export_model(bundle, path, to=to, overwrite=True)
    assert path.read_bytes() != b"what stood there"


def test_a_write_that_fails_leaves_what_stood_there(
    model: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from birnn.export import torch as target

    def half(bundle: Bundle, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, "write", half)
    path = tmp_path / "model.safetensors"
    path.write_text("what stood there")
    with pytest.raises(OutputError, match=r"model.safetensors: cannot be written: No space left"):
        export_model(model("mixed"), path, to="torch", overwrite=True)
    assert path.read_text() == "what stood there"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "to",
    [
        pytest.param(to, marks=() if to in ("torch", "onnx") else pytest.mark.slow)
        for to in EXPORTERS
    ],
)
def test_a_full_disk_is_told_and_leaves_nothing(
    model: Callable[..., Bundle], to: str, tmp_path: Path
) -> None:
    """Files may not grow beyond a size, to which systems say what they say of a full disk."""
    path, plain = tmp_path / f"model{EXPORTERS[to].ending}", tmp_path / "plain"
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, usual[1]))
    try:
        with pytest.raises(OutputError, match=rf"model{EXPORTERS[to].ending}: cannot be written: "):
            export_model(model("lstm-iob2"), path, to=to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not list(tmp_path.iterdir())
    export_model(model("lstm-iob2"), path, to=to)
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


# ------------------------------------------------------------- what verify finds


class Spoilt:
    """The runtime itself, with one score changed."""

    def __init__(self, bundle: Bundle, place: tuple[int, ...], by: float) -> None:
        self._predictor, self._place, self._by = Predictor(bundle), place, by

    def __call__(self, sequences: Any) -> list[np.ndarray]:
        scores = [np.array(each) for each in self._predictor.scores(sequences)]
        number, *inside = self._place
        scores[number][tuple(inside)] += self._by
        return scores


def spoilt(bundle: Bundle, place: tuple[int, ...], by: float, **options: Any) -> Any:
    batch = [("A", "C", "G"), (), ("A", "A")]
    return verify_loaded(
        bundle, Spoilt(bundle, place, by), {"sample": batch}, to="torch", **options
    )


def test_the_largest_difference_is_found_where_it_is(model: Callable[..., Bundle]) -> None:
    bundle = model("mixed")
    found = spoilt(bundle, (2, 1, 3), 0.5)
    assert found.largest is not None
    assert found.largest.value == pytest.approx(0.5, rel=1e-6)
    assert (found.largest.batch, found.largest.sequence, found.largest.step) == ("sample", 2, 1)
    assert found.largest.output == "B-LOC"
    assert (found.sequences, found.steps) == (3, 5)
    assert not found.passed
    assert "sequence 2, step 1, B-LOC" in found.lines()[1]
    one = spoilt(model("rnn-three"), (0, 4), 0.25)
    assert (one.largest.step, one.largest.output) == (None, "I-LOC")
    assert one.to_dict()["largest"]["value"] == pytest.approx(0.25, rel=1e-5)


def test_the_tolerance_is_relative_to_the_size_of_scores(model: Callable[..., Bundle]) -> None:
    bundle = model("mixed")
    assert spoilt(bundle, (0, 0, 0), 0.0, tolerance=0.0).passed
    size = spoilt(bundle, (0, 0, 0), 0.0).size
    largest = max(np.abs(s).max() for s in Predictor(bundle).scores([("A", "C", "G"), ("A", "A")]))
    assert size == pytest.approx(max(1.0, largest))
    assert spoilt(bundle, (0, 0, 0), 0.9e-3 * size, tolerance=1e-3).largest.value <= 1e-3 * size
    assert not spoilt(bundle, (0, 0, 0), 1.1e-3 * size, tolerance=1e-3).passed
    with pytest.raises(UsageError, match="tolerance is -1"):
        verify(bundle, "x", to="torch", tolerance=-1)


def test_an_answer_that_differs_does_not_pass(model: Callable[..., Bundle]) -> None:
    bundle = model("rnn-three")
    found = spoilt(bundle, (2, 1), 100.0, tolerance=1e3)
    assert found.different == (("sample", 2),)
    assert not found.passed
    assert found.lines()[2] == "answers differ in 1 sequences: sample 2"


def test_many_sequences_are_compared_in_batches_each_with_its_own(
    model: Callable[..., Bundle],
) -> None:
    bundle, sizes = model("mixed"), []
    own = Predictor(bundle)

    def counted(sequences: Any) -> list[np.ndarray]:
        sizes.append(sum(map(len, sequences)))
        return [*own.scores(sequences)]

    many = [("A", "C", "G") * (k % 70) for k in range(300)]
    found = verify_loaded(bundle, counted, {"sample": many}, to="torch")
    assert found.largest is not None
    assert found.largest.value <= 1e-6
    assert not found.different
    assert len(sizes) > 1
    assert max(sizes) <= BATCH_ROWS
    assert sum(sizes) == found.steps == sum(map(len, many))


class Misspelt:
    """The runtime's greedy search and its scores of given targets, with something changed."""

    def __init__(self, bundle: Bundle, number: int, change: Callable[[Hypothesis], Any]) -> None:
        self._predictor, self._number, self._change = Predictor(bundle), number, change

    def write(self, sequences: Any) -> list[Hypothesis]:
        found = [best for [best] in self._predictor.predict_nbest(sequences, search=GREEDY)]
        found[self._number] = self._change(found[self._number])
        return found


def test_targets_that_differ_are_found_where_they_do(model: Callable[..., Bundle]) -> None:
    bundle = model("concat")
    batch = [("the", "bank"), (), ("by", "river", "of")]

    def verified(change: Callable[[Hypothesis], Any]) -> Any:
        return verify_loaded(bundle, Misspelt(bundle, 2, change), {"sample": batch}, to="torch")

    assert verified(lambda found: found).passed
    other = verified(lambda found: replace(found, symbols=(*found.symbols[:-1], "?")))
    assert other.different == (("sample", 2),)
    assert other.largest.value == 0  # of the steps before it
    assert not other.passed
    assert verified(lambda found: replace(found, ended=not found.ended)).different
    off = verified(
        lambda found: replace(
            found,
            log_probabilities=(found.log_probabilities[0] - 0.5, *found.log_probabilities[1:]),
        )
    )
    assert (off.largest.sequence, off.largest.step, off.different) == (2, 0, ())
    assert off.largest.value == pytest.approx(0.5)
    assert not off.passed


def test_scores_of_given_targets_that_differ_are_found(
    model: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = model("sum")
    path = export_model(bundle, tmp_path / "model.safetensors", to="torch")
    loaded = EXPORTERS["torch"].load(path, bundle)
    plain: Any = loaded._model  # type: ignore[attr-defined]
    own = plain.head.forward
    plain.head.forward = lambda *given: own(*given) + torch.eye(6)[2]  # one score of each step
    found = verify_loaded(bundle, loaded, {"sample": sample(bundle)}, to="torch")
    assert not found.passed
    assert not found.different


def test_nan_on_one_side_is_an_infinite_difference(model: Callable[..., Bundle]) -> None:
    found = spoilt(model("rnn-three"), (0, 0), np.nan)
    assert found.largest.value == np.inf
    assert not found.passed


def test_scores_of_another_shape_are_no_export_of_this_model(
    model: Callable[..., Bundle],
) -> None:
    bundle = model("mixed")
    other = Predictor(bundle)
    with pytest.raises(ConversionError, match=r"shape \(2, 5\) for sequence 0 of the sample"):
        verify_loaded(
            bundle, lambda s: [r[:2] for r in other.scores(s)], {"sample": ["ACG"]}, to="torch"
        )


def test_the_sample_holds_the_vocabulary_in_its_order(model: Callable[..., Bundle]) -> None:
    bundle = model("gru-tags")
    tokens = [token for sequence in sample(bundle) for token in sequence]
    assert [token.lower() for token in tokens] == list(bundle.vocabularies["words"][1:])
    assert sample(bundle) == sample(bundle)
    with pytest.raises(UsageError, match="did you mean torch"):
        export_model(bundle, "x", to="tourch")
