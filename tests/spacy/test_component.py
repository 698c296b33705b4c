"""The component in pipelines of spaCy's blank English, with models of random weights.

What a document gets is held against what the same model says of the same tokens.
"""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import example, given
from spacy.lang.en import English
from spacy.tokens import Doc, Span
from spacy.training import Example

import birnn.spacy
from birnn.bundle import (
    Bundle,
    Encoder,
    Label,
    Labels,
    Spec,
    Symbols,
    Tags,
    Values,
    Vectors,
    Words,
    save,
)
from birnn.errors import BundleError, UsageError
from birnn.runtime import Predictor
from birnn.tasks import Gaps
from data.test_offsets import TEXTS as ANY_TEXT
from random_tensors import random_tensors

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "Ada Lovelace lived in London.",
    "",
    "  so\n\ngood , is it  not? ",
    "It's 5 o'clock: don't!",
    "New York",
    " \n ",
]
SPAN_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WORDS = ("<unk>", "ada", "london", "new", "york", "lived", "in", ".", "so")
HEADS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "ents": (Tags(size=5, decoder="crf", scheme="iob2"), SPAN_TAGS),
    "pos": (Tags(size=3), ("NOUN", "VERB", "X")),
    "tag": (Tags(size=4), ("NN", "VBZ", "IN", "_")),
    "morph": (Tags(size=3), ("Case=Nom|Number=Sing", "Tense=Past", "_")),
    "cats": (Label(size=3), ("good", "bad", "dull")),
    "several": (Labels(size=3, thresholds=(0.5, 0.3, 0.7)), ("good", "bad", "dull")),
}


def spec_of(inputs: Any, head: Any) -> Spec:
    return Spec(inputs=inputs, encoder=Encoder(hidden_size=4), head=head)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for each kind of annotation; others of a regressor, a filler, of other inputs."""
    folder = tmp_path_factory.mktemp("models")
    words = Words(size=len(WORDS), dim=5)
    models: dict[str, tuple[Any, Any, dict[str, tuple[str, ...]]]] = {
        name: (words, head, {"words": WORDS, "labels": labels})
        for name, (head, labels) in HEADS.items()
    }
    models["values"] = (words, Values(size=1), {"words": WORDS})
    models["gaps"] = (words, Gaps(size=2), {"words": WORDS, "labels": ("new", "so")})
    symbols = ("<unk>", *"adelno")
    of_symbols = {"symbols": symbols, "labels": SPAN_TAGS}
    models["symbols"] = (Symbols(size=len(symbols), dim=5), HEADS["ents"][0], of_symbols)
    models["vectors"] = (Vectors(size=2), HEADS["cats"][0], {"labels": HEADS["cats"][1]})
    for number, (name, (inputs, head, vocabularies)) in enumerate(models.items()):
        spec = spec_of(inputs, head)
        tensors = random_tensors(spec, np.random.default_rng(number), 1.5)
        save(Bundle(spec, vocabularies, tensors), folder / name)
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Callable[..., English]:
    """``made(name, **config)``: blank English with the component of that model."""

    def make(name: str, **config: Any) -> English:
        nlp = spacy.blank("en")
        nlp.add_pipe("birnn", config={"model": str(folder / name), **config})
        return nlp

    return make


def model_of(nlp: English) -> Predictor:
    component = nlp.get_pipe("birnn")
    assert isinstance(component, birnn.spacy.BiRNNComponent)
    return component.predictor


def read_tokens(doc: Doc) -> list[spacy.tokens.Token]:
    return [token for token in doc if not token.is_space]


def said(doc: Doc) -> dict[str, Any]:
    """All that a component may have written."""
    return {
        "ents": [(e.start, e.end, e.label_, e._.birnn_score) for e in doc.ents],
        "spans": {key: [(s.start, s.end) for s in group] for key, group in doc.spans.items()},
        "tags": [(t.tag_, t.pos_, str(t.morph), t._.birnn_score) for t in doc],
        "cats": dict(doc.cats),
    }


# ---------------------------------------------------------------------- annotations


def test_entities_are_those_of_the_tokens_without_white_space(made: Any) -> None:
    nlp = made("ents")
    some = 0
    for doc in map(nlp, TEXTS):
        tokens = read_tokens(doc)
        [expected] = model_of(nlp).annotate([[token.text for token in tokens]])
        wanted = [
            (tokens[e.first].i, tokens[e.stop - 1].i + 1, e.label, e.score)
            for e in expected.entities
        ]
        assert said(doc)["ents"] == wanted
        group = doc.spans["birnn"]
        assert [(s.start, s.end, s.label_) for s in group] == [each[:3] for each in wanted]
        assert group.attrs["scores"] == [each[3] for each in wanted]
        some += len(wanted)
    assert some > 3


@pytest.mark.parametrize("name", ["pos", "tag", "morph"])
def test_tags_are_those_of_the_tokens_without_white_space(made: Any, name: str) -> None:
    nlp = made(name, annotates=name)
    for doc in map(nlp, TEXTS):
        tokens = read_tokens(doc)
        [expected] = model_of(nlp).annotate([[token.text for token in tokens]])
        values = {"pos": "pos_", "tag": "tag_", "morph": "morph"}
        found = [str(getattr(token, values[name])) for token in tokens]
        wanted = [token.tag for token in expected.tokens]
        assert found == ["" if tag == "_" and name == "morph" else tag for tag in wanted]
        assert [t._.birnn_score for t in tokens] == [token.score for token in expected.tokens]
        assert all(t._.birnn_score is None for t in doc if t.is_space)


@pytest.mark.parametrize("name", ["cats", "several"])
def test_categories_are_probabilities_of_all_labels(made: Any, name: str) -> None:
    nlp = made(name)
    model = model_of(nlp)
    for doc in nlp.pipe(TEXTS):
        given = [[token.text for token in read_tokens(doc)]]
        shares, [answer] = model.predict_proba(given)[0], model.predict(given)
        assert doc._.birnn_labels == ([answer] if name == "cats" else answer)
        assert set(doc.cats) == set(model.labels)
        for label, share in zip(model.labels, shares, strict=True):
            assert doc.cats[label] == pytest.approx(float(share), rel=1e-6)


@pytest.mark.parametrize("name", sorted(HEADS))
@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batches_give_the_bits_of_single_documents(made: Any, name: str, batch_size: int) -> None:
    nlp = made(name)
    found = [said(doc) for doc in nlp.pipe(TEXTS, batch_size=batch_size)]
    assert found == [said(nlp(text)) for text in TEXTS]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ents", "ents"),
        ("pos", "pos"),
        ("tag", "tag"),
        ("morph", "tag"),
        ("cats", "cats"),
        ("several", "cats"),
    ],
)
def test_what_is_annotated_follows_from_the_model(made: Any, name: str, what: str) -> None:
    assert made(name).get_pipe("birnn").annotates == what


def test_a_tagger_reads_sentence_by_sentence_where_there_are_sentences(made: Any) -> None:
    nlp = made("ents")
    nlp.add_pipe("sentencizer", before="birnn")
    doc = nlp("Ada lived in London. So new is York.  In London.")
    sentences = [[t.text for t in sent if not t.is_space] for sent in doc.sents]
    assert len(sentences) == 3
    expected = model_of(nlp).annotate(sentences)
    wanted = [(e.text, e.label, e.score) for each in expected for e in each.entities]
    assert [(e.text, e.label_, e._.birnn_score) for e in doc.ents] == wanted
    assert len(wanted) > 1


def test_the_text_is_read_where_it_should_be(made: Any) -> None:
    """Entities that end inside of spaCy's tokens are widened to whole ones."""
    for name, reads in (("symbols", "auto"), ("ents", "text")):
        nlp = made(name, reads=reads)
        for doc in map(nlp, TEXTS):
            expected = model_of(nlp).annotate(doc.text)
            widened = [
                doc.char_span(e.start, e.end, alignment_mode="expand") for e in expected.entities
            ]
            kept = {(s.start, s.end) for s in spacy.util.filter_spans(widened)}
            assert {(e.start, e.end) for e in doc.ents} == kept
    nlp = made("tag", reads="text")
    doc = nlp("Ada don't!")  # which spaCy splits, and the model's tokeniser does not
    tags = {token.text: token.tag for token in model_of(nlp).annotate(doc.text).tokens}
    assert {t.text: t.tag_ for t in doc if t.tag_} == {
        t.text: tags[t.text] for t in doc if t.text in tags
    }


def test_entities_that_are_there_already(made: Any) -> None:
    """They stay and the others give way, or the other way round; all stand in the spans."""
    text = "Ada Lovelace lived in London and so in New York ."
    alone = made("ents")(text)
    own = [(e.start, e.end) for e in alone.ents]
    assert len(own) > 1
    at = own[0][0]
    for overwrite in (False, True):
        nlp = made("ents", overwrite=overwrite)
        doc = nlp.make_doc(text)
        free = next(i for i in range(len(doc)) if all(not a <= i < b for a, b in own))
        before = [Span(doc, at, at + 1, "THERE"), Span(doc, free, free + 1, "FREE")]
        doc.ents = before
        doc = nlp.get_pipe("birnn")(doc)
        labels = {(e.start, e.end): e.label_ for e in doc.ents}
        assert labels[free, free + 1] == "FREE"
        assert ("THERE" in labels.values()) is not overwrite
        if overwrite:
            assert set(own) <= set(labels)
        else:
            assert labels[at, at + 1] == "THERE"
            assert set(own[1:]) <= set(labels)
        assert [(s.start, s.end) for s in doc.spans["birnn"]] == own


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_pipeline_is_right_about_what_it_says(made: Any, name: str) -> None:
    nlp = made(name)
    examples = []
    for text in (TEXTS[0], TEXTS[3], TEXTS[4]):
        gold = nlp(text)
        if gold.cats:  # the scorer cuts at a half, whatever the thresholds of the model
            best = [max(gold.cats, key=gold.cats.get)]
            best = best if name == "cats" else [each for each in gold.cats if gold.cats[each] > 0.5]
            gold.cats = {label: float(label in best) for label in gold.cats}
        examples.append(Example(nlp.make_doc(text), gold))
    scores = nlp.evaluate(examples)
    if name in ("cats", "several"):
        occurring = {label for each in examples for label, y in each.y.cats.items() if y}
        assert occurring
        assert {scores["cats_f_per_type"][label]["f"] for label in occurring} == {1.0}
    else:
        assert scores[{"ents": "ents_f", "morph": "tag_acc"}.get(name, f"{name}_acc")] == 1.0


@pytest.fixture(scope="module")
def readers(made: Callable[..., English]) -> dict[tuple[str, str], English]:
    """Pipelines by their model and what they read, for tests that make many documents."""
    ways = (("ents", "tokens"), ("ents", "text"), ("symbols", "auto"))
    return {(name, reads): made(name, reads=reads) for name, reads in ways}


@given(text=ANY_TEXT)
@example(" \u200b\ufeff ")
@example("e\u0301\u0323 \u202ex\x00y \u05d0\u05d1")
def test_any_text_is_annotated(readers: dict[tuple[str, str], English], text: str) -> None:
    for (name, reads), nlp in readers.items():
        doc = nlp(text)
        assert doc.text == text
        if name == "ents" and reads == "tokens":
            tokens = read_tokens(doc)
            [found] = model_of(nlp).annotate([[token.text for token in tokens]])
            assert [(e.start, e.label_) for e in doc.ents] == [
                (tokens[e.first].i, e.label) for e in found.entities
            ]
        else:
            assert len(doc.spans["birnn"]) == len(doc.ents)


def test_a_megabyte(made: Any) -> None:
    nlp = made("ents")
    # Made of tokens: spaCy's tokeniser alone would take minutes for it.
    doc = nlp.get_pipe("birnn")(Doc(nlp.vocab, words=["\U0001f600" * 250_000, "so\u0301"] * 2))
    assert doc.has_annotation("ENT_IOB")


def test_what_there_is_to_notice_is_logged_once(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    nlp = made("ents")
    strange = "Nobody has ever seen any word that stands here , has one ?"
    for _ in nlp.pipe([strange] * 5, batch_size=1):
        pass
    assert len(caplog.messages) == 1
    assert "the model knows 0 of the 13 words" in caplog.text
    caplog.clear()
    made("ents", reads="text")(strange)  # how it is split is no question there
    assert caplog.messages == []


def test_spans_of_another_component_are_not_replaced_in_silence(
    made: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "Ada Lovelace lived in London ."
    nlp = made("ents")
    nlp(nlp(text))  # its own are written anew
    assert caplog.messages == []
    config = {"model": str(folder / "ents")}
    nlp.add_pipe("birnn", name="second", config=config)
    nlp.add_pipe("birnn", name="third", config=config | {"spans_key": "third"})
    for doc in nlp.pipe([text] * 2, batch_size=1):
        assert set(doc.spans) == {"birnn", "third"}
    [line] = caplog.messages
    assert "'second' replaces doc.spans['birnn'] of the component 'birnn'. Give one" in line


# ---------------------------------------------------------------------- at rest


@pytest.mark.parametrize("name", ["ents", "cats"])
def test_a_saved_pipeline_needs_no_folder_of_a_model(
    made: Any, folder: Path, tmp_path: Path, name: str
) -> None:
    save(Predictor.load(folder / name).bundle, tmp_path / "model")
    nlp = spacy.blank("en")
    nlp.add_pipe("birnn", config={"model": str(tmp_path / "model"), "spans_key": "found"})
    nlp.to_disk(tmp_path / "pipeline")
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    again = spacy.load(tmp_path / "pipeline")
    wanted = [said(doc) for doc in made(name, spans_key="found").pipe(TEXTS)]
    assert [said(doc) for doc in again.pipe(TEXTS)] == wanted
    assert tuple(again.pipe_labels["birnn"]) == HEADS[name][1]
    # The component's folder is a bundle.
    assert Predictor.load(tmp_path / "pipeline" / "birnn").labels == HEADS[name][1]
    again.to_disk(tmp_path / "pipeline")  # where one stands already


def test_bytes_hold_the_model(made: Any, tmp_path: Path) -> None:
    nlp = made("ents")
    other = spacy.blank("en")
    other.add_pipe("birnn")
    other.from_bytes(nlp.to_bytes())
    assert [said(doc) for doc in other.pipe(TEXTS)] == [said(doc) for doc in nlp.pipe(TEXTS)]
    with pytest.raises(BundleError, match=r"no file '\.\./x'"):
        other.get_pipe("birnn").from_bytes(spacy.util.srsly.msgpack_dumps({"../x": b""}))
    with pytest.raises(BundleError, match="is not a bundle"):
        other.get_pipe("birnn").from_bytes(spacy.util.srsly.msgpack_dumps({"x": b""}))


def test_a_config_makes_the_pipeline_again(made: Any) -> None:
    nlp = made("tag", annotates="tag")
    again = English.from_config(nlp.config)
    assert again.config.to_str() == nlp.config.to_str()
    assert [said(doc) for doc in again.pipe(TEXTS)] == [said(doc) for doc in nlp.pipe(TEXTS)]


def test_a_document_keeps_what_was_said_in_bytes(made: Any) -> None:
    nlp = made("ents")
    doc = nlp(TEXTS[0])
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert said(again) == said(doc)
    assert again.spans["birnn"].attrs == doc.spans["birnn"].attrs


def test_a_component_can_be_pickled_for_other_processes(made: Any) -> None:
    component = pickle.loads(pickle.dumps(made("ents").get_pipe("birnn")))
    assert component.name == "birnn"
    assert component.labels == ()  # it had not been used
    assert said(component(English()(TEXTS[0]))) == said(made("ents")(TEXTS[0]))


@pytest.mark.slow
def test_other_processes_say_the_same(made: Any) -> None:
    nlp = made("ents")
    found = [said(doc) for doc in nlp.pipe(TEXTS * 3, n_process=2, batch_size=2)]
    assert found == [said(doc) for doc in nlp.pipe(TEXTS * 3)]


def test_the_entry_point_names_the_factory() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["spacy_factories"]
    assert entry == {"birnn": "birnn.spacy:make_component"}
    assert English.get_factory_meta("birnn").factory == "birnn"


# ---------------------------------------------------------------------- refusals


def test_a_model_that_is_not_there_is_named_where_it_is_needed(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    component = nlp.add_pipe("birnn", config={"model": str(tmp_path / "nowhere")})
    with pytest.raises(BundleError, match="nowhere: there is no such folder"):
        nlp("a text")
    with pytest.raises(BundleError, match="no such folder"):
        nlp.initialize()
    with pytest.raises(BundleError, match="no such folder"):
        component.to_disk(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    without = spacy.blank("en")
    without.add_pipe("birnn")
    with pytest.raises(BundleError, match="'birnn' has no model"):
        without("a text")


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("ents", {"annotates": "cats"}, "annotates is cats, .* gives ents or tag"),
        ("cats", {"annotates": "ents"}, "annotates is ents, .* a classifier, which gives cats"),
        ("tag", {"annotates": "ents"}, "a tagger without spans, which gives tag or morph"),
        ("tag", {"annotates": "pos"}, "a tagger without spans, which gives tag or morph"),
        ("values", {}, "a regressor, whose answers a Doc has no place for"),
        ("gaps", {}, "a filler, whose answers a Doc has no place for"),
        ("vectors", {}, "reads vectors"),
    ],
)
def test_a_model_that_does_not_fit(made: Any, name: str, config: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(name, **config)("a text")


@pytest.mark.parametrize("config", [{"annotates": "entz"}, {"reads": "word"}])
def test_a_setting_that_does_not_exist(made: Any, config: Any) -> None:
    with pytest.raises(UsageError, match=r"did you mean|known:"):
        made("ents", **config)


def test_an_error_handler_gets_the_batch(made: Any) -> None:
    nlp = made("values")
    seen: list[tuple[str, int]] = []
    nlp.set_error_handler(lambda name, proc, docs, error: seen.append((name, len(docs))))
    assert list(nlp.pipe(TEXTS, batch_size=4)) == []
    assert seen == [("birnn", 4), ("birnn", 2)]
