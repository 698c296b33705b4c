"""The engines that must keep the contract, a line for each in `ENGINES`.

An engine is a function ``run(x, parameters, stack, initial) -> Outcome`` on NumPy arrays: it takes
a `Ragged` batch of rows, parameters by the names of ``stack.shapes()``, and initial states or None.
To hold another engine to the contract, add its line; the key names it in the test report. One of a
framework that takes seconds to import is given as ``module:function``, a module beside this one.

`test_recurrent.py` tries the laws of recurrent layers on random batches of random stacks, which is
for engines that give all and need no compilation. `test_grid.py` compares every engine with the
reference on a fixed grid of stacks: on all of it, or on the few cases that together have every pair
of settings, and on all in `make test-all`. So a compiling framework's line is
``Engine("jax_engine:run", laws=False, whole_grid=False)``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch

from birnn.engine import isa
from birnn.engine.stack import run as run_packed
from birnn.export import plain_torch
from birnn.export.torch import plain_tensor_name
from birnn.nn import BiRNN, ManualBiRNN
from birnn.nn import State as TorchState
from birnn.reference import Outcome, StackState, bidirectional

PARTS = frozenset({"output", "forward", "backward", "final", "state"})

# Outputs are of order 1, so the tolerance is absolute and relative alike.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}


@dataclass(frozen=True)
class Engine:
    """An engine, and what of the contract it can be held to.

    Args:
        run: The function, or where it is: ``module:function``.
        laws: Whether the laws are tried on it: hundreds of stacks and shapes.
        whole_grid: Whether every run of the tests tries all of the grid, or few cases of it.
        compiles: Whether every case takes it a compilation: then these few are for `make test-all`
            too, and tests of its own hold it to the reference in every run.
        gives: Parts of the outcome that it gives; the others are not looked at.
        dtypes: What it computes in.
        takes_initial: Whether it starts from given states; else they are always None.
    """

    run: str | Callable[..., Outcome]
    laws: bool = True
    whole_grid: bool = True
    compiles: bool = False
    gives: frozenset[str] = PARTS
    dtypes: tuple[str, ...] = tuple(TOLERANCES)
    takes_initial: bool = True

    def __call__(self, *arguments: Any) -> Outcome:
        """Run it."""
        if callable(self.run):
            return self.run(*arguments)
        module, _, name = self.run.partition(":")
        found: Outcome = getattr(importlib.import_module(module), name)(*arguments)
        return found


def run_nn(x, parameters, stack, initial=None):
    """`birnn.nn.BiRNN` as an engine: on the native kernels, or on torch's without them."""
    encoder = BiRNN.from_stack(stack).to(torch.from_numpy(x.values).dtype)
    encoder.load_state_dict({name: torch.from_numpy(v) for name, v in parameters.items()})
    if initial is not None:
        initial = TorchState(*(torch.from_numpy(part) for part in initial.parts))
    with torch.no_grad():
        found = encoder(x.map(torch.from_numpy), initial=initial)
    return _outcome(found, lambda rows: rows.map(torch.Tensor.numpy))


def run_manual(x, parameters, stack, initial=None):
    """`birnn.nn.ManualBiRNN` as an engine: one-directional layers of torch and a flip."""
    manual = ManualBiRNN(stack).to(torch.from_numpy(x.values).dtype)
    manual.share({n: torch.nn.Parameter(torch.from_numpy(v)) for n, v in parameters.items()})
    if initial is not None:
        initial = TorchState(*(torch.from_numpy(part) for part in initial.parts))
    lengths = torch.from_numpy(x.lengths)
    with torch.no_grad():
        found = manual(x.map(torch.from_numpy).to_padded(), lengths, initial=initial)
    return _outcome(found, lambda padded: x.with_values(padded.numpy()[_real(x)]))


def _outcome(found, rows):
    """What a layer of torch gave, its rows as ``rows`` has them."""
    state = (part.numpy() for part in (found.state.h, found.state.c) if part is not None)
    return Outcome(
        rows(found.output),
        rows(found.forward),
        None if found.backward is None else rows(found.backward),
        found.final.numpy(),
        StackState(*state),
    )


def run_plain(x, parameters, stack, initial=None):
    """The encoder of a model that was exported to PyTorch: torch's bidirectional layers, packed."""
    assert initial is None
    encoder = plain_torch.PlainEncoder(
        stack.cell,
        stack.input_size,
        stack.hidden_size,
        directions=[stack.directions_of(n) for n in range(stack.num_layers)],
        merge=stack.merge,
        merge_size=stack.merge_size,
        residual=stack.residual,
    ).to(torch.from_numpy(x.values).dtype)
    named = {
        plain_tensor_name(f"encoder.{n}").removeprefix("encoder."): v for n, v in parameters.items()
    }
    encoder.load_state_dict({name: torch.from_numpy(value) for name, value in named.items()})
    # Exported models have a step and a sequence at least.
    padded = np.zeros((max(1, len(x)), max(1, x.lengths.max(initial=0)), stack.input_size))
    padded = padded.astype(x.values.dtype)
    padded[: len(x), : _real(x).shape[1]][_real(x)] = x.values
    lengths = np.zeros(len(padded), np.int64)
    lengths[: len(x)] = x.lengths
    with torch.no_grad():
        output, final, _ = encoder(torch.from_numpy(padded), torch.from_numpy(lengths))
    rows = x.with_values(output.numpy()[: len(x), : _real(x).shape[1]][_real(x)])
    return Outcome(rows, None, None, final.numpy()[: len(x)], None)


def _real(x):
    """Where a padded batch holds steps of its sequences, (B, T)."""
    return np.arange(x.lengths.max(initial=0)) < x.lengths[:, None]


@contextlib.contextmanager
def running_on(name):
    """``BIRNN_ISA`` set to this engine, which then is the one that runs."""
    with mock.patch.dict(os.environ, {isa.FORCE: name}):
        assert isa.active().name == name
        yield


def on(name, run):
    """``run`` on the engine of this name, whatever else is set."""

    def forced(*arguments):
        with running_on(name):
            return run(*arguments)

    return forced


ENGINES = {
    "reference": Engine(bidirectional.run),
    "manual stack": Engine(run_manual, laws=False, whole_grid=False),
    "exported to torch": Engine(
        run_plain,
        laws=False,
        whole_grid=False,
        gives=frozenset({"output", "final"}),
        takes_initial=False,
    ),
}
# The native kernels are tried by both of their doors, each instruction set that runs here.
for _name in isa.available():
    ENGINES[f"kernels on {_name}"] = Engine(on(_name, run_packed))
    ENGINES["torch" if _name == isa.REFERENCE else f"nn on {_name}"] = Engine(
        on(_name, run_nn), whole_grid=_name == isa.available()[0]
    )
ENGINES["jax"] = Engine("jax_engine:scan", laws=False, whole_grid=False, compiles=True)
if isa.native_module() is not None:
    ENGINES["kernels in jax"] = Engine("jax_engine:native", laws=False, whole_grid=False)
# ONNX Runtime has recurrent operators for float32 alone.
ENGINES["onnxruntime"] = Engine(
    "onnx_engine:run", laws=False, whole_grid=False, dtypes=("float32",)
)
# On torch or JAX, where Keras computes in float32 alone.
ENGINES["keras"] = Engine(
    "keras_engine:run",
    laws=False,
    whole_grid=False,
    gives=frozenset({"output", "final", "state"}),
    dtypes=("float32",),
)
