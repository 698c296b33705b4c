"""What a run finds out from its data before it starts."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from birnn.data import Example
from birnn.errors import ConfigError, DataError
from birnn.inputs.word_vectors import RATIO_SCALE
from birnn.tasks import Label
from birnn.training.datamodule import DevBatches
from birnn.training.fit import fit
from birnn.training.loop import planned_epochs
from birnn.training.prepare import prepare
from birnn.training.sets import Sets, hold_out

SYMBOLS = [Example(("a", "b"), ("x", "y")), Example((), ()), Example(("b",), ("x",))]
WORDS = [Example(("The", "bank"), ("D", "N")), Example(("the", "bank", "of"), ("D", "N", "P"))]
SPANS = [Example(("a", "b", "c"), ("B-P", "I-P", "O")), Example(("a",), ("B-P",))]
TEXTS = [Example(("good", "one"), "pos"), Example(("bad",), "neg"), Example(("good",), "pos")]


def vectors(count=6, channels=2, seed=0):
    random = np.random.default_rng(seed)
    return [
        Example(
            random.normal([100, -3][:channels], [20, 0.1][:channels], (t, channels)).astype("f4"),
            random.normal([5, 70], [1, 30]).astype("f4"),
        )
        for t in range(count)
    ]


@pytest.mark.parametrize(
    ("task", "examples", "kind"),
    [
        ("tagger", SYMBOLS, "symbols"),
        ("tagger", WORDS, "words"),
        ("classifier", TEXTS, "words"),
        ("regressor", vectors(), "vectors"),
    ],
)
def test_the_kind_of_inputs_shows_in_the_data(tiny, task, examples, kind):
    assert prepare(task, examples, examples, tiny(task)).spec.inputs.kind == kind


def test_the_kind_can_be_set_as_far_as_the_data_allows(tiny):
    assert prepare("tagger", SYMBOLS, [], tiny(inputs__kind="words")).spec.inputs.kind == "words"
    with pytest.raises(ConfigError, match=r"inputs\.kind is vectors, the training data holds tok"):
        prepare("tagger", SYMBOLS, [], tiny(inputs__kind="vectors"))
    with pytest.raises(ConfigError, match=r"inputs\.kind is words, the training data holds vec"):
        prepare("regressor", vectors(), [], tiny("regressor", inputs__kind="words"))


@pytest.mark.parametrize(
    ("examples", "decoder", "found", "scheme", "monitor"),
    [
        (SYMBOLS, "auto", "softmax", "none", "accuracy"),
        (SPANS, "auto", "crf", "iob2", "f1"),
        (SPANS, "softmax", "softmax", "iob2", "f1"),
        (SYMBOLS, "crf", "crf", "none", "accuracy"),
    ],
)
def test_tags_that_mark_spans_get_a_crf_and_are_scored_by_spans(
    tiny, examples, decoder, found, scheme, monitor
):
    prepared = prepare("tagger", examples, examples, tiny(head__decoder=decoder))
    assert (prepared.spec.head.decoder, prepared.spec.head.scheme) == (found, scheme)
    assert prepared.monitor == monitor
    assert prepared.larger_is_better


def tagged(*sentences, where="train.conll", lines=True):
    """Examples of one token a line, a blank line after each."""
    examples, line = [], 1
    for sentence in sentences:
        tags = tuple(sentence.split())
        tokens = tuple(f"w{i}" for i in range(len(tags)))
        places = range(line, line + len(tags)) if lines else None
        examples.append(Example(tokens, tags, f"{where}:{line}", lines=places))
        line += len(tags) + 1
    return examples


def test_a_few_tags_that_mark_no_span_are_refused_and_named(tiny):
    examples = tagged("B-P I-P O", "O B-P", "B-P 0 O", "O 0")
    with pytest.raises(DataError, match=r"^train.conll:9: the tag '0' marks no span, where"):
        prepare("tagger", examples, examples, tiny())
    two = tagged("tag", "B-P I-P O", "B-P 0 O", "B-L 0 O")
    with pytest.raises(DataError, match=r"^train.conll:8: the tag '0', 'tag' \(train.conll:1\) "):
        prepare("tagger", two, two, tiny())
    with pytest.raises(DataError, match=r"^train.conll:8, step 1: the tag '0'"):
        prepare("tagger", tagged("B-P I-P O", "O B-P", "B-P 0 O", lines=False), [], tiny())
    dev = tagged("B-P I-P O", "B-P 0 O", where="dev.conll")
    with pytest.raises(DataError, match=r"^dev.conll:6: the tag '0'"):
        prepare("tagger", examples[:2], dev, tiny())


def test_tags_that_mark_no_span_are_taken_where_the_user_says_so(tiny):
    examples = tagged("B-P I-P O", "O B-P", "B-P 0 O", "O 0")
    prepared = prepare("tagger", examples, examples, tiny(head__scheme="none"))
    assert (prepared.spec.head.scheme, prepared.spec.head.decoder) == ("none", "softmax")
    prepared = prepare("tagger", examples, examples, tiny(head__scheme="iob2"))
    assert (prepared.spec.head.scheme, prepared.spec.head.decoder) == ("iob2", "crf")
    assert set(prepared.labels) == {"B-P", "I-P", "O", "0"}
    one = prepare("tagger", tagged("I-P I-P O", "B-P O"), [], tiny(head__scheme="iob1"))
    assert one.spec.head.scheme == "iob1"


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (("B-P I-P O", "B-P"), "iob2"),
        (("B-P L-P O U-L",), "bilou"),
        (("B-P M-P E-P S-L O",), "bmes"),
        (("B-P M-P E-P W-L O",), "bmewo"),
        (("P-B P-I O L-B",), "iob2-suffix"),
        (("B E S B M E",), "bmes"),
    ],
)
def test_the_scheme_is_told_and_answers_keep_its_letters(tiny, sentences, scheme):
    examples = tagged(*sentences)
    prepared = prepare("tagger", examples, examples, tiny())
    head = prepared.spec.head
    assert (head.scheme, head.decoder, prepared.monitor) == (scheme, "crf", "f1")
    assert set(prepared.labels) == {tag for e in examples for tag in e.target}
    assert [note for note in prepared.notes if scheme.upper() in note]
    scorer = prepared.new_scorer()
    for example in examples:
        scorer.update(example.target, example.target)
    assert scorer.result()["f1_kind"] == "spans"
    assert scorer.result()["f1"] == 1


def test_that_tags_mark_no_spans_is_told(tiny):
    assert any("mark no spans" in note for note in prepare("tagger", WORDS, [], tiny()).notes)


def test_a_scheme_that_no_tag_fits_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"head.scheme is iob2, and no tag marks a span so: D"):
        prepare("tagger", WORDS, [], tiny(head__scheme="iob2"))
    with pytest.raises(ConfigError, match=r"head.scheme is iob2, the tags mark spans as bilou"):
        prepare("tagger", tagged("B-P L-P O"), [], tiny(head__scheme="iob2"))
    with pytest.raises(ConfigError, match=r"head.scheme is bilou, the tags mark spans as iob2"):
        prepare("tagger", tagged("B-P I-P O"), [], tiny(head__scheme="bilou"))


def test_dev_answers_are_compared_with_what_the_task_makes_of_targets(tiny, monkeypatch):
    def golds(self, labels, tell):
        return lambda example, number: (labels, number, example.target)

    monkeypatch.setattr(Label, "golds", golds)
    examples = [Example(("a",), "x"), Example(("b",), "y")]
    prepared = prepare("classifier", examples, examples, tiny("classifier"))
    assert prepared.dev_golds == [(("x", "y"), 0, "x"), (("x", "y"), 1, "y")]
    batches = DevBatches(prepared, [np.array([1, 0])])
    assert [gold for batch in batches for gold in batch.gold] == prepared.dev_golds[::-1]


def test_dev_tags_in_other_letters_are_the_same_spans(tiny):
    train = tagged("B-P I-P O", "B-P O")
    prepared = prepare("tagger", train, tagged("B-P L-P O", "U-P O", where="dev"), tiny())
    assert [example.target for example in prepared.dev_examples] == [e.target for e in train]
    assert not any("never saw" in note for note in prepared.notes)
    told = "dev:1: dev marks spans as BILOU, training as IOB2: they are compared as spans"
    assert prepared.notes.count(told) == 1
    same = prepare("tagger", train, train, tiny())
    assert not any("compared as spans" in note for note in same.notes)


def test_letters_of_a_type_that_training_saw_are_not_unknown(tiny):
    # Legal tags of "I-Y" are "B-Y" alone: the label I-Y is no longer one of the model's.
    train = tagged("B-P I-P O", "B-P I-P O I-Y", "O I-Y")
    prepared = prepare("tagger", train, train, tiny(head__scheme="iob2"))
    assert "I-Y" not in prepared.labels
    assert not any("never saw" in note for note in prepared.notes)
    prepared = prepare("tagger", train, tagged("B-Z I-Z O"), tiny(head__scheme="iob2"))
    assert "labels in dev that training never saw, counted as wrong: B-Z (1), I-Z (1)" in (
        prepared.notes
    )


def test_ten_of_many_unknown_labels_are_named(tiny):
    dev = [Example(tuple("b" * 12), tuple(f"t{i}" for i in range(12)))]
    prepared = prepare("tagger", SYMBOLS, dev, tiny())
    [note] = [note for note in prepared.notes if "never saw" in note]
    assert note.endswith("t6 (1), t7 (1), and 2 more")


def test_values_are_better_when_smaller(tiny):
    prepared = prepare("regressor", vectors(), vectors(), tiny("regressor"))
    assert (prepared.monitor, prepared.larger_is_better) == ("rmse", False)


# ---------------------------------------------------------------------- vectors and values


def test_vectors_and_values_are_standardised_by_training_alone(tiny):
    train, dev = vectors(seed=1), vectors(seed=2)
    prepared = prepare("regressor", train, dev, tiny("regressor"))
    x_ND = np.concatenate([e.inputs for e in train]).astype(np.float64)
    y_BK = np.stack([e.target for e in train]).astype(np.float64)
    initial = prepared.initial
    np.testing.assert_allclose(initial["inputs.mean"], x_ND.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(initial["inputs.scale"], x_ND.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(initial["head.mean"], y_BK.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(initial["head.scale"], y_BK.std(axis=0), rtol=1e-6)
    assert {tensor.dtype for tensor in initial.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.0, 1e9])
def test_a_channel_that_never_moves_is_not_blown_up(tiny, constant):
    rows = np.random.default_rng(0).standard_normal((1000, 2)).astype("f4")
    rows[:, 1] = constant
    examples = [Example(rows, "a"), Example(rows, "b")]
    prepared = prepare("classifier", examples, examples, tiny("classifier"))
    assert prepared.initial["inputs.scale"][1] == 1.0


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_a_channel_does_not_matter(tiny, unit):
    rows = (np.random.default_rng(0).standard_normal((50, 1)) * unit).astype("f4")
    examples = [Example(rows, "a"), Example(rows, "b")]
    initial = prepare("classifier", examples, examples, tiny("classifier")).initial
    standard = (rows - initial["inputs.mean"]) / initial["inputs.scale"]
    np.testing.assert_allclose(standard.std(), 1, rtol=1e-3)


# ---------------------------------------------------------------------- labels


def test_labels_that_only_dev_has_are_noted_and_counted(tiny):
    dev = [Example(("a", "a", "b"), ("x", "NEW", "NEW")), Example(("a",), ("ALSO",))]
    prepared = prepare("tagger", SYMBOLS, dev, tiny())
    assert prepared.labels == ("x", "y")
    assert any("NEW (2), ALSO (1)" in note for note in prepared.notes)
    assert prepared.dev.targets.tolist() == [0, -1, -1, -1]


def test_balanced_classes_pay_alike(tiny):
    recipe = tiny(training__class_weights="balanced")
    prepared = prepare("tagger", SYMBOLS, SYMBOLS, recipe)
    # "x" stands twice, "y" once: count times weight is the same for both, and averages 1.
    counts = {"x": 2, "y": 1}
    total = [
        counts[label] * w for label, w in zip(prepared.labels, prepared.class_weights, strict=True)
    ]
    np.testing.assert_allclose(total, [1.5, 1.5])


def test_class_weights_by_name(tiny):
    prepared = prepare("tagger", SYMBOLS, [], tiny(training__class_weights={"y": 3.0}))
    assert dict(zip(prepared.labels, prepared.class_weights, strict=True)) == {"x": 1.0, "y": 3.0}
    assert prepare("tagger", SYMBOLS, [], tiny()).class_weights is None
    with pytest.raises(ConfigError, match="no label 'z': known: x, y"):
        prepare("tagger", SYMBOLS, [], tiny(training__class_weights={"z": 3.0}))
    with pytest.raises(ConfigError, match="a regressor has no classes"):
        prepare("regressor", vectors(), [], tiny("regressor", training__class_weights="balanced"))


@pytest.mark.parametrize(
    ("task", "examples", "message"),
    [
        ("tagger", [Example(("a", "b"), ("x", "x"))], "a single label, 'x'"),
        ("classifier", [Example(("a",), "x"), Example(("b",), "x")], "a single label, 'x'"),
        ("tagger", [Example((), ()), Example((), ())], "no sequence with a step"),
        ("tagger", [Example(("a",), None, "train.tsv:7")], "train.tsv:7: training needs a target"),
    ],
)
def test_data_that_teaches_nothing_is_refused(tiny, task, examples, message):
    with pytest.raises(DataError, match=message):
        prepare(task, examples, examples, tiny(task))


# ---------------------------------------------------------------------- pretrained vectors


@pytest.mark.parametrize("zipped", [False, True])
def test_pretrained_vectors_land_in_table_and_vocabulary(tiny, tmp_path, zipped):
    content = b"the 1 2 3\nriver 4 5 6\nbank 7 8 9\nof 0.5 0.5 0.5\nzebra -1 -1 -1\n"
    path = tmp_path / ("vectors.txt.gz" if zipped else "vectors.txt")
    path.write_bytes(gzip.compress(content) if zipped else content)
    train = [*WORDS, Example(("xylophone",), ("N",))]
    recipe = tiny(inputs__vectors=path, inputs__first_vectors=2, inputs__word_dim=77)
    prepared = prepare("tagger", train, train, recipe)
    words, table = prepared.vocabularies["words"], prepared.initial["inputs.words.weight"]
    assert prepared.spec.inputs.dim == 3  # the file decides
    assert prepared.spec.inputs.size == len(words) == len(table)
    assert table.dtype == np.float32
    # "river" is no word of training, but stands in the first two lines; "zebra" does not.
    assert set(words.items) == {"<unk>", "the", "bank", "of", "xylophone", "river"}
    expected = {"the": [1, 2, 3], "river": [4, 5, 6], "bank": [7, 8, 9], "of": [0.5] * 3}
    for word, vector in expected.items():
        assert table[words.id(word)].tolist() == vector
    assert table[words.id("xylophone")].any()
    assert dict(zip(words.items, words.counts.tolist(), strict=True))["the"] == 2
    assert any("4 vectors, 3 of 4 words known" in note for note in prepared.notes)


def test_pretrained_vectors_reach_the_model(tiny, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("the 1 2 3\nriver 4 5 6\n")
    recipe = tiny(inputs__vectors=path, training__epochs=1, training__learning_rate=1e-9)
    bundle = fit("tagger", Sets(WORDS, WORDS), recipe).bundle
    words, table = list(bundle.vocabularies["words"]), bundle.tensors["inputs.words.weight"]
    np.testing.assert_allclose(table[words.index("the")], [1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(table[words.index("river")], [4, 5, 6], atol=1e-5)


# ---------------------------------------------------------------------- the plan of a run


@pytest.mark.parametrize("count", [2, 9, 10, 57])
def test_a_seeded_tenth_is_held_out(count):
    examples = [Example(("a",), (str(i),)) for i in range(count)]
    rest, held = hold_out(examples, seed=5)
    assert len(held) == max(1, count // 10)
    names = [example.target[0] for example in (*rest, *held)]
    assert sorted(names, key=int) == [str(i) for i in range(count)]
    assert hold_out(examples, seed=5) == (rest, held)
    if count == 57:
        assert hold_out(examples, seed=6) != (rest, held)
        # In the order of the file, on both sides.
        for part in (rest, held):
            order = [int(example.target[0]) for example in part]
            assert order == sorted(order)


def test_one_example_cannot_be_split():
    with pytest.raises(DataError, match="the training data is 1 example"):
        hold_out([Example(("a",), ("x",))], seed=1)


@pytest.mark.parametrize(
    ("rows", "expected"), [(1000, 10), (999_999, 2), (1, 20), (2_500, 4), (0, 20)]
)
def test_epochs_make_up_the_wanted_rows_within_a_range(tiny, rows, expected):
    settings = tiny(
        training__epochs=None, training__rows=10_000, training__epochs_range=(2, 20)
    ).training
    assert planned_epochs(settings, rows) == expected


def test_epochs_that_are_set_are_the_epochs(tiny):
    assert planned_epochs(tiny(training__epochs=77).training, 10**9) == 77


def test_a_word_below_the_minimum_count_keeps_its_pretrained_vector(tiny, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("other 9 9\nof 1 2\n", encoding="utf-8")
    recipe = tiny(inputs__vectors=path, inputs__first_vectors=0, inputs__min_count=2)
    prepared = prepare("tagger", WORDS, [], recipe)
    assert set(prepared.vocabularies["words"].items) == {"<unk>", "the", "bank", "of"}
    row = prepared.vocabularies["words"].id("of")
    assert prepared.initial["inputs.words.weight"][row].tolist() == [1, 2]


# ---------------------------------------------------------------------- log-count ratios


def test_ratios_weigh_words_as_naive_bayes_does(tiny):
    recipe = tiny("classifier", inputs__class_ratios=True)
    prepared = prepare("classifier", TEXTS, [], recipe)
    table = prepared.initial["inputs.words.weight"]
    words, labels = prepared.vocabularies["words"], prepared.labels
    for word in words.items[1:]:
        for k, label in enumerate(labels):
            holds = [(e.target == label, word in e.inputs) for e in TEXTS]
            inside = sum(same and held for same, held in holds) + 1
            outside = sum(not same and held for same, held in holds) + 1
            of = sum(e.target == label for e in TEXTS for _ in set(e.inputs)) + len(words)
            of_others = sum(e.target != label for e in TEXTS for _ in set(e.inputs)) + len(words)
            expected = RATIO_SCALE * np.log((inside / of) / (outside / of_others))
            np.testing.assert_allclose(table[words.id(word), k], expected, rtol=1e-5)
    assert not table[0, : len(labels)].any()


def test_ratios_give_way_to_pretrained_vectors_and_are_for_classifiers(tiny, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("good 5 6\n", encoding="utf-8")
    recipe = tiny("classifier", inputs__class_ratios=True, inputs__vectors=path)
    prepared = prepare("classifier", TEXTS, [], recipe)
    row = prepared.vocabularies["words"].id("good")
    assert prepared.initial["inputs.words.weight"][row].tolist() == [5, 6]
    assert not prepare("tagger", WORDS, [], tiny(inputs__class_ratios=True)).initial


# ---------------------------------------------------------------------- tags that break a scheme


def test_training_tags_are_made_legal_with_the_spans_they_mark(tiny):
    broken = Example(("a", "b", "c"), ("O", "I-P", "I-P"))
    prepared = prepare("tagger", [*SPANS, *SPANS, broken], [broken], tiny())
    assert prepared.spec.head.scheme == "iob2"
    targets = prepared.train.batch([4]).targets
    assert [prepared.labels[i] for i in targets] == ["O", "B-P", "I-P"]
    assert prepared.dev_examples[0].target == broken.target  # scored as it stands
    assert any("1 training sequences break the iob2 scheme" in note for note in prepared.notes)
