"""Tables of series, as files and as data frames: the same series of both, and nothing lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from birnn.data import ReadOptions, ReadRequest, read
from birnn.data.missing import MissingValues
from birnn.data.objects import examples, unpacked
from birnn.errors import DataError

LONG = pd.DataFrame(
    {
        "id": ["b", "b", "b", "a", "a"],
        "time": [0, 1, 2, 5, 6],
        "x": [0.5, 1.5, 2.5, 7.0, 8.0],
        "y": [10.0, 20.0, 30.0, 40.0, 50.0],
        "label": ["calm", "calm", "calm", "busy", "busy"],
    }
)
SERIES = {
    "b": [[0.5, 10.0], [1.5, 20.0], [2.5, 30.0]],
    "a": [[7.0, 40.0], [8.0, 50.0]],
}
LABELS = {"b": "calm", "a": "busy"}


class Reading:
    """What is made of a frame: the examples, what was told, what was found."""

    def __init__(self, frame, target="label", labelled=True, **options):
        self.told, self.found = [], {}
        request = ReadRequest(
            target, labelled, ReadOptions.of(options), self.found, tell=self.told.append
        )
        self.examples = list(examples(frame, request, name="train"))

    @property
    def series(self):
        return {e.id: e.inputs.tolist() for e in self.examples}

    @property
    def targets(self):
        return {e.id: e.target for e in self.examples}

    def tells(self, what):
        return any(what in line for line in self.told)


@pytest.fixture
def of_file(tmp_path):
    """What is made of a frame that stands in a file."""

    def reading(frame, target="label", labelled=True, *, index=False, name="f.csv", **options):
        found = Reading.__new__(Reading)
        found.told, found.found = [], {}
        path = tmp_path / name
        text = frame if isinstance(frame, str) else frame.to_csv(index=index)
        path.write_text(text)
        options = ReadOptions.of({"format": "csv"} | options)
        seen = read(
            path, target, options, labelled=labelled, tell=found.told.append, found=found.found
        )
        found.examples = list(seen)
        return found

    return reading


@pytest.fixture(params=["frame", "file"])
def reading(request, of_file):
    return Reading if request.param == "frame" else of_file


# ---------------------------------------------------------------------- long


def test_rows_of_a_long_table_are_steps(reading):
    found = reading(LONG)
    assert (found.series, found.targets) == (SERIES, LABELS)
    assert list(found.series) == ["b", "a"]
    for what in ("long form", "apart by 'id'", "time is 'time'", "channels are 'x', 'y'"):
        assert found.tells(what)
    kept = {"series": "long", "id_column": "id", "time_column": "time", "channels": ["x", "y"]}
    assert {key: found.found[key] for key in kept} == kept
    assert found.found["label_column"] == "label"
    again = reading(LONG, **{key: found.found[key] for key in kept})
    assert again.series == SERIES


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_are_the_same_series(reading, seed):
    shuffled = LONG.sample(frac=1, random_state=seed)
    found = reading(shuffled)
    assert (found.series, found.targets) == (SERIES, LABELS)
    unsorted = sum(not g["time"].is_monotonic_increasing for _, g in shuffled.groupby("id"))
    assert found.tells("not in the order of the time: sorted") == bool(unsorted)


def test_times_are_numbers_or_dates(reading):
    days = pd.to_datetime(LONG["time"][::-1].to_numpy(), unit="D")
    for time in (days, days.tz_localize("UTC"), [str(day.date()) for day in days], -LONG["time"]):
        found = reading(LONG.assign(time=time))
        assert found.series == {key: rows[::-1] for key, rows in SERIES.items()}
    numpy = LONG.assign(time=days.to_numpy()[::-1])
    assert Reading(numpy.to_dict("list")).series == SERIES


def test_steps_that_are_not_evenly_spaced_are_told(reading):
    found = reading(LONG.assign(time=[0, 1, 5, 0, 1]))
    assert found.series == SERIES
    assert found.tells("1 of 2 series is not evenly spaced in time (1 to 4 between steps)")
    assert not reading(LONG).tells("evenly spaced")


def test_without_a_time_the_order_of_the_rows_counts(reading):
    found = reading(LONG.drop(columns="time"), series="long")
    assert found.series == SERIES
    assert found.tells("no column of the time: steps in the order of the rows")


def test_the_index_of_a_frame_may_tell_series_apart():
    assert Reading(LONG.set_index(["id", "time"])).series == SERIES
    assert Reading(LONG.set_index(["id", "time"]).rename_axis([None, None])).series == SERIES


def test_labels_may_be_of_each_step_or_of_one_row(reading):
    tags = ["p", "q", "p", "q", "q"]
    found = reading(LONG.assign(label=tags), "tags")
    assert found.targets == {"b": ("p", "q", "p"), "a": ("q", "q")}
    first = LONG.assign(label=["calm", None, None, None, "busy"])
    assert reading(first).targets == LABELS
    values = LONG.drop(columns="label").assign(target=[1.5] * 3 + [2.5] * 2)
    assert {k: v.tolist() for k, v in reading(values, "values").targets.items()} == {
        "b": [1.5],
        "a": [2.5],
    }


def test_labels_are_no_channels_where_they_are_not_asked_for(reading):
    found = reading(LONG, labelled=False)
    assert (found.series, set(found.targets.values())) == (SERIES, {None})


def test_channels_are_read_in_the_order_in_which_they_are_set(reading):
    turned = reading(LONG, channels=["y", "x"])
    assert turned.series["a"] == [[40.0, 7.0], [50.0, 8.0]]
    assert reading(LONG, channels="y").series["a"] == [[40.0], [50.0]]
    assert reading(LONG, channels="time,y").series["a"] == [[5.0, 40.0], [6.0, 50.0]]


def test_tables_of_texts_are_none_of_series(reading):
    texts = pd.DataFrame(
        {"id": [1, 1, 2], "time": [1, 2, 3], "text": ["a b", "c", "d"], "label": ["p", "q", "p"]}
    )
    assert [e.inputs for e in reading(texts).examples] == [("a", "b"), ("c",), ("d",)]


def test_series_without_a_label_are_refused_or_left_out(reading):
    frame = LONG.assign(label=[None] * 3 + ["busy"] * 2)
    with pytest.raises(DataError, match="series 'b' has no label"):
        reading(frame)
    found = reading(frame, skip_unlabelled=True)
    assert found.targets == {"a": "busy"}
    assert found.tells("1 series without a label left out")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time": [0, 0, 2, 5, 6]}, "series 'b' has two rows of one time, the other at"),
        ({"time": ["0", "soon", "2", "5", "6"]}, "'time' is 'soon', no time"),
        ({"time": [0, None, 2, 5, 6]}, "'time' is "),
        ({"id": ["b", None, "b", "a", "a"]}, "'id' is empty, which series is the row of?"),
        ({"label": list("pqpqq")}, "series 'b' has the labels 'p' and 'q'"),
        ({"x": [0.5, float("inf"), 2.5, 7.0, 8.0]}, "'x' is inf"),
        ({"x": [0.5, None, 2.5, 7.0, 8.0]}, "'x' of series 'b' is missing"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_place(reading, change, says):
    with pytest.raises(DataError) as caught:
        reading(LONG.assign(**change))
    message = str(caught.value)
    assert says in message
    assert "train: row 1" in message or ":3:" in message or "label" in change
    assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"id_column": "series"}, "no column 'series': the header names 'id', 'time'"),
        ({"channels": ["x", "z"]}, "no column 'z': the header names"),
        ({"series": "wide"}, "no columns that are numbered by time"),
    ],
)
def test_options_that_name_no_column_are_refused(reading, options, says):
    with pytest.raises(DataError, match=says):
        reading(LONG, **options)


def test_cells_that_are_no_numbers_are_refused(reading):
    frame = pd.concat([LONG.assign(id=f"{at}{LONG.id[0]}") for at in range(40)])
    frame["time"] = range(len(frame))
    frame["x"] = frame["x"].astype(object)
    frame.iloc[150, 2] = "high"
    with pytest.raises(DataError, match=r"(row 150|csv:152): 'x' is 'high', a number is needed"):
        reading(frame)


def test_series_of_one_step_each_are_told(reading):
    found = reading(LONG, series="long", id_column="time", time_column="x")
    assert [len(e) for e in found.examples] == [1] * 5
    assert found.tells("each of 5 series has one step")


# ---------------------------------------------------------------------- wide

STEPS = np.arange(12.0).reshape(3, 4)
WIDE = pd.DataFrame(STEPS, columns=[f"t{at}" for at in range(4)]).assign(kind=["p", "q", "p"])


def arrays_of(found):
    return [e.inputs.tolist() for e in found.examples]


@pytest.mark.parametrize("pattern", ["t{}", "t_{}", "{}", "step[{}]", "Time.{}"])
def test_rows_of_a_wide_table_are_series(reading, pattern):
    frame = WIDE.rename(columns={f"t{at}": pattern.format(at) for at in range(4)})
    turned = frame[frame.columns[::-1]]
    for each in (frame, turned):
        found = reading(each)
        assert arrays_of(found) == STEPS[:, :, None].tolist()
        assert [e.target for e in found.examples] == ["p", "q", "p"]
        assert found.tells("wide form")


def test_wide_tables_have_the_names_of_channels_before_the_numbers(reading):
    frame = pd.DataFrame(
        {f"{name}_{at}": [at + 10 * row for row in range(2)] for at in range(4) for name in "ab"}
    ).assign(label=["p", "q"], id=["u", "v"])
    frame["b_2"] += 0.5
    found = reading(frame)
    assert found.series["v"] == [[10, 10], [11, 11], [12, 12.5], [13, 13]]
    assert found.found["channels"] == ["a", "b"]
    kept = {"series": "wide", "channels": ["b", "a"]}
    assert reading(frame, **kept).series["v"][2] == [12.5, 12]


def test_steps_of_a_wide_row_have_no_tags(reading):
    with pytest.raises(DataError, match="a row of a wide table has one label"):
        reading(WIDE, "tags", series="wide")


def test_what_a_wide_row_lacks_at_its_end_is_no_step(reading):
    frame = WIDE.copy()
    frame.loc[1, ["t2", "t3"]] = None
    frame.loc[2, list(WIDE.columns[:4])] = None
    found = reading(frame)
    assert arrays_of(found) == [STEPS[0, :, None].tolist(), [[4.0], [5.0]], []]
    assert found.tells("2 of 3 series end before the last column")
    frame.loc[1, "t0"] = None
    with pytest.raises(DataError, match=r"(row 1|csv:3): 't0' of the series is missing"):
        reading(frame)


def test_numbered_channels_are_no_steps(reading):
    names = {"x": "c0", "y": "c1"}
    more = LONG.rename(columns=names).assign(c2=1.0, c3=2.0, c4=3.0)
    found = reading(more)
    assert found.found["series"] == "long"
    assert found.series["a"] == [[7, 40, 1, 2, 3], [8, 50, 1, 2, 3]]
    table = WIDE.rename(columns=lambda name: name.replace("t", "acc"))
    with pytest.raises(DataError, match=r"series if it holds series"):
        reading(table)
    assert arrays_of(reading(table, series="wide")) == STEPS[:, :, None].tolist()
    eight = pd.DataFrame(np.arange(24.0).reshape(3, 8), columns=[f"acc{at}" for at in range(8)])
    assert len(reading(eight.assign(kind=["p", "q", "p"])).examples[0]) == 8


def test_x_may_be_a_wide_table():
    found = Reading((WIDE.drop(columns="kind"), WIDE["kind"]))
    assert arrays_of(found) == STEPS[:, :, None].tolist()
    assert [e.target for e in found.examples] == ["p", "q", "p"]
    assert "label_column" not in found.found
    found = Reading((WIDE.drop(columns="kind"), [[1, 2], [3, 4], [5, 6]]), "values")
    assert [e.target.tolist() for e in found.examples] == [[1, 2], [3, 4], [5, 6]]


def test_a_wide_file_without_a_header_has_its_label_first(of_file):
    rows = [[1, 0.5, 1.5, 2.5], [2, 3.5, 4.5, 5.5], [1, 6.5, 7.5, 8.5]]
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    found = of_file(text, name="f.tsv", format="tsv", series="wide")
    assert arrays_of(found) == [[[x] for x in row[1:]] for row in rows]
    assert [e.target for e in found.examples] == ["1", "2", "1"]
    assert found.tells("what is learnt is 'column 1'")
    whole = text.replace(".5", "")
    with pytest.raises(DataError, match="no column of labels"):
        of_file(whole, name="f.tsv", format="tsv", series="wide")
    found = of_file(whole, name="f.tsv", format="tsv", series="wide", label_column="1")
    assert [e.target for e in found.examples] == ["1", "2", "1"]


def test_the_index_that_pandas_writes_is_no_channel(of_file):
    assert of_file(LONG, index=True).series == SERIES
    assert arrays_of(of_file(WIDE, index=True)) == STEPS[:, :, None].tolist()


# ---------------------------------------------------------------------- missing values


@drawn(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(1, 3)),
        elements=st.one_of(st.just(np.nan), st.floats(-9, 9, width=16)),
    ),
    st.sampled_from(["forward", "linear", "zero"]),
)
def test_filling_is_what_a_loop_does(values, rule):
    known = ~np.isnan(values)
    told = []
    filling = MissingValues(rule)
    if rule != "zero" and not known.any(axis=0).all():
        with pytest.raises(DataError, match="missing at every step"):
            filling.filled(values, "series 0")
        return
    times = np.cumsum(np.arange(1.0, len(values) + 1))
    filled = filling.filled(values, "series 0", times)
    filling.report(told.append)
    assert np.array_equal(filled[known], values[known])
    for step, channel in np.argwhere(~known):
        before = [t for t in range(step) if known[t, channel]]
        after = [t for t in range(step, len(values)) if known[t, channel]]
        if rule == "zero":
            wanted = 0.0
        elif rule == "forward" or not before or not after:
            wanted = values[before[-1] if before else after[0], channel]
        else:
            one, two = before[-1], after[0]
            share = (times[step] - times[one]) / (times[two] - times[one])
            wanted = values[one, channel] * (1 - share) + values[two, channel] * share
        assert filled[step, channel] == pytest.approx(wanted)
    count = int((~known).sum())
    assert told == [] if not count else told[0].startswith(f"{count} of {values.size} values were")


@pytest.mark.parametrize(("rule", "filled"), [("forward", 0.5), ("linear", 1.0), ("zero", 0.0)])
def test_missing_values_are_filled_by_the_rule_that_is_set(reading, rule, filled):
    frame = LONG.assign(time=[0, 1, 4, 5, 6], x=[0.5, None, 2.5, 7.0, 8.0])
    found = reading(frame, missing=rule)
    assert found.series["b"][1] == [filled, 20.0]
    assert found.tells("1 of 10 values were missing, in 1 of 2 series: filled")


# ---------------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path):
    rows = {"calm/1.csv": SERIES["b"], "calm/2.csv": SERIES["a"], "busy/1.csv": SERIES["b"][:1]}
    for name, series in rows.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        frame = pd.DataFrame(series, columns=["x", "y"])
        frame.assign(time=range(len(frame))).to_csv(path, index=False)
    return tmp_path


def load(folder, target="label", labelled=True, **options):
    told, found = [], {}
    options = ReadOptions.of(options)
    seen = list(read(folder, target, options, labelled=labelled, tell=told.append, found=found))
    return seen, told, found


def test_folders_are_classes_and_tables_series(folder):
    seen, told, found = load(folder)
    assert [(e.id, e.target, e.inputs.tolist()) for e in seen] == [
        ("busy/1.csv", "busy", SERIES["b"][:1]),
        ("calm/1.csv", "calm", SERIES["b"]),
        ("calm/2.csv", "calm", SERIES["a"]),
    ]
    assert found == {
        "series": "single",
        "time_column": "time",
        "channels": ["x", "y"],
        "header": True,
    }
    # once, though each table has it
    assert sum("the time is 'time'" in line for line in told) == 1
    without, _, _ = load(folder, labelled=False)
    assert [e.inputs.tolist() for e in without] == [e.inputs.tolist() for e in seen]
    [one] = read(folder / "calm/1.csv", "label", ReadOptions().over(found), labelled=False)
    assert one.inputs.tolist() == SERIES["b"]


def test_channels_of_all_tables_are_those_of_the_first(folder):
    path = folder / "calm/1.csv"
    frame = pd.read_csv(path)
    frame[["time", "y", "x"]].assign(z=1).to_csv(path, index=False)
    seen, told, _ = load(folder)
    assert seen[1].inputs.tolist() == SERIES["b"]
    assert any("not read: 'z'" in line for line in told)
    frame.drop(columns="y").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"1\.csv:1: no column 'y': the header names 'x', 'time'"):
        load(folder)


def test_files_that_are_no_tables_are_told(folder):
    (folder / "README.txt").write_text("what this is")
    (folder / "calm/3.csv.bak").write_text("x")
    (folder / "calm/.hidden").write_text("x")
    (folder / "none").mkdir()
    seen, told, _ = load(folder)
    assert len(seen) == 3
    assert any("no tables in none: no such class is learnt" in line for line in told)
    assert any("2 files left out, no tables: README.txt, calm/3.csv.bak" in line for line in told)
    (folder / "stray.csv").write_text("x,y\n1,2\n")
    _, told, _ = load(folder)
    assert any("no tables, or in no folder of a class: README.txt, stray.csv" in t for t in told)


def test_folders_that_are_none_of_series_are_refused(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match=r"is a directory\. Name a file in it\. Directories of"):
        load(empty)
    (empty / "one.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"no folders in it\. Put the tables of each class"):
        load(empty)
    (folder / "calm/deep").mkdir()
    with pytest.raises(DataError, match="deep: a folder in 'calm', which is taken for a class"):
        load(folder)


def test_values_that_are_missing_in_a_folder_are_counted_over_all(folder):
    for name in ("calm/1.csv", "calm/2.csv"):
        frame = pd.read_csv(folder / name)
        frame.loc[1, "x"] = None
        frame.to_csv(folder / name, index=False)
    with pytest.raises(DataError, match=r"calm/1\.csv:3: 'x' of the series is missing"):
        load(folder)
    seen, told, _ = load(folder, missing="forward")
    assert seen[1].inputs[1, 0] == SERIES["b"][0][0]
    assert any("2 of 12 values were missing, in 2 of 3 series" in line for line in told)


# ---------------------------------------------------------------------- without targets


def test_series_are_taken_out_of_a_table_to_be_answered():
    taken = [each.tolist() for each in unpacked(LONG, "label", vectors=True)]
    assert taken == list(SERIES.values())
    with pytest.raises(DataError, match="which of its rows belong to one series is not said"):
        unpacked(LONG.drop(columns=["id", "time"]), "label", vectors=True)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("f.ts", lambda path: path.write_text("@classLabel true a\n@data\n1,?,3: 4,5, ? :a\n")),
        ("f.ts", lambda path: path.write_text("@classLabel true a\n@data\n1,NaN,3:4,5,nan:a\n")),
        (
            "f.jsonl",
            lambda path: path.write_text(
                '{"vectors": [[1, 4], [null, 5], [3, null]], "label": "a"}\n'
            ),
        ),
        (
            "f.npz",
            lambda path: np.savez(
                path, values=[[1, 4], [np.nan, 5], [3, np.nan]], lengths=[3], labels=["a"]
            ),
        ),
    ],
)
def test_other_files_of_series_are_filled_alike(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    with pytest.raises(DataError, match=r"(missing \(\?\)|is nan)"):
        load(path)
    [one], told, _ = load(path, missing="linear")
    assert one.inputs.tolist() == [[1, 4], [2, 5], [3, 5]]
    assert told[-1].startswith(f"{path}: 2 of 6 values were missing, in 1 of 1 series")


def test_arrays_are_filled_alike():
    array = np.array([[1.0, 4.0], [np.nan, 5.0], [3.0, np.nan]])
    for given in ([(array, "a")], ([array], ["a"]), [{"vectors": array.tolist(), "label": "a"}]):
        found = Reading(given, missing="forward")
        assert found.examples[0].inputs.tolist() == [[1, 4], [1, 5], [3, 5]]
        assert found.tells("2 of 6 values were missing")


def test_a_wide_file_of_nothing_but_labels_is_refused(of_file):
    with pytest.raises(DataError, match="no column of steps beside these"):
        of_file("a\nb\n", series="wide")


def test_a_table_of_names_alone_is_a_series_of_no_steps(tmp_path):
    for label, rows in (("calm", "0,1\n1,2\n"), ("busy", "")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.csv").write_text("time,x\n" + rows)
    (tmp_path / "busy" / "0.csv").write_text("time,x\n0,5\n")
    found = list(read(tmp_path, "label", tell=lambda line: None))
    assert [(e.id, e.target, e.inputs.tolist()) for e in found] == [
        ("busy/0.csv", "busy", [[5.0]]),
        ("busy/1.csv", "busy", []),
        ("calm/1.csv", "calm", [[1.0], [2.0]]),
    ]
    assert found[1].inputs.shape == (0, 1)
