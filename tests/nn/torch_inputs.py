"""Torch's own sample inputs of its recurrent modules, run on birnn's in their place.

A program of its own, because importing torch's test support changes settings of the process:
``python torch_inputs.py LSTM float64``. Each sample (options, input, initial states) goes through
torch's module and ours with the same parameters: answers and gradients must agree, of pickles and
copies and on input that is not contiguous as well. Prints how many samples there were.
"""

from __future__ import annotations

import copy
import pickle
import sys

import torch
from torch.testing._internal.common_modules import module_db

import birnn.nn
from birnn.engine import isa


def tensors(parts):
    """All tensors of an answer or of arguments, in order."""
    if isinstance(parts, torch.Tensor):
        return [parts]
    return [t for part in parts for t in tensors(part)] if isinstance(parts, tuple | list) else []


def spread(part):
    """The same numbers, others in between."""
    if isinstance(part, tuple | list):
        return type(part)(map(spread, part))
    wide = part.detach().repeat_interleave(2, dim=-1)
    return wide[..., ::2].requires_grad_(part.requires_grad)


def answers(module, arguments):
    """Output, final states, and the gradients of their sum with respect to all there is."""
    found = tensors(module(*arguments))
    wanted = [t for t in (*tensors(list(arguments)), *module.parameters()) if t.requires_grad]
    loss = sum((t * torch.arange(1, t.numel() + 1).view_as(t).sin()).sum() for t in found)
    return found, torch.autograd.grad(loss, wanted, materialize_grads=True)


def same(found, expected):
    """Answers to torch's own tolerance; gradients in float32 are sums of many, in other orders."""
    torch.testing.assert_close(found[0], expected[0])
    rounded = expected[1][0].dtype == torch.float32
    near = {"rtol": 1e-4, "atol": 5e-5} if rounded else {}
    torch.testing.assert_close(found[1], expected[1], **near)


def check(sample, theirs_class, ours_class, dtype):
    """Run one sample through both."""
    options = sample.constructor_input
    theirs = theirs_class(*options.args, **options.kwargs, dtype=dtype)
    ours = ours_class(*options.args, **options.kwargs, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    arguments = sample.forward_input.args
    assert not sample.forward_input.kwargs
    expected = answers(theirs, arguments)
    for module in (ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        same(answers(module, arguments), expected)
    apart = tuple(map(spread, arguments))
    same(answers(ours, apart), expected)
    if dtype == torch.float64 and ours.proj_size == 0:
        assert torch.autograd.gradcheck(lambda *x: tuple(tensors(ours(*x))), arguments[:1])


def main(name, dtype_name):
    """Run the samples of one class."""
    assert isa.selected_engine() is not None
    theirs, ours = getattr(torch.nn, name), getattr(birnn.nn, name)
    dtype = getattr(torch, dtype_name)
    torch.manual_seed(0)
    (info,) = [info for info in module_db if info.module_cls is theirs]
    count = 0
    for training in (True, False):
        for sample in info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=True, training=training
        ):
            check(sample, theirs, ours, dtype)
            count += 1
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
