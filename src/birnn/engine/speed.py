"""How fast each engine is here: floating point operations a second, measured on one layer."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from birnn.engine import isa
from birnn.engine.stack import PackedStack
from birnn.engine.threads import get_num_threads, num_threads
from birnn.errors import EngineError
from birnn.ragged import Ragged
from birnn.reference.low_precision import MATRICES, Precision
from birnn.reference.stack import Stack

STACK = Stack("lstm", 128, 256, bidirectional=False)
SEQUENCES, STEPS = 32, 10
MEASURED = "forward pass of an LSTM, 128 inputs, 256 units, 32 sequences of 10 rows, one thread"
_OPERATIONS = 2 * 4 * 256 * (128 + 256) * SEQUENCES * STEPS  # of its products
# Windows counts what a process ran in 64ths of a second.
_fine = time.get_clock_info("process_time").resolution < 1e-5
_clock = time.process_time if _fine else time.perf_counter
_SECONDS = 0.02  # for each engine, after the run that packs its weights


def gflops(precision: Precision, level: str) -> float:
    """What `MEASURED` does with one level's kernels, in 10^9 operations of products a second.

    By the time that the process ran, so that it tells the same where others want the processor:
    the fastest of the runs that fit into 20 ms.

    Args:
        precision: Of the weights.
        level: One that has kernels of this precision here: of `isa.available`.

    Example:
        >>> gflops("float32", isa.available()[0]) > 0.01
        True
    """
    rng = np.random.default_rng(0)
    parameters: dict[str, Any] = {
        name: rng.uniform(-0.06, 0.06, shape).astype(np.float32)
        for name, shape in STACK.shapes().items()
    }
    if precision != "float32":
        make = MATRICES[precision].of
        parameters |= {name: make(w) for name, w in parameters.items() if w.ndim == 2}
    x = Ragged(
        rng.standard_normal((SEQUENCES * STEPS, STACK.input_size), np.float32),
        np.full(SEQUENCES, STEPS),
    )
    with isa.forced(level), num_threads(1):
        packed = PackedStack(parameters, STACK)
        packed.run(x)
        best, end = np.inf, _clock() + _SECONDS
        while best == np.inf or _clock() < end:
            begin = _clock()
            packed.run(x)
            best = min(best, _clock() - begin)
    return _OPERATIONS / best / 1e9


def fma_peak(*, threads: int | None = None) -> float:
    """What the processor does at best: float32 operations in a second by fused multiply-adds.

    Args:
        threads: How many run at once; as many as are set where it is None.

    Raises:
        EngineError: The reference runs, which has no such measure.

    Example:
        >>> fma_peak(threads=1) > 1e8 if isa.selected_engine() is not None else True
        True
    """
    native = isa.selected_engine()
    if native is None:
        raise EngineError(f"the {isa.REFERENCE} engine runs, only a compiled one can be measured")
    rates = [
        native.peak_rate(isa.PRECISION_NUMBERS["float32"], threads or get_num_threads())
        for _ in range(5)
    ]
    return float(max(rates))
