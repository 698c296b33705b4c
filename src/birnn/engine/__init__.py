"""The fast engine's Python face: NumPy arrays in, NumPy arrays out, checked."""

from birnn.engine.isa import (
    Engine,
    active,
    available,
    get_num_threads,
    native_module,
    set_num_threads,
    why_no_native,
)
from birnn.engine.stack import PackedStack, run

__all__ = [
    "Engine",
    "PackedStack",
    "active",
    "available",
    "get_num_threads",
    "native_module",
    "run",
    "set_num_threads",
    "why_no_native",
]
