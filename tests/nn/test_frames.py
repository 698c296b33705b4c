"""How far it is from a module's forward to the compiled kernel, in frames of Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import birnn
from birnn.engine import isa
from birnn.nn import GRU, LSTM, RNN

MOST = 7


@pytest.fixture
def frames(native, monkeypatch):
    """``frames(module, x, ...)``: of each kernel that it calls, the functions from `forward` on."""
    found = []
    module = isa.native_module()
    run = module.layer_forward

    def noted(*arguments):
        frame, names = sys._getframe(1), []
        while frame is not None:
            names.append((frame.f_globals["__name__"], frame.f_code.co_name))
            if names[-1] == ("birnn.nn.recurrent", "forward"):
                break
            frame = frame.f_back
        found.append(names[::-1])
        return run(*arguments)

    monkeypatch.setattr(module, "layer_forward", noted)

    def called(layer, *arguments, **options):
        found.clear()
        layer(*arguments, **options)
        return found[:]

    return called


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["padded", "lengths", "time first", "one sequence", "packed"])
def test_few_frames_of_python_stand_before_a_kernel(frames, kind, training, form):
    layer = kind(3, 4, num_layers=2, bidirectional=True, batch_first=form != "time first")
    x, options = torch.randn(2, 5, 3), {}
    if form == "lengths":
        options["lengths"] = [5, 2]
    elif form == "one sequence":
        x = x[0]
    elif form == "packed":
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 2]), batch_first=True)
    with torch.set_grad_enabled(training):
        calls = frames(layer, x, **options)
    assert len(calls) == 2
    for names in calls:
        assert names[0] == ("birnn.nn.recurrent", "forward")
        assert len(names) <= (MOST if training else MOST - 2), names


def test_private_functions_of_torch_are_used_in_one_file():
    sources = Path(birnn.__file__).parent.rglob("*.py")
    private = [
        path.name
        for path in sources
        if any(word in path.read_text() for word in ("torch._C", "forward_ad", "__dlpack_c_"))
    ]
    assert private == ["private_torch.py"]
