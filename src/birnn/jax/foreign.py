"""Python functions over NumPy arrays in programs of JAX on CPU, by XLA's foreign functions.

`jax.pure_callback` copies its arguments on XLA's own threads before the function sees them, and
where these are all waiting in callbacks the program stands still (jax#24255; on one processor at
the first call). Here a function reads the buffers of XLA where they are and writes its results
there: nothing is copied, nothing waited for.

The structures are those of XLA's ``xla/ffi/api/c_api.h``, a stable binary interface, as far as they
are read here.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

HostArray = npt.NDArray[Any]
HostFunction = Callable[[list[HostArray], list[HostArray]], None]
"""Reads the arrays of its first argument, and writes those of its second."""

METADATA = 1  # type of the extension by which XLA asks for the version of the interface
INTERNAL_ERROR = 13
DTYPES: dict[int, np.dtype[Any]] = {
    4: np.dtype(np.int32),
    11: np.dtype(np.float32),
    12: np.dtype(np.float64),
}


class _Extension(ctypes.Structure):
    pass


_Extension._fields_ = [("size", c_size_t), ("type", c_int), ("next", POINTER(_Extension))]


class _Version(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("major", c_int), ("minor", c_int))


class _Metadata(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("version", _Version), ("traits", c_uint32))


class _MetadataExtension(ctypes.Structure):
    _fields_ = (("base", _Extension), ("metadata", POINTER(_Metadata)))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("dtype", c_int),
        ("data", c_void_p),
        ("rank", c_int64),
        ("dims", POINTER(c_int64)),
    )


class _Buffers(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("count", c_int64),
        ("types", c_void_p),
        ("buffers", POINTER(POINTER(_Buffer))),
    )


class _ErrorArguments(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("message", c_char_p),
        ("code", c_int),
    )


class _Api(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("version", _Version),
        ("internal", c_void_p),
        ("error", ctypes.CFUNCTYPE(c_void_p, POINTER(_ErrorArguments))),
    )


class _CallFrame(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", POINTER(_Extension)),
        ("api", POINTER(_Api)),
        ("context", c_void_p),
        ("stage", c_int),
        ("arguments", _Buffers),
        ("results", _Buffers),
    )


_Handler = ctypes.CFUNCTYPE(c_void_p, POINTER(_CallFrame))
_handlers: list[Any] = []  # XLA keeps their addresses for as long as the process lives


def call(
    name: str,
    function: HostFunction,
    shapes: Sequence[tuple[int, ...]],
    dtype: Any,
    *arguments: jax.Array,
) -> list[jax.Array]:
    """Call a function over NumPy arrays in a program of JAX, on CPU.

    Under ``vmap`` it is called once for each element of the mapped axis.

    Args:
        name: Names the function, always the same one.
        function: Called with the arguments' arrays and those of the results.
        shapes: Shape of each result.
        dtype: dtype of all results.
        arguments: int32, float32 or float64.

    Returns:
        The results. An exception of the function is an error of the program, with its message.

    Example:
        >>> def double(given, found):
        ...     found[0][...] = 2 * given[0]
        >>> call("double", double, [(3,)], np.float32, jax.numpy.arange(3.0))[0].tolist()
        [0.0, 2.0, 4.0]
    """
    target = f"birnn_{name}"
    _register(target, function)
    results = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]  # type: ignore[no-untyped-call]
    return list(jax.ffi.ffi_call(target, results, vmap_method="sequential")(*arguments))


@functools.cache
def _register(target: str, function: HostFunction) -> None:
    handler = _Handler(functools.partial(_handle, function))
    _handlers.append(handler)
    address = ctypes.cast(handler, c_void_p).value
    capsule = jax.ffi.pycapsule(address)  # type: ignore[no-untyped-call]
    jax.ffi.register_ffi_target(target, capsule, platform="cpu")


def _handle(function: HostFunction, frame: Any) -> int | None:
    """Answer a call of XLA: no error is None."""
    call_frame = frame.contents
    try:
        if call_frame.extension and call_frame.extension.contents.type == METADATA:
            extension = ctypes.cast(call_frame.extension, POINTER(_MetadataExtension)).contents
            metadata, known = extension.metadata.contents, call_frame.api.contents.version
            # What is read here is in every version of major number 0.
            metadata.version = _Version(ctypes.sizeof(_Version), None, 0, known.minor)
            metadata.traits = 0
            return None
        function(_arrays(call_frame.arguments), _arrays(call_frame.results))
    except BaseException as error:  # nothing else can pass it on
        message = f"{type(error).__name__}: {error}".encode()
        arguments = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message, INTERNAL_ERROR)
        answer: int | None = call_frame.api.contents.error(ctypes.byref(arguments))
        return answer
    return None


def _arrays(buffers: Any) -> list[HostArray]:
    return [_array(buffers.buffers[i].contents) for i in range(buffers.count)]


def _array(buffer: Any) -> HostArray:
    """The buffer as an array, not copied."""
    shape, dtype = tuple(buffer.dims[: buffer.rank]), DTYPES[buffer.dtype]
    count = math.prod(shape)
    if count == 0:  # its address may be 0
        return np.empty(shape, dtype)
    memory = (c_char * (count * dtype.itemsize)).from_address(buffer.data)
    array: HostArray = np.frombuffer(memory, dtype).reshape(shape)
    return array
