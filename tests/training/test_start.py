"""Warm start: what was known keeps its number and its weights, and what is new is learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import birnn
from birnn.bundle import Bundle, load, save
from birnn.bundle.io import tensors_digest
from birnn.data import Example
from birnn.errors import BundleError, ConfigError, DataError, UsageError
from birnn.inputs import Vocabulary
from birnn.runtime import Predictor
from birnn.training.start import RATE, WarmStart

TINY: dict[str, Any] = {
    "inputs.word_dim": 4,
    "inputs.symbol_dim": 4,
    "inputs.min_count": 1,
    "inputs.character_hidden": 3,
    "inputs.character_dim": 3,
    "inputs.surface_dim": 3,
    "encoder.hidden_size": 4,
    "encoder.num_layers": 1,
    "training.epochs": 1,
    "training.device": "cpu",
}
FURTHER = {"training.epochs": 2, "inputs.min_count": 1, "training.device": "cpu"}

COLOURS = {"red": "WARM", "blue": "COLD", "the": "O", "of": "O"}
MORE = COLOURS | {"grün": "GREEN", "der": "O"}


def tagged(lexicon: dict[str, str], count: int = 20, seed: int = 0) -> list[Example]:
    """Sentences whose words have the tags of a lexicon; one of length 0 among them."""
    draw = np.random.default_rng(seed)
    sentences = [tuple(map(str, draw.choice(list(lexicon), n % 6))) for n in range(count)]
    return [Example(words, tuple(map(lexicon.__getitem__, words))) for words in sentences]


def spans(kinds: str, count: int = 20) -> list[Example]:
    """Sentences with a span of two words of each kind."""
    words, tags = ("so",), ("O",)
    for kind in kinds:
        words, tags = (*words, kind, kind), (*tags, f"B-{kind}", f"I-{kind}")
    return [Example(words[: n % 2] + words, tags[: n % 2] + tags) for n in range(count)]


def texts(labels: dict[str, str], count: int = 20) -> list[Example]:
    words = list(labels)
    return [Example((words[n % len(words)],) * (n % 3 + 1), labels[words[n % len(words)]])
            for n in range(count)]  # fmt: skip


def sets(labels: dict[str, str], count: int = 20) -> list[Example]:
    """Texts with the labels of all of their words, the common one of texts left out."""
    examples = tagged(labels, count)
    kept = (sorted(set(each.target) - {"O"}) for each in examples)
    return [Example(each.inputs, tuple(own)) for each, own in zip(examples, kept, strict=True)]


def series(channels: int, targets: int, *, shift: float = 0.0) -> list[Example]:
    draw = np.random.default_rng(channels)
    return [
        Example(draw.normal(shift, 1, (n % 4, channels)), draw.normal(shift, 1, targets))
        for n in range(20)
    ]


def transcribed(letters: str) -> list[Example]:
    return [Example(tuple(letters[: n % 4 + 1]), tuple(letters[: n % 4 + 1].upper()))
            for n in range(20)]  # fmt: skip


def raw(words: str) -> list[Example]:
    return [Example(tuple((words.split() * 3)[n % 3 : n % 3 + 6])) for n in range(20)]


Case = tuple[str, list[Example], list[Example], dict[str, Any]]
CASES: dict[str, Case] = {
    "tags": ("tagger", tagged(COLOURS), tagged(MORE), {}),
    "tags of a CRF": ("tagger", spans("ab"), spans("bc"), {"head.hidden": [3]}),
    "symbols": ("tagger", transcribed("abc"), transcribed("abcd"), {}),
    "label": ("classifier", texts(COLOURS), texts(MORE), {"head.pooling": "attention"}),
    "labels": ("multilabel", sets(COLOURS), sets(MORE), {"head.pooling": "max"}),
    "values": ("regressor", series(2, 2), series(2, 2, shift=3.0), {"inputs.dense_size": 3}),
    "targets": ("seq2seq", transcribed("abc"), transcribed("abcdef"), {"head.tied": True}),
    "gaps": ("filler", raw("to be or not"), raw("not to go there"), {}),
}


@pytest.fixture(scope="module")
def trained() -> Callable[[str], Bundle]:
    """Models by the name of their case, each trained once."""
    made: dict[str, Bundle] = {}

    def train(name: str) -> Bundle:
        if name not in made:
            task, first, _, settings = CASES[name]
            made[name] = birnn.train(
                task, train=first, dev=first, settings=TINY | settings, quiet=True
            ).bundle
        return made[name]

    return train


def go_on(bundle: Any, examples: list[Example], **more: Any) -> Predictor:
    options: dict[str, Any] = {"quiet": True, "settings": FURTHER, "dev": examples} | more
    return birnn.train(train=examples, start_from=bundle, **options)


@pytest.mark.parametrize("name", CASES)
def test_what_was_known_keeps_its_number_and_its_weights(
    trained: Callable[[str], Bundle], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No step is taken: what comes out is what training would start from.
    task, _, second, _ = CASES[name]
    before = trained(name)
    still = {"training.learning_rate": 1e-30, "training.weight_decay": 0.0, "training.ema": 0.0}
    after = go_on(before, second, settings=FURTHER | still | {"training.epochs": 1}).bundle
    assert after.spec.task == task
    for vocabulary, items in before.vocabularies.items():
        assert after.vocabularies[vocabulary][: len(items)] == items
    grown = 0
    for tensor, weights in before.tensors.items():
        block = after.tensors[tensor][tuple(map(slice, weights.shape))]
        assert np.array_equal(block, weights), tensor
        new = after.tensors[tensor].size - weights.size
        grown += new
        if new:
            assert np.isfinite(after.tensors[tensor]).all()
    assert (grown > 0) == (name != "values")
    # The new items are those of the new examples, and of nothing else.
    for vocabulary in ("words", "symbols"):
        if vocabulary in before.vocabularies:
            seen = {str(token).lower() for example in second for token in example.inputs}
            new_items = after.vocabularies[vocabulary][len(before.vocabularies[vocabulary]) :]
            assert set(new_items) - {"___"} == seen - set(before.vocabularies[vocabulary])


def test_known_and_new_labels_are_answered(trained: Callable[[str], Bundle]) -> None:
    settings = FURTHER | {"training.epochs": 25, "training.learning_rate": 0.1}
    model = go_on(trained("tags"), tagged(MORE, 40), settings=settings)
    assert set(model.labels) == {"O", "WARM", "COLD", "GREEN"}
    assert model.predict([["grün", "the", "red"]]) == [["GREEN", "O", "WARM"]]


def test_new_transitions_of_a_crf_start_as_fresh_ones(trained: Callable[[str], Bundle]) -> None:
    before = trained("tags of a CRF")
    start = WarmStart.of(before)
    old = before.tensors["head.crf.transitions"]
    shape = (len(old) + 2, len(old) + 2)
    [grown] = start.weights({"head.crf.transitions": np.zeros(shape)}).values()
    assert np.array_equal(grown[:-2, :-2], old)
    assert not grown[-2:].any()
    assert not grown[:, -2:].any()


@pytest.mark.parametrize("name", ["tags", "tags of a CRF", "values", "targets"])
@pytest.mark.parametrize("freeze", [("encoder",), ("inputs",), ("encoder", "inputs")])
def test_what_is_frozen_keeps_its_bits(
    trained: Callable[[str], Bundle],
    name: str,
    freeze: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, second = trained(name), CASES[name][2]
    after = go_on(before, second, freeze=freeze, quiet=False).bundle
    changed = set()
    for tensor, weights in before.tensors.items():
        part = tensor.partition(".")[0]
        if part in freeze:
            assert np.array_equal(after.tensors[tensor], weights), tensor
        elif not np.array_equal(after.tensors[tensor][tuple(map(slice, weights.shape))], weights):
            changed.add(part)
    # What is not frozen is trained; of these inputs nothing but the dense layer can be.
    assert changed == {"encoder", "inputs", "head"} - set(freeze)
    assert after.metadata["start"]["frozen"] == sorted(freeze)
    if "inputs" in freeze:
        assert after.spec.inputs == before.spec.inputs
        told = capsys.readouterr().err
        assert bool(before.spec.inputs.vocabularies()) == ("does not know stay so" in told)


def test_dropout_of_frozen_parts_is_off_and_that_between_parts_is_on(
    trained: Callable[[str], Bundle],
) -> None:
    from birnn.models import Dropout, build

    spec = trained("tags").spec
    network = build(spec, dropout=Dropout(words=0.5, inputs=0.5, output=0.5))
    network.freeze(("inputs",))
    for _ in range(2):
        assert not any(module.training for module in network.inputs.modules())
        assert network.input_dropout.training
        assert network.output_dropout.training
        network.eval()
        assert not network.output_dropout.training
        network.train()


def test_units_of_channels_and_of_targets_stay(trained: Callable[[str], Bundle]) -> None:
    before = trained("values")
    after = go_on(before, series(2, 2, shift=100.0)).bundle
    for tensor in ("inputs.mean", "inputs.scale", "head.mean", "head.scale"):
        assert np.array_equal(after.tensors[tensor], before.tensors[tensor])
    assert after.spec.inputs == before.spec.inputs
    assert after.spec.head == before.spec.head


def test_answers_may_become_longer_and_not_shorter(trained: Callable[[str], Bundle]) -> None:
    before = trained("targets").spec.head
    after = go_on(trained("targets"), [Example("a", ("A",) * 90), Example("b", ("B",))] * 9).spec
    assert isinstance(before, birnn.bundle.TargetSequence)
    assert isinstance(after.head, birnn.bundle.TargetSequence)
    assert all(new >= old for new, old in zip(after.head.longest, before.longest, strict=True))
    assert after.head.longest != before.longest


def test_it_says_what_is_kept_and_added_and_where_it_came_from(
    trained: Callable[[str], Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(trained("tags"), tmp_path / "first")
    second = tagged({"blue": "COLD", "of": "O", "grün": "GREEN"})
    model = go_on(tmp_path / "first", second, quiet=False, out=tmp_path / "second")
    told = capsys.readouterr().err
    assert "labels of " in told
    assert "does not have, kept: WARM\n" in told
    assert f"did not know, added: GREEN ({sum(e.target.count('GREEN') for e in second)})" in told
    assert "knows 4, 1 of the training data are added" in told
    record = load(tmp_path / "second").metadata["start"]
    assert record == {
        "model": str(tmp_path / "first"),
        "sha256": tensors_digest(trained("tags")),
    }
    manifest = json.loads((tmp_path / "first" / "birnn.json").read_text())
    assert record["sha256"] == manifest["sha256"]["tensors"]
    assert "start.sha256" in (tmp_path / "second" / "README.md").read_text()
    assert "WARM" in model.labels


def test_the_learning_rate_is_lower_unless_it_is_set(trained: Callable[[str], Bundle]) -> None:
    def rate(bundle: Any, **more: Any) -> float:
        model = go_on(bundle, tagged(COLOURS), **more)
        return float(model.metadata["recipe"]["training"]["learning_rate"])

    fresh = trained("tags").metadata["recipe"]["training"]["learning_rate"]
    assert rate(trained("tags")) == RATE * fresh
    assert rate(trained("tags"), settings=FURTHER | {"training.learning_rate": 0.5}) == 0.5


def test_files_are_read_as_those_of_the_model_were(tmp_path: Path) -> None:
    rows = "".join(f"{n}\tWord\tw\tNOUN\tN{n % 2}\t_\t0\troot\t_\t_\n" for n in range(1, 3))
    (tmp_path / "a.conllu").write_text(f"{rows}\n" * 20)
    files = {"train": tmp_path / "a.conllu", "quiet": True}
    first = birnn.train("tagger", settings=TINY, field="xpos", **files)
    second = birnn.train(start_from=first, settings=FURTHER, **files)
    third = birnn.train(start_from=second, settings=FURTHER, **files)
    assert third.labels == second.labels == first.labels
    assert set(first.labels) == {"N0", "N1"}
    assert third.metadata["reading"] == first.metadata["reading"]


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"task": "classifier"}, UsageError, "holds a tagger"),
        ({"freeze": ("head",)}, UsageError, "encoder, inputs"),
        ({"settings": {"encoder.hidden_size": 5}}, ConfigError, "encoder.hidden_size is 5"),
        (
            {"settings": {"encoder.cell": "gru", "head.decoder": "crf"}},
            ConfigError,
            "head.decoder is crf, a model in memory has softmax",
        ),
        ({"settings": {"inputs.kind": "symbols"}}, ConfigError, "inputs.kind is symbols"),
        (
            {"train": [Example(np.ones((2, 2)), ("O", "O"))] * 9},
            ConfigError,
            "inputs.kind is words",
        ),
        ({"train": spans("ab")}, DataError, "marks? spans as IOB2, .* labels of single steps"),
        ({"freeze": ("inputs",), "settings": {"inputs.vectors": "v"}}, ConfigError, "frozen"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    trained: Callable[[str], Bundle], changed: dict[str, Any], error: Any, said: str
) -> None:
    given: dict[str, Any] = {"train": tagged(COLOURS), "quiet": True}
    with pytest.raises(error, match=said):
        birnn.train(start_from=trained("tags"), **given | changed)


def test_settings_of_the_model_may_be_said_again(trained: Callable[[str], Bundle]) -> None:
    same = TINY | {"encoder.cell": "lstm", "head.decoder": "auto", "head.scheme": "none"}
    assert go_on(trained("tags"), tagged(COLOURS), settings=same).spec == trained("tags").spec


@pytest.mark.parametrize(
    ("name", "examples", "said"),
    [
        ("values", series(3, 2), "3 channels, a model in memory reads 2"),
        ("values", series(2, 1), "1 target values, the model gives 2"),
        ("symbols", tagged(COLOURS), "'[a-z]+' are several characters"),
        (
            "tags of a CRF",
            [Example(("a", "b"), ("U-a", "O")), Example(("a", "b", "c"), ("B-a", "I-a", "L-a"))],
            "as BILOU, a model in memory has tags as IOB2",
        ),
        (
            "tags of a CRF",
            [Example(("a", "b"), ("NOUN", "VERB")), Example(("a",), ("NOUN",))],
            "a model in memory has tags that mark spans as IOB2, .* does: NOUN, VERB. Convert",
        ),
    ],
)
def test_data_of_another_kind_is_refused(
    trained: Callable[[str], Bundle], name: str, examples: list[Example], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        go_on(trained(name), examples)


def test_pretrained_vectors_give_new_words_theirs_and_must_be_as_wide(
    trained: Callable[[str], Bundle], tmp_path: Path
) -> None:
    narrow, wide = tmp_path / "narrow.txt", tmp_path / "wide.txt"
    narrow.write_text("grün 1 2 3 4\nred 5 6 7 8\nlila 9 9 9 9\n")
    wide.write_text("grün 1 2 3 4 5\n")
    before = trained("tags")
    with pytest.raises(ConfigError, match="5 wide, the words of a model in memory 4"):
        go_on(before, tagged(MORE), settings=FURTHER | {"inputs.vectors": str(wide)})
    still = {"training.learning_rate": 1e-30, "training.weight_decay": 0.0, "training.ema": 0.0}
    given = FURTHER | still | {"inputs.vectors": str(narrow)}
    after = go_on(before, tagged(MORE), settings=given).bundle
    words = Vocabulary(after.vocabularies["words"])
    table = after.tensors["inputs.words.weight"]
    assert table[words.id("grün")].tolist() == [1, 2, 3, 4]
    assert table[words.id("lila")].tolist() == [9, 9, 9, 9]
    red = Vocabulary(before.vocabularies["words"]).id("red")
    assert np.array_equal(table[red], before.tensors["inputs.words.weight"][red])


def test_a_model_is_not_written_in_the_place_of_its_origin(
    trained: Callable[[str], Bundle], tmp_path: Path
) -> None:
    save(trained("tags"), tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    before = (tmp_path / "model" / "birnn.json").read_bytes()
    for out in ("model", "link", "./model/../model"):
        with pytest.raises(UsageError, match="another --out"):
            go_on(tmp_path / "model", tagged(COLOURS), out=tmp_path / out, overwrite=True)
    assert (tmp_path / "model" / "birnn.json").read_bytes() == before


def test_damaged_and_missing_models_are_refused(
    trained: Callable[[str], Bundle], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        go_on(tmp_path / "model", tagged(COLOURS), out=tmp_path / "out")
    save(trained("tags"), tmp_path / "model")
    manifest = tmp_path / "model" / "birnn.json"
    ours = manifest.read_text()
    manifest.write_text(ours.replace('"format_version": ', '"format_version": 9'))
    with pytest.raises(BundleError, match="version"):
        go_on(tmp_path / "model", tagged(COLOURS), out=tmp_path / "out")
    manifest.write_text(ours)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(BundleError, match="truncated"):
        go_on(tmp_path / "model", tagged(COLOURS), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_start_from() -> None:
    for given, said in (({}, "task is not given"), ({"freeze": ("encoder",)}, "start_from")):
        with pytest.raises(UsageError, match=said):
            birnn.train(train=tagged(COLOURS), **({"task": "tagger"} if given else {}), **given)


# ------------------------------------------------------------------ resume, and what it is good for


def test_a_resumed_run_is_the_same_run_and_of_the_same_start(
    trained: Callable[[str], Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from birnn.training.module import TrainingModule

    save(trained("tags"), tmp_path / "first")
    settings = FURTHER | {"training.epochs": 3}
    given: dict[str, Any] = {"settings": settings, "freeze": ("encoder",)}
    whole = go_on(tmp_path / "first", tagged(MORE), out=tmp_path / "whole", **given)

    class Killed(BaseException):
        pass

    step = TrainingModule.training_step

    def dies(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 2:
            raise Killed
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", dies)
        with pytest.raises(Killed):
            go_on(tmp_path / "first", tagged(MORE), out=tmp_path / "out", **given)
    again = {"out": tmp_path / "out", "resume": True}
    other = replace(trained("tags"), tensors={
        name: tensor + 1 for name, tensor in trained("tags").tensors.items()
    })  # fmt: skip
    save(other, tmp_path / "other")
    for changed, said in (
        ({"start_from": tmp_path / "other"}, "the model to start from was another"),
        ({"freeze": ()}, "freeze was"),
        ({"start_from": None, "task": "tagger", "freeze": ()}, "model to start from: .* none now"),
    ):
        start = {"start_from": tmp_path / "first", "train": tagged(MORE), "dev": tagged(MORE)}
        with pytest.raises(UsageError, match=said):
            birnn.train(**start | given | {"quiet": True} | again | changed)
    resumed = go_on(tmp_path / "first", tagged(MORE), **given, **again)
    for name, tensor in whole.bundle.tensors.items():
        assert np.array_equal(resumed.bundle.tensors[name], tensor), name


def accuracies(share: int, size: int) -> tuple[float, float]:
    """Of a cold and of a warm start on a share of the data that has other words beside the old."""
    from birnn.demos import senses

    examples = [case.example for case in senses.generate(size, seed=1)]
    test = [case.example for case in senses.generate(200, seed=2)]
    settings = TINY | {
        "inputs.word_dim": 16,
        "inputs.character_hidden": 0,
        "inputs.surface_dim": 0,
        "encoder.hidden_size": 24,
        "training.learning_rate": 0.01,
    }
    cut = size // share
    first = birnn.train(
        "tagger", train=examples[cut:], dev=test[:50], quiet=True,
        settings=settings | {"training.epochs": 6},
    )  # fmt: skip
    few = {"train": examples[:cut], "dev": test[:50], "quiet": True}
    cold = birnn.train("tagger", settings=settings | {"training.epochs": 6}, **few)
    warm = birnn.train(start_from=first, settings={"training.epochs": 6}, **few)
    return tuple(model.evaluate(test[50:])["accuracy"] for model in (cold, warm))  # type: ignore[return-value]


def test_a_warm_start_beats_a_cold_one_on_a_twentieth_of_the_data() -> None:
    cold, warm = accuracies(20, 400)
    assert 1 - warm < 0.75 * (1 - cold)


def test_balanced_weights_leave_labels_out_that_the_data_does_not_have(
    trained: Callable[[str], Bundle],
) -> None:
    few = texts({"red": "WARM", "blue": "COLD"})
    settings = FURTHER | {"training.class_weights": "balanced"}
    model = go_on(trained("label"), few, settings=settings)
    assert set(model.labels) == {"O", "WARM", "COLD"}
    assert all(np.isfinite(tensor).all() for tensor in model.bundle.tensors.values())
