from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from birnn.data.pretrained import read_vectors
from birnn.data.tokeniser import canonical
from birnn.errors import FormatError

WORDS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=6
).map(canonical)


@st.composite
def tables(draw):
    """Words and vectors (words, D)."""
    words = draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    dim = draw(st.integers(2, 4))
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return words, draw(hnp.arrays(np.float32, (len(words), dim), elements=finite))


@given(tables(), st.booleans(), st.booleans(), st.booleans(), st.data())
def test_what_is_written_is_read(tmp_path_factory, drawn, header, packed, trailing, data):
    words, values = drawn
    end = " \n" if trailing else "\n"
    lines = [f"{len(words)} {values.shape[1]}\n"] if header else []
    for word, row in zip(words, values.tolist(), strict=True):
        lines.append(" ".join([word, *map(str, row)]) + end)
    content = "".join(lines).encode()
    folder = tmp_path_factory.mktemp("vectors")
    path = folder / ("v.vec.gz" if packed else "v.vec")
    path.write_bytes(gzip.compress(content) if packed else content)
    wanted = set(data.draw(st.lists(st.sampled_from(words)))) | {"not there"}
    dim, vectors = read_vectors(path, wanted)
    assert dim == values.shape[1]
    assert set(vectors) == wanted & set(words)
    for word, vector in vectors.items():
        np.testing.assert_array_equal(vector, values[words.index(word)])
        assert vector.dtype == np.float32


def test_words_with_spaces_and_words_twice(write):
    path = write("glove.txt", "a 1 2\n. . . 3 4\na 5 6\nat x@y.z 7 8\n")
    _, vectors = read_vectors(path, {"a", ". . .", "at x@y.z"})
    found = {word: vector.tolist() for word, vector in vectors.items()}
    assert found == {"a": [1, 2], ". . .": [3, 4], "at x@y.z": [7, 8]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a 1 2\nb 1\n", ":2: 1 values, the file has 2"),
        ("a 1 2\nb 1 2 3\n", ":2: 3 values, the file has 2"),
        ("2 3\na 1 2 3\nb 1 2\n", ":3: 2 values, the file has 3"),
        ("a 1 2\nb 1 x\n", ":2: 'x' is not a number"),
        ("a 1 2\nb 1 nan\n", ":2: the value nan is not finite"),
        ("a 1 2\nb 1e39 0\n", ":2: the value 1e39 is not finite"),
        ("1" * 5001 + " 3\na 1 2 3\n", ":1: a header of 5,003 characters"),
        ("2 " + "1" * 5001 + "\na 1 2 3\n", ":1: a header of 5,003 characters"),
        ("a\n", ":1: a word without values"),
        ("\n", ": no vector in it"),
    ],
)
def test_faults(write, text, says):
    path = write("v.txt", text)
    with pytest.raises(FormatError) as caught:
        read_vectors(path, {"a", "b"})
    assert str(caught.value).startswith(f"{path}{says}")


def test_what_is_not_wanted_is_not_parsed(write):
    assert read_vectors(write("v.txt", "a 1 2\nb x y\n"), {"a"})[1].keys() == {"a"}


def read_and_told(path, wanted):
    told = []
    dim, vectors = read_vectors(path, wanted, tell=told.append)
    return dim, {word: vector.tolist() for word, vector in vectors.items()}, told


@pytest.mark.parametrize(
    "text",
    [
        "the 1 2 3\nof 4 5 6\n",
        "the\t1 2 3\nof\t4 5 6\n",
        "the\t1\t2\t3\nof\t4\t5\t6\n",
        "the  1 2 3\nof 4  5 6 \n",
        " the 1 2 3\n\tof 4 5 6\t\n",
        "the 1 2 3\r\nof 4 5 6\r\n",
        "the\u00a01\u00a02\u00a03\nof\u00a04 5\u00a06\n",
        "\ufeffthe 1 2 3\nof 4 5 6",
    ],
)
@pytest.mark.parametrize("header", ["", "2 3\n", "2\t3\r\n"])
def test_whatever_parts_the_values(write, text, header):
    text = "\ufeff" * text.startswith("\ufeff") + header + text.removeprefix("\ufeff")
    found = read_and_told(write("v.vec", text), {"the", "of"})
    assert found == (3, {"the": [1, 2, 3], "of": [4, 5, 6]}, [])


def test_words_keep_their_spaces_and_are_in_nfc(write):
    text = "New\u00a0York 1 2\nat  home 3 4\ncafe\u0301 5 6\n"
    wanted = {"New\u00a0York", "at home", "caf\u00e9"}
    assert read_and_told(write("v.vec", text), wanted)[1].keys() == wanted


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("1000000 3", "the header says 1,000,000 vectors, the file has 2"),
        ("3 3", "the header says 3 vectors, the file has 2"),
        ("1 3", "the header says 1 vectors, the file has 2"),
        ("2 4", "the header says 4 values for each word, this row has 3"),
        ("2 2", "the header says 2 values for each word, this row has 3"),
    ],
)
def test_a_wrong_header_is_told(write, header, says):
    dim, vectors, told = read_and_told(write("v.vec", f"{header}\nthe 1 2 3\nof 4 5 6\n"), {"of"})
    assert (dim, vectors) == (3, {"of": [4, 5, 6]})
    [line] = told
    assert says in line


def test_a_word_that_is_not_utf8_is_left_out_and_told(tmp_path):
    path = tmp_path / "v.vec"
    path.write_bytes(b"4 2\nthe 1 2\n" + b"caf\xe9 3 4\n\xff 5 6\n" + "café 7 8\n".encode())
    dim, vectors, told = read_and_told(path, {"the", "café"})
    assert (dim, vectors) == (2, {"the": [1, 2], "café": [7, 8]})
    assert told == [f"{path}:3: 2 words are not UTF-8 and left out, the first here"]


@pytest.mark.parametrize("seed", range(20))
def test_binary_vectors_are_named_as_such(tmp_path, seed):
    draw = np.random.default_rng(seed)
    dim = int(draw.integers(2, 300))
    rows = draw.normal(size=(3, dim)).astype(np.float32)
    content = f"3 {dim}\n".encode()
    for word, row in zip((b"the", "né".encode(), b"of"), rows, strict=True):
        content += word + b" " + row.tobytes() + b"\n" * (seed % 2)
    path = tmp_path / "v.bin"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="binary format"):
        read_vectors(path, {"the"})
    path.write_bytes(b"\xba\x16\x4f\x2f" + content)
    with pytest.raises(FormatError, match="fastText"):
        read_vectors(path, {"the"})


def test_text_vectors_are_no_binary(write):
    text = "2 2\nнет -1.5e-05 nan\n\u0007 1 2\n"
    assert read_and_told(write("v.vec", text), {"\u0007"})[1] == {"\u0007": [1, 2]}
