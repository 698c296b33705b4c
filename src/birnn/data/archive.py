"""The arrays of an ``.npz`` file, each checked before memory is taken for it."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from birnn.data.source import MAX_UNPACKED, UNPACKED_RATIO, Source
from birnn.errors import FormatError

SUFFIX = ".npy"
# A member's header, which names its dtype and shape, is some hundred bytes.
LONGEST_HEADER = 1 << 16
COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# By the version of a header: what reads it.
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What NumPy raises of a header that is none.
_NO_HEADER = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OverflowError,
    RecursionError,
    SyntaxError,
    UnicodeError,
    struct.error,
    tokenize.TokenError,
)
# What the zip and deflate readers raise of an archive that is none: NotImplementedError and
# RuntimeError of what is packed or encrypted in a way they do not know.
_NO_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)


def read_arrays(
    source: Source, names: Sequence[str], *, max_unpacked: int | None = None
) -> tuple[dict[str, npt.NDArray[Any]], list[str]]:
    """Arrays of an ``.npz`` file, as far as it has them, and the names of all that it has.

    An array may take ``max_unpacked`` bytes; by default as many as a ``.gz`` of the file's size may
    unfold to.

    Raises:
        FormatError: No such file, or a wanted member that is no plain array, is encrypted,
            damaged, or larger or smaller than its header says.
    """
    content = source.content()
    limit = max_unpacked or min(MAX_UNPACKED, len(content) * UNPACKED_RATIO)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {
                info.filename.removesuffix(SUFFIX): info
                for info in archive.infolist()
                if info.filename.endswith(SUFFIX)
            }
            found = {
                name: _array(source, archive, members[name], name, limit)
                for name in names
                if name in members
            }
    except FormatError:
        raise
    except _NO_ARCHIVE:
        raise source.fault(
            "not a NumPy .npz file of plain arrays. Write it with numpy.savez, without objects."
        ) from None
    return found, list(members)


def _array(
    source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limit: int
) -> npt.NDArray[Any]:
    if info.flag_bits & 1:
        raise source.fault(f"{name} is encrypted. Write the file with numpy.savez.")
    if info.compress_type not in COMPRESSIONS:
        raise source.fault(
            f"{name} is compressed in a way that NumPy does not use. Write the file with "
            "numpy.savez or numpy.savez_compressed."
        )
    with archive.open(info) as member:
        shape, fortran, dtype, size = _header(source, member, name)
        count = math.prod(shape)
        claimed = count * dtype.itemsize
        if claimed > limit:
            raise source.fault(
                f"{name} says that it has shape {shape}, {claimed:,} bytes; {limit:,} are read at "
                "most. Set --max-unpacked if that is right."
            )
        actual = info.file_size - size
        if claimed == actual:
            # The size that the archive names may be wrong as well: no more is read than claimed.
            content = member.read(claimed + 1)
            actual = len(content)
    if claimed != actual:
        raise source.fault(
            f"{name} says that it has shape {shape}, {claimed:,} bytes, and has {actual:,}. "
            "The file is damaged: write or copy it again."
        )
    array = np.frombuffer(content, dtype, count)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(
    source: Source, member: IO[bytes], name: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and dtype of a member, and the bytes of its header."""
    try:
        read_header = _HEADERS[npy.read_magic(member)]
        shape, fortran, dtype = read_header(member, LONGEST_HEADER)
        sizes = all(size >= 0 for size in shape)
    except _NO_HEADER:
        raise source.fault(
            f"{name} is no array: its header does not read. Write the file with numpy.savez."
        ) from None
    if dtype.hasobject or dtype.fields or dtype.subdtype or not sizes or not dtype.itemsize:
        raise source.fault(
            f"{name} is {dtype}, an array of numbers or strings is needed. Write it with "
            "numpy.savez, without objects."
        )
    return tuple(map(int, shape)), bool(fortran), dtype, member.tell()
