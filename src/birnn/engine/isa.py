"""Which engine runs the recurrence here, and why.

The compiled module holds the kernels once for each instruction set and runs, for each precision,
the best that the processor has. ``BIRNN_ISA`` forces one. The module is optional: without a C++
compiler the install is pure Python and the NumPy reference runs.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from birnn.errors import EngineError, nearest
from birnn.reference.low_precision import Precision

FORCE = "BIRNN_ISA"
REFERENCE = "reference"

# As in native/kernels.h.
PRECISION_NUMBERS = {"float32": 0, "float64": 1, "bf16": 2, "int8": 3}


@dataclass(frozen=True, slots=True)
class Level:
    """An instruction set that kernels are written for.

    Args:
        detail: One line on what it is.
        base: The level that every processor with this one has as well; empty where there is none.
        chosen: Whether it is chosen where it is the best; else it is for proofs, forced only.
    """

    detail: str
    base: str = ""
    chosen: bool = True


LEVELS = {
    "amx": Level("compiled for AMX's tiles, beside AVX-512 VNNI", "avx512_vnni"),
    "avx512_bf16": Level("compiled for AVX-512 BF16", "avx512_vnni"),
    "avx512_vnni": Level("compiled for AVX-512 VNNI", "avx512"),
    "avx512": Level("compiled for AVX-512 (x86-64-v4)", "avx2"),
    "avx2_vnni": Level("compiled for AVX-VNNI, beside AVX2", "avx2"),
    "avx2": Level("compiled for AVX2 and FMA (x86-64-v3)", "generic"),
    "generic": Level("compiled for any processor of this kind"),
    "amx_emulated": Level(
        "AMX's kernels on tiles in software, which prove them", "avx512_vnni", chosen=False
    ),
    REFERENCE: Level(f"NumPy {np.__version__}"),
}


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the recurrence.

    Args:
        name: One of `LEVELS`: ``avx512``, ``generic``, ``reference`` ...
        detail: One line on what that is.
    """

    name: str
    detail: str


def available(precision: Precision = "float32") -> tuple[str, ...]:
    """Names of the engines that can run a precision here, best first.

    The last is always ``reference``; ``amx_emulated``, which is for proofs, is not among them.
    Which is the best goes by the processor and its maker, never by a measurement: the ways to sum
    bf16 differ in their last bits.

    Example:
        >>> available()[-1]
        'reference'
    """
    native = native_module()
    if native is None:
        return (REFERENCE,)
    names = [
        name
        for name, (own, _) in _levels().items()
        if precision in own and LEVELS[name].chosen and why_not(name) is None
    ]
    if precision == "bf16" and native.vendor != "AuthenticAMD" and "avx512_bf16" in names:
        # Intel's processors run it at half the rate, slower than weights that are widened.
        names.remove("avx512_bf16")
        names.insert(names.index("avx512") + 1, "avx512_bf16")
    return (*names, REFERENCE)


def why_not(level: str) -> str | None:
    """Why kernels of a level cannot run here; None where they can.

    Whether the system grants AMX's tiles is asked for once, where the processor has them.

    Example:
        >>> why_not("reference") is None
        True
    """
    native = native_module()
    if level == REFERENCE:
        return None
    if level not in LEVELS:
        return nearest(level, _here())
    if native is None:
        return why_no_native()
    if level not in _levels():
        return "it is of another kind of processor"
    _, missing = _levels()[level]
    if not missing and level == "amx" and (refused := native.tiles_refused()):
        return f"the system refuses AMX's tiles to this process: {refused}"
    return missing or None


def not_here() -> dict[str, str]:
    """Levels of this kind of processor whose kernels cannot run here, and why; empty without any.

    Example:
        >>> set(not_here()) & set(available())
        set()
    """
    if native_module() is None:
        return {}
    chosen = [name for name in _levels() if LEVELS[name].chosen]
    return {name: why for name in chosen if (why := why_not(name))}


def _here() -> list[str]:
    """Levels that can be forced here, for whatever precision, best first."""
    return [name for name, level in LEVELS.items() if level.chosen and why_not(name) is None]


def active(precision: Precision = "float32") -> Engine:
    """The engine that runs, or would run if asked now; ``BIRNN_ISA`` forces a level.

    Then each precision runs on the best kernels that need no more than that level.

    Raises:
        EngineError: ``BIRNN_ISA`` names one that is not here.

    Example:
        >>> active().name in available()
        True
    """
    name = _name_for(os.environ.get(FORCE, ""), precision)
    return Engine(name, LEVELS[name].detail)


@contextmanager
def forced(level: str) -> Iterator[None]:
    """The level runs for a while, as if ``BIRNN_ISA`` named it; in all threads.

    Example:
        >>> with forced("reference"):
        ...     active().name
        'reference'
    """
    before = os.environ.get(FORCE)
    os.environ[FORCE] = level
    try:
        yield
    finally:
        if before is None:
            del os.environ[FORCE]
        else:
            os.environ[FORCE] = before


def selected_engine(precision: Precision = "float32") -> ModuleType | None:
    """The compiled module, set to the engine that is wanted; None where the reference runs.

    Where it runs because there is no compiled module, a warning says so once.

    Raises:
        EngineError: ``BIRNN_ISA`` names an engine that is not here.
    """
    forced = os.environ.get(FORCE, "")
    name = _name_for(forced, precision)
    if name == REFERENCE:
        if not forced:
            _warn_no_native_engine()
        return None
    native = native_module()
    assert native is not None
    number = PRECISION_NUMBERS[precision]
    # The module is asked, not a memory of what was chosen last: threads may choose at once.
    if native.engine(number) != name:
        native.choose_engine(name, number)
    return native


def require_native(precision: Precision = "float32") -> ModuleType:
    """The compiled module, as `selected_engine`.

    Raises:
        EngineError: The reference runs, or ``BIRNN_ISA`` names an engine that is not here.
    """
    native = selected_engine(precision)
    if native is None:
        why = why_no_native() or f"{FORCE} asks for it. Unset it, or name another level."
        raise EngineError(f"the {REFERENCE} engine runs, this needs a compiled one: {why}")
    return native


@functools.lru_cache(maxsize=32)
def _name_for(forced: str, precision: Precision) -> str:
    """The best engine for a precision, or the best that needs no more than the forced level."""
    if not forced:
        return available(precision)[0]
    why = why_not(forced)
    if why is not None:
        if forced in LEVELS:
            why = f"{why.rstrip('.')}; {', '.join(_here())} are"
        raise EngineError(
            f"{FORCE} is {forced!r}, which is not here: {why}{'' if why.endswith('?') else '.'} "
            f"Unset {FORCE} to let birnn choose."
        )
    name = forced
    while name != REFERENCE and precision not in _levels()[name][0]:
        name = LEVELS[name].base or REFERENCE
    return name


@functools.cache
def _levels() -> dict[str, tuple[list[str], str]]:
    """Levels of this kind of processor: precisions that have own kernels, and what is missing."""
    native = native_module()
    assert native is not None
    return {name: (precisions, missing) for name, precisions, missing in native.levels()}


@functools.cache  # warned once
def _warn_no_native_engine() -> None:
    warnings.warn(
        f"recurrent layers run slower than they could, on torch's kernels or NumPy: "
        f"{why_no_native()} {FORCE}={REFERENCE} chooses that without this warning.",
        RuntimeWarning,
        stacklevel=3,
    )


def native_module() -> ModuleType | None:
    """The compiled module, or None where it is not installed."""
    return _import_native()[0]


def why_no_native() -> str | None:
    """Why there is no compiled module; None where there is one."""
    return _import_native()[1]


@functools.cache
def _import_native() -> tuple[ModuleType | None, str | None]:
    try:
        native = importlib.import_module("birnn.engine._native")
    except ModuleNotFoundError:
        return None, (
            "the compiled module is not installed. "
            "Install a C++ compiler (Debian: g++) and birnn again to build it."
        )
    except ImportError as error:
        return None, f"the compiled module does not load: {error}. Install birnn again."
    atexit.register(native.stop_threads)
    return native, None
