from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from birnn.data import ReadRequest
from birnn.data.source import Source
from birnn.data.timeseries import read_npz, read_ts
from birnn.errors import FormatError

HEADER = "# a comment\n@problemName x\n@classLabel true left right\n@data\n"
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def series_sets(draw):
    """Series (T, D) of one D, T from 0."""
    channels = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    return [draw(hnp.arrays(np.float32, (length, channels), elements=FINITE)) for length in lengths]


def read_all(text, task="classifier", **wanted):
    return list(read_ts(Source.from_text(text), ReadRequest(task, **wanted)))


def packed(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    content = out.getvalue()
    return Source("file.npz", lambda: io.BytesIO(content))


@given(series_sets())
def test_ts_reads_the_numbers_that_stand_there(series):
    lines = [
        ":".join(",".join(map(str, column.tolist())) for column in values.T) + ":left\n"
        for values in series
    ]
    examples = read_all(HEADER + "".join(lines))
    for example, values in zip(examples, series, strict=True):
        np.testing.assert_array_equal(example.inputs, values)
        assert example.target == "left"
    unlabelled = read_all(HEADER + "".join(lines), labelled=False)
    assert [e.inputs.shape for e in unlabelled] == [v.shape for v in series]


@given(series_sets())
def test_npz_agrees_with_its_arrays(series):
    values, lengths = np.concatenate(series), [len(one) for one in series]
    labels = [f"speaker {i}" for i in range(len(series))]
    tags = np.arange(len(values))
    targets = np.arange(2 * len(series), dtype=float).reshape(-1, 2)
    source = packed(values=values, lengths=lengths, labels=labels, tags=tags, targets=targets)
    by_task = {
        task: list(read_npz(source, ReadRequest(task))) for task in ("classifier", "regressor")
    }
    tagged = list(read_npz(source, ReadRequest("tagger")))
    for i, one in enumerate(series):
        np.testing.assert_array_equal(tagged[i].inputs, one)
        assert by_task["classifier"][i].target == labels[i]
        assert by_task["regressor"][i].target.tolist() == targets[i].tolist()
        assert len(tagged[i].target) == len(one)
    assert [tag for e in tagged for tag in e.target] == list(map(str, tags.tolist()))


def test_a_regressors_target():
    [example] = read_all("@targetLabel true\n@data\n1,2:0.5\n", "regressor")
    assert example.target.tolist() == [0.5]
    assert example.inputs.tolist() == [[1.0], [2.0]]


def test_no_label_in_the_file():
    [example] = read_all("@classLabel false\n@data\n1,2:3,4\n", labelled=False)
    assert example.inputs.tolist() == [[1.0, 3.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER + "1,?:2,3:left\n", "text:5: sequence 0, channel 0, value 1 is missing (?)"),
        (HEADER + "1,x:2,3:left\n", "text:5: sequence 0, channel 0, value 1 is 'x', not a number"),
        (HEADER + "1,2:3:left\n", "text:5: channel 1 of sequence 0 has 1 steps"),
        (HEADER + "1:2:left\n1:left\n", "text:6: sequence 1 has 1 channels, those before it 2"),
        (HEADER + "1:2:left\n1,2:1,nan:left\n", "text:6: sequence 1, step 1, channel 1 is nan"),
        (HEADER + "1e39:left\n", "text:5: sequence 0, step 0, channel 0 is inf"),
        (HEADER + "1: \n", "text:5: an empty label"),
        (HEADER + "left\n", "text:5: a label and no series"),
        ("@classLabel true\n1:2\n", "text:2: a series before the line @data"),
        ("@classLabel true\n", "text:1: no line @data"),
        ("@timeStamps true\n@data\n", "text:2: series with time stamps"),
        ("@classLabel false\n@data\n1:2\n", "text:2: a classifier needs @classLabel true"),
    ],
)
def test_ts_faults(text, says):
    with pytest.raises(FormatError) as caught:
        read_all(text)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("answer", ["x", "nan"])
def test_a_target_that_is_no_finite_number(answer):
    with pytest.raises(FormatError, match=r"^text:3: "):
        read_all(f"@targetLabel true\n@data\n1:{answer}\n", "regressor")


GOOD = {"values": np.ones((3, 2)), "lengths": np.array([2, 1]), "labels": np.array(["a", "b"])}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": np.ones(3)}, "values are float64 (3,)"),
        ({"lengths": np.array([2.0, 1.0])}, "lengths are float64 (2,)"),
        ({"lengths": np.array([4, -1])}, "lengths are int64"),
        ({"lengths": np.array([2, 2])}, "lengths sum to 4, values has 3 rows"),
        ({"labels": np.array(["a"])}, "labels has shape (1,), needs 2 rows"),
        ({"labels": np.array(["a", None])}, "not a NumPy .npz file of plain arrays"),
        (
            {"values": np.array([[1, 2], [3, 4], [5, np.inf]])},
            "sequence 1, step 0, channel 1 is inf",
        ),
    ],
)
def test_npz_faults(change, says):
    with pytest.raises(FormatError) as caught:
        list(read_npz(packed(**(GOOD | change)), ReadRequest("classifier")))
    assert str(caught.value).startswith(f"file.npz: {says}")


def test_npz_names_the_arrays_it_lacks():
    with pytest.raises(FormatError, match=r"no array targets, it has values, lengths, labels"):
        list(read_npz(packed(**GOOD), ReadRequest("regressor")))
    unlabelled = list(
        read_npz(packed(values=GOOD["values"], lengths=[3]), ReadRequest(labelled=False))
    )
    assert [e.target for e in unlabelled] == [None]


def test_what_is_no_archive_is_refused():
    single = io.BytesIO()
    np.save(single, np.ones(3))
    for content in (b"PK\x03\x04 cut", b"\x80\x04pickle", single.getvalue()):
        source = Source("f", lambda content=content: io.BytesIO(content))
        with pytest.raises(FormatError, match=r"f: not a NumPy \.npz file"):
            list(read_npz(source, ReadRequest("classifier")))
