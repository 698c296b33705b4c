"""Arrays of a library that is not there: all they have is DLPack's table, or its older capsules.

The compiled module reads torch's tensors by that table, or by capsules where torch is older than
2.10. Here are both in the house's own hand, so that the sanitizers, under which torch does not run,
see the module read by them; and they can lie.
"""

from __future__ import annotations

import ctypes

import numpy as np

CPU, CUDA = 1, 2
CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}


class DLTensor(ctypes.Structure):
    """As in dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Table(ctypes.Structure):
    """DLPack's exchange table."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("older", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("from_object", ctypes.c_void_p),
        ("to_object", ctypes.c_void_p),
        ("borrow", ctypes.c_void_p),
        ("stream", ctypes.c_void_p),
    )


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
def borrow(foreign, found):
    """Tell where the numbers are, as long as the object lives."""
    if foreign.fails:
        return -1
    found[0] = foreign.told
    return 0


def capsule(table, name=b"dlpack_exchange_api"):
    """The table as Python hands it on; table and name have to live as long as it."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = (
        ctypes.py_object,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
    )
    return new(ctypes.addressof(table), name, None)


TABLE = Table(major=1, minor=3, borrow=ctypes.cast(borrow, ctypes.c_void_p))


class Foreign:
    """A NumPy array in a foreign coat.

    Args:
        array: What it shows, written through where the module writes.
        offset: Bytes that the data pointer stands before the numbers.
        strides: Whether it tells its strides; without them it is contiguous.
        lies: Members of its `DLTensor` that say something else.
        fails: Whether it refuses to tell.
    """

    __dlpack_c_exchange_api__ = capsule(TABLE)

    def __init__(self, array, *, offset=0, strides=True, fails=False, **lies):
        self.array, self.fails = array, fails
        item, axes = array.itemsize, max(array.ndim, 1)
        self.shape = (ctypes.c_int64 * axes)(*array.shape)
        self.strides = (ctypes.c_int64 * axes)(*(step // item for step in array.strides))
        self.told = DLTensor(
            data=array.__array_interface__["data"][0] - offset,
            device_type=CPU,
            ndim=array.ndim,
            code=CODES[array.dtype.kind],
            bits=8 * item,
            lanes=1,
            shape=self.shape,
            byte_offset=offset,
        )
        if strides:
            self.told.strides = self.strides
        for name, lie in lies.items():
            setattr(self.told, name, lie)


class Managed(ctypes.Structure):
    """As in dlpack.h."""

    _fields_ = (
        ("tensor", DLTensor),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def forget(managed):
    """Nothing is to be freed: what a capsule shows is its object's."""
    del managed


class Capsuled(Foreign):
    """A NumPy array in an older coat, without the table; arguments as those of `Foreign`."""

    __dlpack_c_exchange_api__ = None

    def __init__(self, array, **told):
        super().__init__(array, **told)
        self.managed = []

    def __dlpack__(self, **_):
        if self.fails:
            raise BufferError("this array is not to be had")
        # One for each capsule: it lives as long as the capsule's taker pleases.
        self.managed.append(Managed(tensor=self.told, deleter=ctypes.cast(forget, ctypes.c_void_p)))
        return capsule(self.managed[-1], b"dltensor")

    def __dlpack_device__(self):
        return self.told.device_type, 0


def wearable(array):
    """Whether an array can be told of by such a table: strides are whole numbers, in this order."""
    return (
        isinstance(array, np.ndarray)
        and array.dtype.kind in CODES
        and array.dtype.isnative
        and array.flags.writeable
        and all(step % array.itemsize == 0 for step in array.strides)
    )
