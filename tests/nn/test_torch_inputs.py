"""The drop-in modules on torch's own sample inputs, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from birnn.engine import isa

PROGRAM = Path(__file__).with_name("torch_inputs.py")


@pytest.mark.slow  # test_recurrent.py holds them to torch's on its own inputs
@pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_torchs_samples_have_torchs_answers(name, dtype):
    found = subprocess.run(
        [sys.executable, PROGRAM, name, dtype],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert int(found.stdout) >= 32
