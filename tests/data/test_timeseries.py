from __future__ import annotations

import io
import tracemalloc
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from birnn.data import ReadOptions, ReadRequest
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


def read_all(text, target="label", **wanted):
    return list(read_ts(Source.from_text(text), ReadRequest(target, **wanted)))


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
    by_target = {
        target: list(read_npz(source, ReadRequest(target))) for target in ("label", "values")
    }
    tagged = list(read_npz(source, ReadRequest("tags")))
    for i, one in enumerate(series):
        np.testing.assert_array_equal(tagged[i].inputs, one)
        assert by_target["label"][i].target == labels[i]
        assert by_target["values"][i].target.tolist() == targets[i].tolist()
        assert len(tagged[i].target) == len(one)
    assert [tag for e in tagged for tag in e.target] == list(map(str, tags.tolist()))


def test_a_regressors_target():
    [example] = read_all("@targetLabel true\n@data\n1,2:0.5\n", "values")
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
        (HEADER + "1e39:left\n", "text:5: sequence 0, step 0, channel 0 is 1e+39, which float32"),
        (HEADER + "1: \n", "text:5: an empty label"),
        (HEADER + "left\n", "text:5: a label and no series"),
        ("@classLabel true\n1:2\n", "text:2: a series before the line @data"),
        ("@classLabel true\n", "text:1: no line @data"),
        ("@classLabel true\n@\n@data\n1:a\n", "text:2: an @ without a name"),
        ("@timeStamps true\n@data\n", "text:2: series with time stamps"),
        ("@classLabel false\n@data\n1:2\n", "text:2: the header lacks @classLabel true"),
    ],
)
def test_ts_faults(text, says):
    with pytest.raises(FormatError) as caught:
        read_all(text)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("answer", ["x", "nan"])
def test_a_target_that_is_no_finite_number(answer):
    with pytest.raises(FormatError, match=r"^text:3: "):
        read_all(f"@targetLabel true\n@data\n1:{answer}\n", "values")


GOOD = {"values": np.ones((3, 2)), "lengths": np.array([2, 1]), "labels": np.array(["a", "b"])}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": np.ones(3)}, "values are float64 (3,)"),
        ({"lengths": np.array([2.0, 1.0])}, "lengths are float64 (2,)"),
        ({"lengths": np.array([4, -1])}, "lengths are int64"),
        ({"lengths": np.array([2, 2])}, "lengths sum to 4, values has 3 rows"),
        ({"labels": np.array(["a"])}, "labels has shape (1,), needs 2 rows"),
        ({"labels": np.array(["a", None])}, "labels is object, an array of numbers or"),
        (
            {"values": np.array([[1, 2], [3, 4], [5, np.inf]])},
            "sequence 1, step 0, channel 1 is inf",
        ),
    ],
)
def test_npz_faults(change, says):
    with pytest.raises(FormatError) as caught:
        list(read_npz(packed(**(GOOD | change)), ReadRequest("label")))
    assert str(caught.value).startswith(f"file.npz: {says}")


def test_npz_names_the_arrays_it_lacks():
    with pytest.raises(FormatError, match=r"no array targets, it has values, lengths, labels"):
        list(read_npz(packed(**GOOD), ReadRequest("values")))
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
            list(read_npz(source, ReadRequest("label")))


@pytest.mark.parametrize("said", ["True", "TRUE", "true"])
def test_headers_of_ts_are_read_without_regard_to_case(said):
    [example] = read_all(f"@CLASSLABEL {said} a b\n@Data\n1,2:a\n")
    assert example.target == "a"
    [example] = read_all(f"@TargetLabel {said}\n@data\n1,2:0.5\n", "values")
    assert example.target.tolist() == [0.5]
    with pytest.raises(FormatError, match="time stamps"):
        read_all(f"@timeStamps {said}\n@data\n1,2:a\n", labelled=False)


def test_a_header_after_data_is_refused():
    for line in ("@classLabel true", "@", "@ 1,2:left"):
        with pytest.raises(FormatError, match=r"^text:6: @.* after @data"):
            read_all(HEADER + f"1,2:left\n{line}\n")


def test_series_without_a_label_can_be_left_out():
    for answer in ("", "?", " "):
        text = HEADER + f"1,2:left\n3:{answer}\n4:right\n"
        with pytest.raises(FormatError, match=r"^text:6: an empty label\. .*--skip-unlabelled"):
            read_all(text)
        examples = read_all(text, options=ReadOptions(skip_unlabelled=True))
        assert [e.target for e in examples] == ["left", "right"]


# ---------------------------------------------------------------------- .npz


@pytest.mark.parametrize(
    ("target", "change", "says"),
    [
        # a sum that wraps round to the number of rows
        ("label", {"lengths": np.array([2**63 + 2, 2**63 + 1], np.uint64)}, "lengths sum to"),
        ("label", {"lengths": np.array([2**62] * 4 + [2, 1], np.int64)}, "lengths sum to"),
        ("label", {"labels": np.array([b"a", b"\xff"])}, "labels are bytes that are not"),
        ("label", {"labels": np.array(["a", ""])}, "labels[1] is empty"),
        ("label", {"labels": np.array(["a", " "])}, "labels[1] is empty"),
        ("label", {"labels": np.array([1.0, np.nan])}, "labels are float64, strings or"),
        ("label", {"labels": np.array([1.0, 2.0])}, "labels are float64, strings or"),
        ("label", {"labels": np.array([1j, 2])}, "labels are complex128"),
        ("label", {"values": np.ones((3, 0))}, "values are float64 (3, 0)"),
        ("label", {"values": np.ones((3, 2), complex)}, "values are complex128"),
        ("label", {"values": np.array([["1", "2"]] * 3)}, "values are <U1"),
        ("label", {"values": np.ones((3, 2), "M8[D]")}, "values are datetime64"),
        ("label", {"lengths": np.array(["2", "1"])}, "lengths are <U1"),
        ("label", {"lengths": np.array(3)}, "lengths are int64 ()"),
        ("label", {"values": np.zeros(3, [("a", "i4")])}, "values is [('a', '<i4')]"),
        ("tags", {"tags": np.array(["X", "", "Y"])}, "tags[1] is empty"),
        ("values", {"targets": np.ones((2, 0))}, "targets are float64 (2, 0)"),
        ("values", {"targets": np.array([1 + 2j, 3])}, "targets are complex128"),
        ("values", {"targets": np.array(["2020-01-01"] * 2, "M8[D]")}, "targets are datetime64"),
        ("values", {"targets": np.array(["a", "b"])}, "targets are <U1"),
        ("values", {"targets": np.array([1, np.nan])}, "target of sequence 1, value 0 is"),
        ("values", {"targets": np.array([1, 1e300])}, "target of sequence 1, value 0 is"),
    ],
)
def test_arrays_of_a_wrong_kind_are_refused(target, change, says):
    with pytest.raises(FormatError) as caught:
        list(read_npz(packed(**(GOOD | change)), ReadRequest(target)))
    assert str(caught.value).startswith(f"file.npz: {says}")


def test_labels_of_any_kind_that_names_a_class():
    for labels, names in (
        ([b"a", "é".encode()], ["a", "é"]),
        ([True, False], ["True", "False"]),
        (np.array([3, 4], np.uint8), ["3", "4"]),
    ):
        examples = list(
            read_npz(packed(**(GOOD | {"labels": np.array(labels)})), ReadRequest("label"))
        )
        assert [e.target for e in examples] == names


def zipped(members, compression=zipfile.ZIP_STORED, change=lambda content: content):
    """An archive of members given as bytes, and what is done to its bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    content = change(out.getvalue())
    return Source("file.npz", lambda: io.BytesIO(content))


def member(array, header=None):
    """An array as numpy.save writes it, its header replaced."""
    out = io.BytesIO()
    np.save(out, array)
    content = out.getvalue()
    if header is None:
        return content
    start = content.index(b"{")
    end = content.index(b"}") + 1
    return content[:start] + header.ljust(end - start) + content[end:]


HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 2), }"
WRAPS = b"{'descr':'<f8','fortran_order':False,'shape':(9223372036854775807,2),}"
DIGITS = b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",), }"


@pytest.mark.parametrize(
    "values",
    [
        b"",
        b"raw bytes",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x09\x00\x05\x00{}   ",
        member(np.ones((3, 2)))[:40],
        member(np.ones((3, 2)))[:-1],
        member(np.ones((3, 2))) + b"x",
        member(np.ones((3, 2)), HUGE),
        member(np.ones((3, 2)), WRAPS),
        member(np.ones((3, 2)), b"{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2), }"),
        member(np.ones((3, 2)), b"{'descr': 'nope', 'fortran_order': False, 'shape': (3, 2), }"),
        member(np.ones((3, 2)), b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }"),
        member(np.ones((3, 2)), b"{'descr': '<f8', 'fortran_order': False}"),
        member(np.ones((3, 2)), b"((((((((((((((((((((((((((("),
        b"\x93NUMPY\x01\x00" + len(DIGITS).to_bytes(2, "little") + DIGITS,
    ],
)
def test_a_member_that_is_no_array_is_refused_before_memory_is_taken(values):
    rest = {"lengths": member(np.array([2, 1])), "labels": member(np.array(["a", "b"]))}
    tracemalloc.start()
    with pytest.raises(FormatError) as caught:
        list(read_npz(zipped({"values": values, **rest}), ReadRequest("label")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith("file.npz: values ")
    assert "\n" not in str(caught.value)
    assert peak < 1 << 24


def test_archives_that_are_packed_otherwise_are_refused():
    good = {name: member(array) for name, array in GOOD.items()}
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(FormatError, match="compressed in a way that NumPy does not use"):
            list(read_npz(zipped(good, method), ReadRequest("label")))

    def encrypted(content):
        # the first bit of a member's flags in the archive's directory
        at = content.index(b"PK\x01\x02") + 8
        return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]

    with pytest.raises(FormatError, match=r"^file\.npz: values is encrypted"):
        list(read_npz(zipped(good, change=encrypted), ReadRequest("label")))
    lots = {**good, "values": member(np.zeros((1 << 22, 1)))}
    with pytest.raises(FormatError, match="--max-unpacked"):
        list(
            read_npz(
                zipped(lots, zipfile.ZIP_DEFLATED),
                ReadRequest("label", options=ReadOptions(max_unpacked=1 << 20)),
            )
        )


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_byte_is_refused_or_read_and_never_a_traceback(seed):
    out = io.BytesIO()
    np.savez_compressed(out, **GOOD)
    content = out.getvalue()
    random = np.random.default_rng(seed)
    for _ in range(300):
        changed = bytearray(content)
        for at in random.integers(0, len(content), random.integers(1, 4)):
            changed[at] = random.integers(256)
        source = Source("file.npz", lambda changed=changed: io.BytesIO(bytes(changed)))
        # Anything else that is raised fails the test.
        with suppress(FormatError):
            list(read_npz(source, ReadRequest("label")))


def test_a_class_that_the_header_does_not_list_is_refused():
    text = HEADER + "1,2:left\n1,3:lefty\n"
    with pytest.raises(FormatError, match=r"^text:6: the label 'lefty' is none .*: left right\."):
        read_all(text)
    assert len(read_all(text, labelled=False)) == 2
    # a header that lists none, and a label that is left out
    assert len(read_all(text.replace("true left right", "true"))) == 2
    skip = ReadOptions.of({"skip_unlabelled": True})
    assert len(read_all(HEADER + "1,2:left\n1,3:?\n", options=skip)) == 1


@pytest.mark.parametrize(
    ("header", "series", "says"),
    [
        ("@equalLength true", ["1,2", "1,2,3", "1"], "text:6: a series of 3 steps, @equalLength"),
        ("@seriesLength 3", ["1,2", "1,2,3", "1"], "text:5: a series of 2 steps, @seriesLength"),
        ("@univariate true", ["1,2:3,4"] * 2, "text:5: a series of 2 channels, @univariate true"),
        ("@dimensions 3", ["1,2:3,4"] * 2, "text:5: a series of 2 channels, @dimensions says 3"),
        ("@equalLength true", ["1,2", "3,4"], None),
        ("@equalLength false", ["1,2", "3"], None),
        ("@seriesLength 2", ["1,2", "3,4"], None),
        ("@seriesLength x", ["1,2", "3,4"], None),
        ("@univariate true", ["1,2", "3"], None),
    ],
)
def test_sizes_that_are_not_those_of_the_header_are_told_once(header, series, says):
    told = []
    text = f"# x\n{header}\n@classLabel true a\n@data\n" + "".join(f"{one}:a\n" for one in series)
    source = replace(Source.from_text(text), tell=told.append)
    assert len(list(read_ts(source, ReadRequest("label")))) == len(series)
    assert [line.startswith(says) for line in told] == [True] if says else told == []
