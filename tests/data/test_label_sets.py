"""Sets of labels, however people write them: one answer, or a line that says what is not clear."""

import json

import numpy as np
import pandas
import pytest

from birnn.data import ReadOptions, ReadRequest, read
from birnn.data.label_sets import LIKELY, LabelSets
from birnn.data.objects import examples
from birnn.errors import ConfigError, DataError

TEXTS = ("dull", "loud and long", "", "a fine ride")
SETS = ((), ("action", "science fiction"), ("drama",), ("action",))
NAMES = ("action", "drama", "science fiction")


def written(path, ending, sets=SETS, split="|", options=None, told=None):
    """The label sets of a file that holds the sets in this form."""
    file = path / f"data{ending}"
    if ending == ".jsonl":
        rows = [
            json.dumps({"text": text, "labels": list(labels)})
            for text, labels in zip(TEXTS, sets, strict=True)
        ]
    else:
        delimiter = "," if ending == ".csv" else "\t"
        rows = [f"text{delimiter}labels"]
        for text, labels in zip(TEXTS, sets, strict=True):
            cell = repr(list(labels)) if split == "list" else split.join(labels)
            quote = '"' if ending == ".csv" else ""
            rows.append(f"{quote}{text}{quote}{delimiter}{quote}{cell}{quote}")
    file.write_text("\n".join(rows) + "\n")
    found = {}
    tell = (told if told is not None else []).append
    given = read(file, "labels", ReadOptions.of(options or {}), tell=tell, found=found)
    return [example.target for example in given], found


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
@pytest.mark.parametrize("split", [*LIKELY, "list"])
def test_every_form_holds_the_same_sets_and_a_guess_is_told(tmp_path, ending, split):
    told = []
    sets, found = written(tmp_path, ending, split=split, told=told)
    assert sets == list(SETS)
    if ending != ".jsonl":
        assert found["label_split"] == split
        shown = "lists" if split == "list" else f"split at {split!r}"
        assert any(f"labels are {shown}" in line and "--label-split" in line for line in told)
        # What was found, set as an option, reads the same, in silence.
        told.clear()
        again, _ = written(tmp_path, ending, split=split, told=told, options=found)
        assert again == sets
        assert told == []


def table_of_truths(one="1", none="0"):
    rows = [["id", "comment", *NAMES]]
    rows += [
        [str(100 + at), text, *(one if name in labels else none for name in NAMES)]
        for at, (text, labels) in enumerate(zip(TEXTS, SETS, strict=True))
    ]
    return rows


@pytest.mark.parametrize("truths", [("1", "0"), ("True", "False"), ("1.0", "0.0")])
def test_columns_of_zero_and_one_are_sets_of_their_names(tmp_path, truths):
    file, told = tmp_path / "data.tsv", []
    file.write_text("\n".join(map("\t".join, table_of_truths(*truths))) + "\n")
    wanted = [tuple(name for name in NAMES if name in labels) for labels in SETS]
    assert [e.target for e in read(file, "labels", tell=told.append)] == wanted
    assert any("the labels are 'action', 'drama', 'science fiction'" in line for line in told)
    chosen = ReadOptions.of({"label_column": "drama,science fiction"})
    found = [e.target for e in read(file, "labels", chosen, tell=told.append)]
    assert found == [tuple(name for name in each if name != "action") for each in wanted]


def test_a_cell_that_is_neither_zero_nor_one_is_named(tmp_path):
    file, rows = tmp_path / "data.tsv", table_of_truths()
    rows[-1][-1] = "-1"
    # Beyond the sample, by which the columns are recognised.
    rows[1:1] = rows[1:3] * 60
    file.write_text("\n".join(map("\t".join, rows)) + "\n")
    with pytest.raises(DataError, match=r"data\.tsv:125: science fiction is '-1', 0 or 1"):
        list(read(file, "labels", tell=lambda line: None))


def objects(given, **options):
    told = []
    request = ReadRequest("labels", options=ReadOptions.of(options), tell=told.append)
    return [example.target for example in examples(given, request)], told


def test_python_objects_of_every_kind_hold_the_same_sets():
    lists = [list(labels) for labels in SETS]
    truths = {name: [int(name in labels) for labels in SETS] for name in NAMES}
    sorted_sets = [tuple(sorted(labels)) for labels in SETS]
    joined = ["|".join(labels) for labels in SETS]
    for given in (
        list(zip(TEXTS, lists, strict=True)),
        [{"text": text, "labels": np.array(labels, str)} for text, labels in zip(TEXTS, lists)],  # noqa: B905
        [{"text": text, "labels": set(labels)} for text, labels in zip(TEXTS, lists)],  # noqa: B905
        [
            {"text": text} | {name: cells[at] for name, cells in truths.items()}
            for at, text in enumerate(TEXTS)
        ],
        pandas.DataFrame({"text": TEXTS, "labels": lists}),
        pandas.DataFrame({"text": TEXTS, "labels": joined}),
        pandas.DataFrame({"text": TEXTS} | truths),
        pandas.DataFrame({"text": TEXTS} | {k: np.array(v, bool) for k, v in truths.items()}),
    ):
        found, _ = objects(given)
        assert [tuple(sorted(each)) for each in found] == sorted_sets


def test_a_missing_set_is_none_and_an_empty_one_is_one():
    with pytest.raises(DataError, match="example 1 has no target"):
        objects([("a", []), ("b", None)])
    assert objects([("a", []), ("b", None)], skip_unlabelled=True)[0] == [()]


@pytest.mark.parametrize("text", ["a|b", "a; b", "a, b", "['a', 'b']"])
def test_a_string_that_could_be_several_labels_is_refused_until_it_is_said(text):
    with pytest.raises(DataError, match=r"one label or several\? .*label_split none if it is one"):
        objects([("so good", text)])
    assert objects([("so good", text)], label_split="none")[0] == [(text,)]


def test_a_separator_in_the_name_of_a_label_stays_where_a_list_says_so():
    assert objects([("so good", ["a|b", "c, d"])])[0] == [("a|b", "c, d")]
    assert LabelSets("|").of("c, d|e;f") == ("c, d", "e;f")
    assert LabelSets("list").of('["c, d", "e\\"f"]') == ("c, d", 'e"f')


def test_a_label_that_stands_twice_counts_once_and_is_told_once():
    found, told = objects([("a", ["x", "x", "y"]), ("b", ["y", "y"])])
    assert found == [("x", "y"), ("y",)]
    assert [line for line in told if "stands twice" in line] == [
        "a label that stands twice in one set counts once"
    ]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([["x"], [""]], "list of labels"),
        (["x", None], "list of labels"),
        ({"x": 1}, "list of labels"),
        (1.5, "list of labels"),
    ],
)
def test_what_is_no_set_of_labels_is_refused(given, fault):
    with pytest.raises(DataError, match=fault):
        LabelSets().of(given)


def test_a_broken_list_is_refused_and_no_code_of_it_runs():
    for cell in ("[1, ", "__import__('os')", "['a' for _ in 'bb']", "[" * 5000):
        with pytest.raises(DataError, match="a list such as"):
            LabelSets("list").of(cell)


def test_a_way_to_split_that_is_mistyped_is_named():
    with pytest.raises(ConfigError, match=r"no way to split 'lst'.*list"):
        ReadOptions.of({"label_split": "lst"})
