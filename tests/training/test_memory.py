"""Memory: the allocator is set where there is glibc, and what cannot be had is told in time."""

from __future__ import annotations

import ctypes
import platform

import pytest
import torch

from birnn.bundle import Encoder, Spec, Symbols, Tags
from birnn.errors import ConfigError
from birnn.training.memory import (
    LARGE,
    M_MMAP_THRESHOLD,
    M_TRIM_THRESHOLD,
    check_size,
    keep_freed_memory,
    memory_errors_explained,
)


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


def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(monkeypatch):
    spec = Spec(
        inputs=Symbols(size=5, dim=8),
        encoder=Encoder(hidden_size=999_999),
        head=Tags(size=3),
    )
    with pytest.raises(ConfigError, match=r"parameters needs at least .* GB .*is 999,999"):
        check_size(spec)
    small = Spec(inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=4), head=Tags(size=3))
    check_size(small)
    # Four copies of float32: of 16 bytes for each parameter, one too few are refused.
    needed = 16 * small.parameter_count()
    for there, refused in ((needed, False), (needed - 1, True)):
        pages = {"SC_PHYS_PAGES": there, "SC_PAGE_SIZE": 1}
        monkeypatch.setattr("os.sysconf", pages.__getitem__)
        if refused:
            with pytest.raises(ConfigError):
                check_size(small)
        else:
            check_size(small)


def test_what_torch_has_no_memory_for_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"training\.batch_tokens"), memory_errors_explained():
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(MemoryError), memory_errors_explained():
        torch.empty(2**62, 2**62)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors_explained():
        torch.ones(2, 3) @ torch.ones(2, 3)
