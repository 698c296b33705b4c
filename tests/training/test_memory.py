"""The allocator's setting: taken where there is glibc, no trouble elsewhere."""

from __future__ import annotations

import ctypes
import platform

from birnn.training.memory import LARGE, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory


class Recorded:
    """A C library that notes what it is told."""

    def __init__(self) -> None:
        self.told = []

    def mallopt(self, name, value):
        self.told.append((name, value))
        return 1


def test_both_thresholds_are_set(monkeypatch):
    library = Recorded()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory()
    assert dict(library.told) == {M_MMAP_THRESHOLD: LARGE, M_TRIM_THRESHOLD: LARGE}


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not keep_freed_memory()


def test_this_machine_takes_it_if_it_has_glibc():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
