"""What a run reads: how texts are split is found once, for all files of the run."""

from __future__ import annotations

import json

import pytest

from birnn.data import Example, ReadOptions
from birnn.data.tokeniser import part
from birnn.errors import DataError
from birnn.training.sets import DataSources, hold_out

PARTED = ["up 5% , fine .", "w/o it .", "costs $5"]
RUNNING = ["up 5%, fine.", "w/o it.", "costs $5"]


@pytest.fixture
def read(tmp_path):
    """The splits of texts in train and in dev, what is kept, what was told."""

    def run(train, dev=("costs $5",), **options):
        for name, texts in (("train", train), ("dev", dev)):
            rows = [f'"{text}",{"ab"[n % 2]}' for n, text in enumerate(texts)]
            (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
        told = []
        files = (tmp_path / "train.csv", tmp_path / "dev.csv", None)
        sources = DataSources(*files, ReadOptions.of(options))
        sets = sources.read("classifier", tell=told.append)
        splits = [[" ".join(example.inputs) for example in s] for s in (sets.train, sets.dev)]
        return *splits, sets.reading.get("split"), [line for line in told if "split" in line]

    return run


def test_texts_in_tokens_are_split_at_white_space_in_every_file(read):
    train, dev, kept, [line] = read(PARTED)
    assert (train, dev, kept) == (PARTED, ["costs $5"], "auto-tokens")
    assert "train.csv: looks tokenised: split at white space alone. " in line
    assert line.endswith("--text")


def test_running_text_is_split_by_the_tokeniser_in_every_file(read):
    parted = ["up 5 % , fine .", "w/o it .", "costs $ 5"]
    assert read(RUNNING) == (parted, ["costs $ 5"], "text", [])
    # Dev is read as train, whatever it looks like.
    assert read(RUNNING, dev=["5% . ,"])[1] == ["5 % . ,"]


def test_a_mixed_file_is_told(read):
    train, _, kept, [line] = read([*PARTED, "(no)"])
    assert (train, kept) == ([*PARTED, "( no )"], "auto-tokens")
    assert "except 1 of 4" in line
    train, _, kept, [line] = read([*RUNNING, "up , 5%"])
    assert (train[-1], kept) == ("up , 5 %", "text")
    assert "1 of 4 texts look tokenised, 2 do not" in line


def test_a_file_that_shows_neither_is_told_where_it_matters(read):
    assert read(["so good", "so bad"], dev=["so so"]) == (
        ["so good", "so bad"],
        ["so so"],
        None,
        [],
    )
    train, _, kept, lines = read(["up 5%", "so bad"], dev=["so so"])
    assert (train, kept, len(lines)) == (["up 5 %", "so bad"], None, 1)


@pytest.mark.parametrize("split", ["tokens", "text"])
def test_what_is_set_is_kept_and_not_told(read, split):
    for texts in (PARTED, RUNNING):
        _, dev, kept, told = read(texts, split=split)
        assert (dev, kept, told) == (["costs $5" if split == "tokens" else "costs $ 5"], split, [])


def test_pairs_from_python_are_split_as_rows_of_a_file():
    for texts, split in ((PARTED, "auto-tokens"), (RUNNING, "text")):
        pairs = list(zip(texts, "aba", strict=True))
        sets = DataSources(pairs, pairs).read("classifier", tell=[].append)
        assert sets.reading["split"] == split
        assert [e.inputs for e in sets.train] == [part(text, split).tokens for text in texts]
        assert [e.inputs for e in sets.dev] == [part(text, split).tokens for text in texts]


def test_examples_from_python_stay_as_they_are():
    examples = [
        Example(("up", "5%", ","), "a", text="up 5% ,"),
        Example(("no.",), "b", text="no."),
        Example(("so", "5%", "."), "b"),
    ]
    told = []
    sets = DataSources(examples, examples).read("classifier", tell=told.append)
    assert [e.inputs for e in sets.train] == [e.inputs for e in examples]
    assert (sets.reading, told) == ({}, [])


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_a_notice_is_told_once_of_a_file_that_is_read_three_times(tmp_path, name):
    rows = [("bad w/o e-mail C++/CLI", "pos"), ("good w/o it", "neg")] * 4
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("comment,class\n" + "".join(f"{text},{label}\n" for text, label in rows))
    else:
        path.write_text("".join(f'{{"comment": "{t}", "class": "{a}"}}\n' for t, a in rows))
    told = []
    DataSources(path, path, path).read("classifier", tell=told.append)
    said = [line.partition(name)[2].lstrip(":1").strip(" :") for line in told]
    assert len(said) == len(set(said)) == 2
    assert any(line.startswith("the text is 'comment'") for line in said)
    assert any(line.startswith("split by the tokeniser") for line in said)
    # of another file it is told
    other = tmp_path / f"other{path.suffix}"
    other.write_text(path.read_text())
    told.clear()
    DataSources(path, other).read("classifier", tell=told.append)
    assert sum("split by the tokeniser" in line for line in told) == 2


def test_labels_that_stand_first_in_dev_are_known_by_those_of_train(tmp_path):
    rows = [("so good", "pos"), ("so bad", "neg")]
    (tmp_path / "train.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    (tmp_path / "dev.tsv").write_text("".join(f"{label}\t{text}\n" for text, label in rows))
    told = []
    files = (tmp_path / "train.tsv", tmp_path / "dev.tsv", None)
    sets = DataSources(*files).read("classifier", tell=told.append)
    assert [(e.text, e.target) for e in sets.dev] == rows
    assert "the model's text column '1'" in told[-1]


# ------------------------------------------------------------------ pairs of sequences

PAIRS = [("read", "R EH D"), ("read", "R IY D"), ("cat", "K AE T"), ("", "AH"), ("dog", "")]


def test_training_learns_each_target_and_dev_takes_any_of_them(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    told = []
    sets = DataSources(path, path, path).read("seq2seq", tell=told.append)
    assert [("".join(e.inputs), " ".join(e.target)) for e in sets.train] == PAIRS
    for found in (sets.dev, sets.test):
        assert [("".join(e.inputs), len(e.references)) for e in found] == [
            ("read", 1),
            ("cat", 0),
            ("", 0),
            ("dog", 0),
        ]
    assert sets.reading["source_split"] == "characters"
    assert sets.reading["target_split"] == "spaces"
    assert sets.notes == ["2 examples of length 0 are kept", "2 empty targets are kept"]
    for role in ("dev", "test"):
        assert f"{role}: 1 source has several targets, any of which is right: 5 pairs are 4 " in (
            "\n".join(told)
        )


def test_records_of_several_targets_are_learnt_as_pairs():
    records = [{"source": "red", "targets": ["R EH D", "R IY D"]}, {"source": "a", "targets": "A"}]
    sets = DataSources(records, records).read("seq2seq", tell=[].append)
    assert [e.target for e in sets.train] == [("R", "EH", "D"), ("R", "IY", "D"), ("A",)]
    assert [len(e.references) for e in sets.dev] == [1, 0]


def test_what_is_held_out_shares_no_source_with_training():
    pairs = [(f"w{n % 30}", f"T{n}") for n in range(90)]
    sets = DataSources(pairs).read("seq2seq", seed=3, tell=[].append)
    trained, held = ({e.inputs for e in s} for s in (sets.train, sets.dev))
    assert not trained & held
    assert (len(trained), len(held), len(sets.train)) == (27, 3, 81)
    assert all(len(e.references) == 2 for e in sets.dev)


def test_dev_is_split_as_train_is(tmp_path):
    for name, rows in (("train", "a b\tx\nc d\ty\n"), ("dev", "ab\tx\n")):
        (tmp_path / f"{name}.tsv").write_text(rows)
    told = []
    files = (tmp_path / "train.tsv", tmp_path / "dev.tsv")
    sets = DataSources(*files).read("seq2seq", tell=told.append)
    assert [e.inputs for e in sets.dev] == [("ab",)]
    assert sum("are split" in line for line in told) == 1


def test_texts_with_spans_keep_the_tokens_that_their_tags_are_of(tmp_path):
    texts = [*PARTED, "don't (go)"]
    path = tmp_path / "train.jsonl"
    rows = [json.dumps({"text": text, "label": [[0, 2, "X"]]}) + "\n" for text in texts]
    path.write_text("".join(rows))
    sources = DataSources(path, path, None, ReadOptions(format="doccano"))
    sets = sources.read("tagger", tell=lambda line: None)
    for example in sets.train:
        assert len(example.inputs) == len(example.target)
        assert len(example.inputs) == len(example.offsets)


def test_one_example_leaves_none_for_dev():
    with pytest.raises(DataError, match=r"is 1 example, of which .* Give more, or a dev set\."):
        hold_out([Example(("a", "b"), ("x", "y"))], seed=1)
