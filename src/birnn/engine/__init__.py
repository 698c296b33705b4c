"""The fast engine's Python face: NumPy arrays in, NumPy arrays out, checked."""

from birnn.engine.isa import Engine, active, available, native_module, why_no_native
from birnn.engine.stack import PackedStack, run
from birnn.engine.threads import get_num_threads, set_num_threads

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
