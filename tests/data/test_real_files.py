"""The readers on real files: the counts that stand in the data's own README."""

from __future__ import annotations

import time
from collections import Counter
from operator import eq

import pytest

from birnn.data import ReadOptions, detect, read, spans, tokenise, violations
from birnn.data.tokeniser import canonical, part

pytestmark = pytest.mark.shared

# sequences, tokens, longest, distinct labels
UNIVERSAL = {
    "train": (3457, 64684, 98, {"upos": 17, "xpos": 143, "deprel": 46}),
    "dev": (1118, 21637, 95, {"upos": 17, "xpos": 121, "deprel": 41}),
    "test": (1121, 19984, 87, {"upos": 16, "xpos": 113, "deprel": 41}),
}
# sequences, tokens, longest, distinct tags, mentions
ENTITIES = {
    "wnut17/train.conll": (3394, 62730, 41, 13, 1975),
    "wnut17/dev.conll": (1009, 15733, 82, 13, 836),
    "wnut17/test.conll": (1287, 23394, 105, 13, 1079),
    "bc5cdr/train.tsv": (4560, 118170, 154, 5, 9385),
    "bc5cdr/dev.tsv": (4581, 117453, 225, 5, 9593),
    "bc5cdr/test.tsv": (4797, 124750, 165, 5, 9809),
}


def sizes(examples):
    return len(examples), sum(map(len, examples)), max(map(len, examples))


@pytest.mark.parametrize("part", UNIVERSAL)
def test_universal_dependencies(shared_data, part):
    *expected, fields = UNIVERSAL[part]
    for field, labels in fields.items():
        path = shared_data / "ud-english-lines" / f"{part}.conllu"
        examples = list(read(path, "tags", ReadOptions(field=field)))
        assert sizes(examples) == tuple(expected)
        assert len({tag for e in examples for tag in e.target}) == labels
    assert detect(e.target for e in examples) == "none"


@pytest.mark.parametrize("name", ENTITIES)
def test_entities(shared_data, name):
    *expected, labels, mentions = ENTITIES[name]
    examples = list(read(shared_data / name, "tags"))
    tags = [e.target for e in examples]
    assert sizes(examples) == tuple(expected)
    assert len({tag for sequence in tags for tag in sequence}) == labels
    assert detect(tags) == "iob2"
    assert sum(violations(sequence, "iob2") for sequence in tags) == 0
    assert sum(len(spans(sequence, "iob2")) for sequence in tags) == mentions


@pytest.mark.parametrize(
    ("part", "zeros", "ones"), [("train", 3310, 3610), ("dev", 428, 444), ("test", 912, 909)]
)
def test_sentiment(shared_data, part, zeros, ones):
    examples = read(shared_data / "sst2" / f"{part}.tsv", "label")
    assert Counter(e.target for e in examples) == {"0": zeros, "1": ones}


@pytest.mark.parametrize(
    ("part", "words", "letters", "phonemes", "longest"),
    [("dev", 6357, 47597, 40299, (18, 17)), ("test", 6200, 46252, 39356, (17, 17))],
)
def test_pronunciations(shared_data, part, words, letters, phonemes, longest):
    examples = list(read(shared_data / "cmudict" / f"{part}.tsv", "sequence"))
    targets = [e.target for e in examples]
    assert sizes(examples) == (words, letters, longest[0])
    assert (sum(map(len, targets)), max(map(len, targets))) == (phonemes, longest[1])
    assert len({symbol for target in targets for symbol in target}) == 69


@pytest.mark.parametrize(
    ("part", "expected", "states"),
    [
        ("dev", (1080, 280780, 1310), {"H": 103906, "E": 58608, "C": 118266}),
        ("test", (364, 84541, 1589), {"H": 28954, "E": 17360, "C": 38227}),
    ],
)
def test_proteins(shared_data, part, expected, states):
    examples = list(read(shared_data / "protein-ss3" / f"{part}.tsv", "tags"))
    assert sizes(examples) == expected
    assert Counter(tag for e in examples for tag in e.target) == states


@pytest.mark.parametrize(
    ("part", "expected", "speakers"),
    [
        ("train", (270, 4274, 26), [30] * 9),
        ("test", (370, 5687, 29), [31, 35, 88, 44, 29, 24, 40, 50, 29]),
    ],
)
def test_vowels(shared_data, part, expected, speakers):
    examples = list(read(shared_data / "japanese-vowels" / f"{part}.ts", "label"))
    assert sizes(examples) == expected
    assert {e.inputs.shape[1] for e in examples} == {12}
    counts = Counter(e.target for e in examples)
    assert [counts[str(speaker)] for speaker in range(1, 10)] == speakers


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("wnut17/test.conll", 0.994),  # three have a U+FE0F for a token
        ("wnut17/dev.conll", 0.994),
        ("wnut17/train.conll", 0.95),
        ("bc5cdr/test.tsv", 0.99),
        ("ud-english-lines/test.conllu", 0.998),
    ],
)
def test_tokens_that_are_joined_by_spaces_come_back(shared_data, name, least):
    sentences = [tuple(map(canonical, e.inputs)) for e in read(shared_data / name, "tags")]
    right = sum(part(" ".join(tokens)).tokens == tokens for tokens in sentences)
    assert right >= least * len(sentences)


@pytest.mark.parametrize(("part_of", "least"), [("test", 1117), ("dev", 1109), ("train", 3440)])
def test_raw_sentences_of_a_treebank_are_split_as_it_has_them(shared_data, part_of, least):
    path = shared_data / "ud-english-lines" / f"{part_of}.conllu"
    lines = path.read_text("utf-8").splitlines()
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    words = [e.inputs for e in read(path, "tags")]
    assert sum(map(eq, map(tokenise, texts), words)) >= least
    assert (
        sum(part(text).tokens == found for text, found in zip(texts, words, strict=True)) >= least
    )


@pytest.mark.parametrize("split", ["text", "auto-tokens"])
def test_texts_in_their_tokens_keep_them(shared_data, split):
    path = shared_data / "sst2" / "train.tsv"
    parted = [tuple(line.split("\t")[0].split()) for line in path.read_text().splitlines()]
    examples = list(read(path, "label", ReadOptions(split=split)))
    same = sum(e.inputs == tokens for e, tokens in zip(examples, parted, strict=True))
    assert same / len(parted) > 0.999


def test_a_file_of_texts_is_split_in_time(shared_data):
    lines = (shared_data / "ud-english-lines" / "train.conllu").read_text("utf-8").splitlines()
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    tokens = 0
    begun = time.process_time()
    for text in texts:
        tokens += len(part(text).tokens)
    # 300,000 a second on an idle core; where time grows with the square of the text, hundreds.
    assert tokens / (time.process_time() - begun) > 10_000
