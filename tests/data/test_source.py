from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data.pretrained import read_vectors
from birnn.data.source import Source
from birnn.errors import FormatError


def test_gzip_and_plain_give_the_same_lines(write):
    text = "\ufeffone\r\ntwo\n\nthrée"
    plain = write("a.txt", text)
    packed = write("a.txt.gz", gzip.compress(text.encode()))
    expected = ["one", "two", "", "thrée"]
    assert list(Source.from_path(plain).lines()) == expected
    assert list(Source.from_path(packed).lines()) == expected
    assert Source.from_path(packed).content() == plain.read_bytes()


def test_nothing_else_ends_lines():
    # str.splitlines would cut at each of these
    text = "a\u2028b\x0bc\x85d\x0ce\x1cf\x1dg\x1eh\u2029\n"
    assert list(Source.from_text(text).lines()) == [text[:-1]]


class Bits(io.BytesIO):
    """A stream whose bytes come a few at a time, as from a pipe."""

    def __init__(self, content, size):
        super().__init__(content)
        self.size = size

    def read1(self, count=-1):
        return super().read1(min(self.size, count))


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"))),
    st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1),
    st.integers(1, 9),
)
def test_a_line_ends_at_any_kind_of_newline(lines, ends, size):
    lines = ["first", *lines, "last"]
    content = "".join(line + ends[i % len(ends)] for i, line in enumerate(lines)).encode()
    # Each file ends its lines in one way, or mixes them; CR and an empty line's LF are one end.
    expected = [line.decode() for line in content.splitlines()]
    assert list(Source("bits", lambda: Bits(content, size)).lines()) == expected
    if len(set(ends)) == 1:
        assert expected == lines


def test_a_line_comes_as_soon_as_it_has_ended():
    reading, writing = os.pipe()
    os.write(writing, b"one\rtw")
    lines = Source("pipe", lambda: io.BufferedReader(io.FileIO(reading))).lines()
    assert next(lines) == "one"
    os.write(writing, b"o\n")
    assert next(lines) == "two"
    os.close(writing)
    assert next(lines, None) is None


def test_memory_does_not_grow_with_a_file_of_carriage_returns(write):
    path = write("a.txt", b"some words\r" * 300_000)
    tracemalloc.start()
    assert sum(1 for _ in Source.from_path(path).lines()) == 300_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 700_000


def test_utf_16_is_known_by_its_mark(write):
    for name, mark in [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]:
        path = write("a.csv", mark + "text,label\nä,b\n".encode(name))
        with pytest.raises(FormatError, match=r"a.csv:1: the file is UTF-16") as caught:
            list(Source.from_path(path).lines())
        converted = conversion(str(caught.value), path)
        assert converted.decode().removeprefix("\ufeff") == "text,label\nä,b\n"


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_refused(write, name):
    path = write("a.csv", "text,label\ngood,b\n".encode(name))
    with pytest.raises(FormatError, match=r"a.csv:1: NUL bytes between the letters") as caught:
        list(Source.from_path(path).lines())
    assert conversion(str(caught.value), path).decode() == "text,label\ngood,b\n"


def conversion(message, path):
    """What the command of a message makes of the file."""
    command = re.search(r"iconv -f \S+ -t UTF-8", message).group().split()
    if shutil.which("iconv") is None:
        return path.read_bytes().decode(command[2]).encode()
    return subprocess.run([*command, str(path)], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"ok\nb\0d\n", "a.txt:2: a NUL byte, at byte 2 of the line"),
        ("ä\0".encode(), "a.txt:1: a NUL byte, at byte 3 of the line"),
        (bytes(300), "a.txt:1: a NUL byte, at byte 1 of the line"),
    ],
)
def test_nul_is_no_text(write, content, says):
    with pytest.raises(FormatError, match=says):
        list(Source.from_path(write("a.txt", content)).lines())


def test_no_advice_ruins_the_letters_that_are_right(write):
    texts = "Größe\nüber\n".encode()
    mend = "mend or take out this byte"
    for content in (texts + b"caf\xe9\n", "Ärger über ".encode() + b"caf\xe9\n"):
        with pytest.raises(FormatError, match=mend):
            list(Source.from_path(write("a.txt", content)).lines())
    # Windows' and others' code pages look alike: none is guessed.
    for encoding in ("cp1252", "latin1", "cp1250", "koi8-r"):
        content = "naïve Größe\n" if "1" in encoding else "слово\n"
        raw = content.encode(encoding, "ignore")
        with pytest.raises(FormatError, match="saved in") as caught:
            list(Source.from_path(write("a.txt", raw)).lines())
        assert "iconv" not in str(caught.value)
        assert ":1: not UTF-8: byte 0x" in str(caught.value)


def test_a_line_has_a_longest_length(write):
    path = write("a.txt", b"x" * 100 + b"\n" + b"y" * 101 + b"\n")
    with pytest.raises(FormatError, match=r"a.txt:2: a line longer than 100 bytes.*--max-line"):
        list(Source.from_path(path, max_line=100).lines())
    assert len(list(Source.from_path(path, max_line=101).lines())) == 2
    assert len(list(Source.from_path(path).lines())) == 2


def test_what_a_gzip_file_unfolds_to_has_an_end(write):
    packed = write("a.txt.gz", gzip.compress(b"word\n" * 1000))
    with pytest.raises(FormatError, match=r"a.txt.gz:\d+: unfolds to more than 4,999 bytes.*--max"):
        list(Source.from_path(packed, max_unpacked=4999).lines())
    with pytest.raises(FormatError, match=r"a.txt.gz: unfolds to more than 4,999 bytes"):
        Source.from_path(packed, max_unpacked=4999).content()
    assert len(list(Source.from_path(packed, max_unpacked=5000).lines())) == 1000
    bomb = write("b.txt.gz", gzip.compress(b"\n" * 3_000_000))
    assert bomb.stat().st_size * 1000 < 3_000_000
    with pytest.raises(FormatError, match="unfolds to more than"):
        list(Source.from_path(bomb).lines())


def test_word_vectors_may_be_large(write, monkeypatch):
    monkeypatch.setattr("birnn.data.source.MAX_UNPACKED", 100)
    content = "".join(f"word{i} {i}.5 1\n" for i in range(50)).encode()
    path = write("a.vec.gz", gzip.compress(content))
    with pytest.raises(FormatError, match="unfolds to more than 100 bytes"):
        list(Source.from_path(path).lines())
    assert len(read_vectors(path, {"word3", "word49"})[1]) == 2


# What is read by a process of its own, so that its peak is the reading's; the limits as they are.
PEAK = r"""
import pathlib, re, sys
from birnn.data.source import Source
from birnn.data.pretrained import read_vectors
from birnn.errors import FormatError
try:
    for line in Source.from_path(sys.argv[1]).lines():
        pass
except FormatError as error:
    # Of this process alone: ru_maxrss begins with what the parent had.
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("size", "says"),
    [
        (20 << 20, "a line longer than 16,777,216 bytes"),
        pytest.param(100 << 20, "a line longer than 16,777,216 bytes", marks=pytest.mark.slow),
        pytest.param(10 << 30, "a NUL byte", marks=pytest.mark.slow),
    ],
)
def test_what_has_no_end_takes_little_memory(tmp_path, size, says):
    nul = says == "a NUL byte"
    path = tmp_path / ("a.txt.gz" if nul else "a.txt")
    if nul:
        # Members after one another are one file.
        path.write_bytes(gzip.compress(bytes(1 << 24)) * (size >> 24))
        # NUL is refused at the first line that ends, which here is the longest one allowed.
        says = "a line longer than 16,777,216 bytes"
    else:
        path.write_bytes(b"x" * size)
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, check=True, text=True
    )
    peak, _, message = ended.stdout.partition(" ")
    assert says in message
    assert int(peak) < 500_000_000


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä\nb\n".encode())))
    source = Source.from_path("-")
    assert list(source.lines()) == ["ä", "b"]
    assert not sys.stdin.buffer.closed
    assert source.where(3) == "standard input:3"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.conll", b"", "empty"),
        ("latin.conll", b"ok\nok\ncaf\xe9\n", ":3: not UTF-8: byte 0xe9 at byte 4"),
        ("plain.gz", b"not packed", "not gzip"),
        ("cut.gz", gzip.compress(os.urandom(4000).hex().encode())[:2000], "ends early"),
        ("flipped.gz", gzip.compress(b"a\n" * 9)[:-8] + bytes(8), "not gzip, or damaged"),
    ],
    ids=["empty", "latin", "plain", "cut", "flipped"],  # the bytes hold the time of day
)
def test_faults_name_the_file(write, name, content, says):
    path = write(name, content)
    with pytest.raises(FormatError, match="^" + str(path)) as caught:
        list(Source.from_path(path).lines())
    assert says in str(caught.value)


def test_missing_and_directory(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        Source.from_path(tmp_path / "nowhere.tsv")
    with pytest.raises(FormatError, match="is a directory"):
        Source.from_path(tmp_path)


def test_unreadable(write, monkeypatch):
    path = write("a.tsv", "x")
    # permissions do not bind the superuser, under whom tests may run
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FormatError, match="may not be read"):
        Source.from_path(path)


def test_an_error_of_the_disk_is_named():
    def fails():
        raise OSError(5, "Input/output error")

    with pytest.raises(FormatError, match="disk: cannot be read: Input/output error"):
        Source("disk", fails).content()
