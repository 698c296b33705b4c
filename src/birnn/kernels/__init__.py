"""The fast engine's Python face: NumPy arrays in, NumPy arrays out, checked."""

from birnn.kernels.isa import Engine, active, native_module, why_no_native
from birnn.kernels.layer import run

__all__ = ["Engine", "active", "native_module", "run", "why_no_native"]
