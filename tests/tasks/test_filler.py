"""The filler: gaps drawn, nothing of their words left, scored by the exponential of the entropy."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

import birnn
from birnn.bundle import Bundle, Encoder, Spec
from birnn.bundle.checks import vocabulary_faults
from birnn.cli.main import main
from birnn.data import Example
from birnn.data.gaps import GAP
from birnn.errors import BirnnError, ConfigError, DataError, UsageError
from birnn.models import build
from birnn.runtime import Predictor
from birnn.tasks import Gaps
from birnn.tasks.gap_drawing import ASKED, drawn
from birnn.tasks.gap_scores import GapScorer, ScoredGaps
from birnn.training.datamodule import DataModule
from birnn.training.prepare import prepare
from birnn.training.recipe import Recipe

SETTINGS = {
    "inputs.word_dim": 6,
    "inputs.min_count": 1,
    "inputs.character_dim": 4,
    "inputs.character_hidden": 3,
    "inputs.surface_dim": 4,
    "encoder.hidden_size": 5,
    "training.epochs": 2,
}
WORDS = [
    "a",
    "fine",
    "day",
    "for",
    "the",
    "quick",
    "brown",
    "fox",
    "and",
    "dog",
    "it",
    "was",
    "not",
]


def texts(count, seed=0, longest=12):
    """Random sentences, length 0 among them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, longest, count)
    return [Example(tuple(random.choice(WORDS, length).tolist())) for length in lengths]


def prepared(examples, **settings):
    recipe = Recipe.load("filler").with_settings(SETTINGS | settings)
    return prepare("filler", examples, examples[:9], recipe), recipe


@pytest.fixture(scope="module")
def trained():
    return birnn.train("filler", train=texts(40), settings=SETTINGS, quiet=True)


# ---------------------------------------------------------------------- masks


def test_a_share_of_the_rows_is_drawn_and_at_least_one_of_each_sequence_that_has_any():
    lengths = np.array([0, 1, 3, 0, 4000, 2])
    may = np.ones(lengths.sum(), bool)
    may[-2:] = False  # of the last sequence none may
    gaps = drawn(may, lengths, 0.2, np.random.default_rng(0))
    each = [part.sum() for part in np.split(gaps, np.cumsum(lengths)[:-1])]
    assert each[0] == each[3] == each[5] == 0
    assert each[1] == 1
    assert each[2] >= 1
    # Five standard deviations of a binomial.
    assert abs(each[4] - 800) < 5 * math.sqrt(4000 * 0.2 * 0.8)
    assert not drawn(may[:0], np.zeros(2, int), 0.5, np.random.default_rng(0)).size


def test_nothing_of_a_masked_word_is_left_in_what_the_network_reads():
    data, _ = prepared(texts(30))
    change = data.spec.head.training_batches(data.codec)
    batch = data.train.batch(np.arange(30))
    seen = change(batch, np.random.default_rng(1))
    # The same gaps over other words: what is masked is swapped for other words of the language.
    masked = np.flatnonzero(seen.asked)
    order = np.arange(len(batch.inputs))
    order[masked] = np.random.default_rng(2).permutation(len(order))[: len(masked)]
    other = change(
        type(batch)(batch.inputs.take(order), batch.lengths, batch.targets),
        np.random.default_rng(1),
    )
    network = build(data.spec)
    network.eval()
    with torch.no_grad():
        np.testing.assert_array_equal(network(seen).scores.numpy(), network(other).scores.numpy())
    gap = data.codec.rows([(GAP,)])
    assert set(seen.inputs.words[masked]) == set(gap.words)
    assert set(seen.inputs.written[seen.inputs.forms[masked]]) == {GAP}
    kept = ~seen.asked
    np.testing.assert_array_equal(seen.inputs.words[kept], batch.inputs.words[kept])
    np.testing.assert_array_equal(
        seen.inputs.written[seen.inputs.forms[kept]], batch.inputs.written[batch.inputs.forms[kept]]
    )
    # A word that stands at gaps alone is not even among the forms that characters are read of.
    alone = set(batch.inputs.written[batch.inputs.forms[masked]]) - set(
        batch.inputs.written[batch.inputs.forms[kept]]
    )
    assert not alone & set(seen.inputs.written)


def test_the_gap_is_a_word_of_its_own_and_is_never_learnt():
    data, _ = prepared([*texts(30), Example(("a", "___", "day", "[MASK]"))])
    words = data.vocabularies["words"]
    assert words.id(GAP) > 0
    assert GAP not in data.labels
    own = data.train.batch([30])
    assert (own.inputs.words == words.id(GAP)).tolist() == [False, True, False, True]
    assert (own.targets < 0).tolist() == [False, True, False, True]


def test_masks_are_drawn_anew_in_each_epoch_and_the_same_for_a_seed():
    data, recipe = prepared(texts(60))

    def epoch(seed, number):
        module = DataModule(data, recipe.training, seed=seed)
        module.trainer = type("T", (), {"current_epoch": number})()
        found = {}
        for group, batch in zip(module.groups(number), module.train_dataloader(), strict=True):
            asked = np.split(batch.asked, np.cumsum(batch.lengths)[:-1])
            found |= {int(i): tuple(rows.tolist()) for i, rows in zip(group, asked, strict=True)}
        return found

    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)


def test_the_gaps_of_an_evaluation_are_fixed_and_do_not_hang_on_the_training():
    head, other = Gaps(size=3, share=0.5), Gaps(size=9, share=0.1)
    for number, text in enumerate(texts(50)):
        asked = head.question(text, number)
        assert asked == other.question(text, number) == head.question(asked, 7)
        assert asked.inputs.count(GAP) == len(asked.target)
        assert bool(asked.target) == bool(text.inputs)
        words = iter(asked.target)
        assert tuple(next(words) if t == GAP else t for t in asked.inputs) == text.inputs
    marked = Example(("so", ",", "what", "?", "!", "..."))
    for number in range(20):
        assert set(head.question(marked, number).target) <= {"so", "what"}
    assert head.question(Example(("?", ".")), 0).target == ()
    every = Gaps(size=3, punctuation=True)
    found = {word for number in range(20) for word in every.question(marked, number).target}
    assert found == set(marked.inputs)
    long = Example(("a",) * 10_000)
    gaps = head.question(long, 0).inputs.count(GAP)
    assert abs(gaps - ASKED * 10_000) < 5 * math.sqrt(10_000 * ASKED * (1 - ASKED))


# ---------------------------------------------------------------------- the output layer


def test_scores_are_computed_of_the_gaps_alone_in_both_halves(trained):
    sentences = [("a", GAP, "day"), (), (GAP,), ("no", "gap"), (GAP, "dog", GAP)]
    runtime = trained.scores(sentences)
    assert [scores.shape for scores in runtime] == [
        (n, len(trained.labels)) for n in (1, 0, 1, 0, 2)
    ]
    network = build(trained.spec)
    network.load_tensors(trained.bundle.tensors)
    network.eval()
    codec = trained.spec.inputs.codec(birnn.inputs.restored(trained.bundle.vocabularies))
    seen = []
    network.head.linear.register_forward_hook(lambda _, given, out: seen.append(len(given[0])))
    encoded = trained.spec.head.encoded(
        codec, [Example(s, ("dog",) * s.count(GAP)) for s in sentences]
    )
    with torch.no_grad():
        scores = network(encoded.batch(np.arange(5))).scores.numpy()
    assert seen == [4]
    np.testing.assert_allclose(scores, np.concatenate(runtime), rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_mean_over_gaps_and_zero_without_any():
    data, _ = prepared(texts(20))
    network = build(data.spec)
    network.eval()
    batch = data.spec.head.training_batches(data.codec)(
        data.train.batch(np.arange(20)), np.random.default_rng(0)
    )
    with torch.no_grad():
        scores = network(batch).scores.double().numpy()
        loss = float(network.loss(batch))
        none = type(batch)(batch.inputs, batch.lengths, batch.targets, asked=batch.asked & False)
        assert float(network.loss(none)) == 0
    right = batch.targets[batch.asked]
    each = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(right)), right]
    assert loss == pytest.approx(each.mean(), rel=1e-5)


# ---------------------------------------------------------------------- what is learnt


def test_the_most_frequent_words_are_learnt_and_the_others_counted():
    counts = {"a": 8, "B": 4, "b": 3, "c": 2, "d": 1}
    words = [word for word, count in counts.items() for _ in range(count)]
    train = [Example((word,)) for word in words]
    data, _ = prepared(train, **{"head.words": 2})
    assert data.labels == ("a", "b")
    assert any("the 2 most frequent of 4 words, 83.3 % of the text" in n for n in data.notes)
    np.testing.assert_allclose(
        np.exp(data.initial["head.linear.bias"]), [8 / 15, 7 / 15], rtol=1e-5
    )
    marked = [*train, *[Example((mark,)) for mark in ".,.?"], Example((GAP,)), Example(())]
    words_alone, recipe = prepared(marked)
    assert words_alone.labels == ("a", "b", "c", "d")
    assert any("and punctuation are read" in note for note in words_alone.notes)
    every, _ = prepared(marked, **{"head.punctuation": True})
    assert set(every.labels) == {"a", "b", "c", "d", ".", ",", "?"}
    with pytest.raises(DataError, match="the training texts hold no word"):
        prepared([Example((".", ","))] * 3)
    cased, _ = prepared(train, **{"head.lowercase": False})
    assert cased.labels == ("a", "B", "b", "c", "d")
    strange = [Example(("zebra", "a"), None, "f:1")] * 20
    recipe = Recipe.load("filler").with_settings(SETTINGS)
    notes = prepare("filler", train, strange, recipe).notes
    asked = [Gaps(size=1).question(example, n).target for n, example in enumerate(strange)]
    missing = Counter(word for target in asked for word in target)["zebra"]
    assert any(note.startswith(f"{missing} of the ") for note in notes)


def test_what_cannot_be_learnt_from_is_refused():
    with pytest.raises(DataError, match=r"no word but 'a': .* Give texts of several words"):
        prepared([Example(("a", "A"))])
    with pytest.raises(DataError, match="the training texts hold no word: "):
        prepared([Example(("___", "[MASK]"))])
    with pytest.raises(DataError, match="no sequence with a step"):
        prepared([Example(())])
    with pytest.raises(DataError, match=r"f:3: vectors\. A filler learns from words"):
        prepared([Example(np.ones((2, 3)), None, "f:3")])
    with pytest.raises(ConfigError, match=r"inputs\.kind is symbols, a filler learns from words"):
        prepared(texts(9), **{"inputs.kind": "symbols"})


# ---------------------------------------------------------------------- scores


def test_perplexity_is_that_of_the_words_among_the_answers():
    random = np.random.default_rng(0)
    scores = random.standard_normal((6, 7))
    right, lengths = np.array([3, -1, 0, 6, 2, 5]), np.array([2, 0, 4])
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    known = [0, 2, 3, 4, 5]
    scorer = GapScorer("abcdefg", GAP)
    golds = [("d", "?"), (), ("a", "g", "c", "f")]
    for gold, said in zip(golds, ScoredGaps.of(scores, right, lengths), strict=True):
        scorer.update(gold, said)
    result = scorer.result()
    expected = math.exp(-np.log(chances[known, right[known]]).mean())
    assert result["perplexity"] == pytest.approx(expected, rel=1e-12)
    ranked = np.argsort(-chances, axis=1)
    for name, best in (("accuracy", 1), ("accuracy_at_5", 5)):
        hits = [number in row[:best] for number, row in zip(right, ranked, strict=True)]
        assert result[name] == pytest.approx(sum(hits) / 6)
    assert (result["gaps"], result["unknown_words"], result["vocabulary"]) == (6, 1, 7)


def test_an_evaluation_is_what_the_probabilities_say(trained, tmp_path):
    path = tmp_path / "test.txt"
    sentences = texts(30, seed=5)
    path.write_text("".join(f"{' '.join(e.inputs)}\n" for e in sentences))
    scores = trained.evaluate(path)
    asked = [trained.spec.head.question(e, number) for number, e in enumerate(sentences)]
    rows = np.concatenate(trained.predict_proba([e.inputs for e in asked]))
    right = [trained.labels.index(word) for e in asked for word in e.target]
    chances = rows[np.arange(len(right)), right]
    assert scores["perplexity"] == pytest.approx(math.exp(-np.log(chances).mean()), rel=1e-5)
    assert scores["accuracy"] == pytest.approx((rows.argmax(axis=1) == right).mean())
    assert scores == trained.evaluate(sentences) | {
        name: scores[name] for name in ("seconds", "tokens_per_second")
    }
    again = trained.evaluate(asked)
    assert again["perplexity"] == pytest.approx(scores["perplexity"])


# ---------------------------------------------------------------------- answers


def test_the_right_words_of_gaps_come_in_pairs_and_examples(trained):
    words = tuple(trained.labels[:2])
    [likely] = trained.predict_proba(["the ___ ___"])
    perplexity = math.exp(-np.log(likely[[0, 1], [0, 1]]).mean())
    for given in (
        Example(("the", "___", "___"), words),
        ("the ___ ___", list(words)),
        (["the", "___", "___"], words),
    ):
        found = trained.evaluate([given])
        assert (found["gaps"], found["unknown_words"]) == (2, 0)
        assert found["perplexity"] == pytest.approx(perplexity, rel=1e-5)
    with pytest.raises(DataError, match=r"1 words for 2 gaps\. Give every gap one"):
        trained.evaluate([("the ___ ___", ["a"])])


def test_a_bundle_that_would_fill_gaps_with_gaps_is_refused(trained):
    vocabularies = dict(trained.bundle.vocabularies)
    assert vocabulary_faults(trained.spec, vocabularies) == []
    vocabularies["labels"] = ("___", *vocabularies["labels"][1:])
    [fault] = vocabulary_faults(trained.spec, vocabularies)
    assert fault == "the vocabulary of labels has ___, which stands for a gap and fills none"


def test_training_learns_the_right_words_of_gaps_too():
    dev = [Example(("am", "I"))]
    recipe = Recipe.load("filler").with_settings(SETTINGS)
    whole = prepare("filler", [Example(("I", "am", "here"))], dev, recipe)
    asked = prepare("filler", [Example(("I", "___", "here"), ("am",))], dev, recipe)
    assert asked.labels == whole.labels == ("am", "here", "i")
    np.testing.assert_array_equal(asked.train.targets, whole.train.targets)
    with pytest.raises(DataError, match=r"an example: 2 words for 1 gaps"):
        prepared([Example(("I", "___"), ("am", "here"))])


def test_each_gap_is_answered_for_itself(trained):
    given = ["A fine ___, and [MASK].", "no gap", "", "___", ["the", "_", "dog"], "it is ___"]
    said = []
    answers = trained.predict(given, tell=said.append)
    assert list(map(len, answers)) == [2, 0, 0, 1, 1, 1]
    assert all(word in trained.labels for words in answers for word in words)
    assert answers == [[trained.labels[row.argmax()] for row in rows]
                       for rows in trained.predict_proba(given)]  # fmt: skip
    assert any("2 of 6 texts have no gap to fill" in line for line in said)
    assert any("several gaps, each is filled for itself" in line for line in said)


def test_lines_and_records_hold_the_text_and_the_best_words(trained, tmp_path, capsys):
    folder, path = tmp_path / "m", tmp_path / "in.txt"
    birnn.bundle.save(trained.bundle, folder)
    path.write_text("A fine ___, and <mask>.\n\nNothing here.\n")
    assert main(["predict", str(folder), str(path), "--text"]) == 0
    first, second, third = capsys.readouterr().out.split("\n")[:3]
    [words, none, empty] = trained.predict(["A fine ___, and ___.", "", "Nothing here."])
    assert (none, empty) == ([], [])
    assert first == f"A fine {words[0]}, and {words[1]}."
    assert (second, third) == ("", "Nothing here.")
    assert main(["predict", str(folder), str(path), "--text", "--probabilities"]) == 0
    block = capsys.readouterr().out.split("\n\n")[0].split("\n")
    assert block[0] == first
    rows = [line.split("\t") for line in block[1:]]
    assert [row[0] for row in rows] == ["gap 1"] * 5 + ["gap 2"] * 5
    assert [rows[0][1], rows[5][1]] == words
    assert main(["predict", str(folder), str(path), "--text", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["words"] for record in records] == [words, [], []]
    best = records[0]["likeliest"]
    assert [next(iter(each)) for each in best] == words
    for each, row in zip(best, trained.predict_proba(["A fine ___, and ___."])[0], strict=True):
        assert list(each.values()) == pytest.approx(sorted(row, reverse=True)[:5], abs=1e-6)


def test_it_does_not_stream_step_by_step():
    spec = Spec(
        inputs=birnn.inputs.Words(size=2, dim=2),
        encoder=Encoder(hidden_size=2, bidirectional=False),
        head=Gaps(size=2),
    )
    tensors = {name: np.zeros(shape, np.float32) for name, shape in spec.tensors().items()}
    bundle = Bundle(spec, {"words": ("<unk>", GAP), "labels": ("a", "b")}, tensors)
    with pytest.raises(UsageError, match=r"it does not stream\. Use predict"):
        Predictor(bundle).online()


@pytest.mark.parametrize("words", ["a b", ("a", "b"), ("a",)])
def test_words_that_are_not_one_for_each_gap_are_refused(trained, words):
    with pytest.raises(BirnnError, match="f:2: "):
        trained.evaluate([Example(("a", GAP, GAP, GAP), words, "f:2")])


def test_one_seed_gives_one_model_its_masks_included():
    train = texts(30)
    whole = birnn.train("filler", train=train, settings=SETTINGS, quiet=True)
    again = birnn.train("filler", train=train, settings=SETTINGS, quiet=True)
    for name, tensor in whole.bundle.tensors.items():
        np.testing.assert_array_equal(tensor, again.bundle.tensors[name])
