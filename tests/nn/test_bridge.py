"""`Bridge` against the reference, with `BiRNN` and with torch's own layers."""

# B sequences, S states of all layers and directions, K layers of the decoder, H hidden units

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from birnn.errors import ConfigError, DirectionError, ShapeError
from birnn.nn import GRU, LSTM, BiRNN, Bridge, State
from birnn.reference import GATES, Stack, StackState, bridge
from birnn.reference.bridge import BRIDGES, BridgeSpec, initial_state, linear_layers
from grids import sampled

CELLS = sorted(GATES)
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
LENGTHS = [3, 0, 5]


def decoder_of(cell, hidden, layers=2):
    return Stack(cell, 3, hidden, num_layers=layers, bidirectional=False)


# Every kind, cell and mixture of directions once; the others are marked slow.
FAST = {("lstm", kind, kind != "concat") for kind in BRIDGES} | {
    (cell, "concat", False) for cell in CELLS
}


@pytest.mark.parametrize(
    ("cell", "kind", "mixed"), sampled(itertools.product(CELLS, BRIDGES, [False, True]), FAST)
)
def test_agrees_with_the_reference_forward_and_backward(draw, randomised, cell, kind, mixed):
    directions = ("forward", "both", "both") if mixed else None
    encoder = randomised(BiRNN(cell, 2, 4, num_layers=3, directions=directions))
    hidden = {"concat": 8, "project": 5, "none": 5}.get(kind, 4)
    module = randomised(Bridge(encoder.stack, decoder_of(cell, hidden), kind), 1)
    final = encoder(draw(LENGTHS, 2)).state
    parts = [part.detach().requires_grad_() for part in final.parts]
    found = module(State(*parts))

    spec = module.spec
    parameters = {name: value.numpy() for name, value in module.state_dict().items()}
    assert {name: value.shape for name, value in parameters.items()} == spec.shapes()
    numpy = StackState(*(part.detach().numpy() for part in parts))
    expected = initial_state(spec, linear_layers(parameters), numpy)
    rng = np.random.default_rng(0)
    d_initial = StackState(*(rng.standard_normal(part.shape) for part in expected.parts))
    for part, other in zip(found.parts, expected.parts, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), other, **CLOSE)
    d_final, d_parameters = bridge.gradients(spec, parameters, numpy, d_initial)
    if kind == "none":
        assert not any(part.requires_grad for part in found.parts)
        return
    torch.autograd.backward(found.parts, [torch.from_numpy(d) for d in d_initial.parts])
    for part, d in zip(parts, d_final.parts, strict=True):
        np.testing.assert_allclose(part.grad.numpy(), d, **CLOSE)
    for name, d in d_parameters.items():
        np.testing.assert_allclose(module.get_parameter(name).grad.numpy(), d, **CLOSE)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_between_torchs_own_layers(kind):
    """Halves that are told apart by running each direction of torch's layer by itself."""
    own, ours = (nn.LSTM, LSTM) if kind == "lstm" else (nn.GRU, GRU)
    encoder = own(2, 4, bidirectional=True, batch_first=True)
    plain = own(3, 8, batch_first=True)
    module = Bridge(encoder, plain, "concat")
    assert module.spec == BridgeSpec(Stack(kind, 2, 4), decoder_of(kind, 8, 1), "concat")
    assert not list(module.children())  # the layers are not its own
    x = torch.randn(3, 5, 2)
    _, final = encoder(x)
    initial = module(final)

    halves = []
    for suffix, rows in (("", x), ("_reverse", x.flip(1))):
        half = own(2, 4, batch_first=True)
        state = {name: encoder.state_dict()[f"{name}{suffix}"] for name in half.state_dict()}
        half.load_state_dict(state)
        last = half(rows)[1]
        halves.append(last if isinstance(last, tuple) else (last,))
    found = initial if isinstance(initial, tuple) else (initial,)
    assert len(found) == (2 if kind == "lstm" else 1)
    for part, forward, backward in zip(found, *halves, strict=True):
        torch.testing.assert_close(part, torch.cat([forward, backward], dim=2))
    # torch's layers and birnn's take it as it is.
    y = torch.randn(3, 4, 3)
    fast = ours(3, 8, batch_first=True)
    fast.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fast(y, initial)[0], plain(y, initial)[0])


def test_a_sequence_alone_begins_as_it_does_in_a_batch(draw, randomised):
    encoder = randomised(BiRNN("lstm", 2, 4, num_layers=2))
    module = randomised(Bridge(encoder.stack, decoder_of("lstm", 8), "concat"))
    batch = draw(LENGTHS, 2)
    whole = module(encoder(batch).state)
    for b in range(len(batch)):
        alone = module(encoder(batch.select([b])).state)
        for part, own in zip(whole.parts, alone.parts, strict=True):
            torch.testing.assert_close(part[:, b : b + 1], own, **CLOSE)


def test_what_does_not_fit_is_refused():
    encoder = BiRNN("lstm", 2, 4)
    with pytest.raises(DirectionError, match="a decoder needs one direction"):
        Bridge(encoder.stack, Stack("lstm", 3, 8), "concat")
    with pytest.raises(ConfigError, match="recurrent layers, got Linear"):
        Bridge(nn.Linear(2, 3), encoder)
    with pytest.raises(ConfigError, match="projects h to 2 units"):
        Bridge(encoder, nn.LSTM(3, 8, proj_size=2))
    with pytest.raises(DirectionError, match="a decoder needs one direction"):
        Bridge(encoder, nn.LSTM(3, 8, bidirectional=True))
    module = Bridge(encoder, decoder_of("lstm", 5, 1), "project")
    h = torch.zeros(2, 3, 4)
    for wrong, words in (
        (h, "are h and c, got h"),
        (State(h), "are h and c, got h"),
        ((h, h[:1]), r"final c is \(1, 3, 4\)"),
        ((h, h, h), "got Tensor, Tensor, Tensor"),
        (None, "got NoneType"),
        ((h.double(), h.double()), "float64, the weights of torch.float32"),
    ):
        with pytest.raises(ShapeError, match=words):
            module(wrong)
