"""Which engine runs the recurrence here, and why.

The compiled module is optional: without a C++ compiler the install is pure Python. Today it holds
no kernels, so the recurrence runs on the NumPy reference with it or without it.
"""

from __future__ import annotations

import functools
import importlib
import os
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from birnn.errors import EngineError, nearest

FORCE = "BIRNN_ISA"
ENGINES = ("reference",)


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the recurrence.

    Args:
        name: ``reference``.
        detail: One line on what that is.
    """

    name: str
    detail: str


def active() -> Engine:
    """The engine that runs; ``BIRNN_ISA`` forces one.

    Raises:
        EngineError: ``BIRNN_ISA`` names one that is not here.

    Example:
        >>> active().name
        'reference'
    """
    forced = os.environ.get(FORCE, "")
    if forced and forced not in ENGINES:
        raise EngineError(
            f"{FORCE} is {forced!r}, which is not here: {nearest(forced, ENGINES)}. "
            f"Unset {FORCE} to let birnn choose."
        )
    return Engine("reference", f"NumPy {np.__version__}")


def native_module() -> ModuleType | None:
    """The compiled module, or None where it is not installed."""
    return _import_native()[0]


def why_no_native() -> str | None:
    """Why there is no compiled module; None where there is one."""
    return _import_native()[1]


@functools.cache
def _import_native() -> tuple[ModuleType | None, str | None]:
    try:
        return importlib.import_module("birnn.kernels._native"), None
    except ModuleNotFoundError:
        return None, (
            "the compiled module is not installed. "
            "Install a C++ compiler (Debian: g++) and birnn again to build it."
        )
    except ImportError as error:
        return None, f"the compiled module does not load: {error}. Install birnn again."
