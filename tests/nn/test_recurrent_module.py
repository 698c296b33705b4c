"""`RNN`, `LSTM` and `GRU` as modules: dropout, copies, autocast, transforms."""

# B sequences, T steps, D inputs, H hidden units, L layers times directions

from __future__ import annotations

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils import checkpoint

from birnn.nn import GRU, LSTM, RNN

PAIRS = {"lstm": (LSTM, nn.LSTM), "gru": (GRU, nn.GRU), "rnn": (RNN, nn.RNN)}
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
D, H = 3, 4


def random(*shape):
    """Standard normal numbers."""
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64)


# ---------------------------------------------------------------------- dropout


@pytest.mark.parametrize("kind", PAIRS)
def test_dropout_stands_between_layers_in_training(pair, same, kind):
    x = random(5, 2, D)
    for layers in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's: one layer drops nothing
            ours, own = pair(kind, num_layers=layers, dropout=0.5)
        assert torch.equal(ours(x)[0], ours(x)[0]) == (layers == 1)
        ours.eval()
        own.eval()
        same(ours(x), own(x))


@pytest.mark.parametrize("kind", PAIRS)
def test_dropout_of_everything_leaves_the_biases(pair, same, kind):
    ours, own = pair(kind, num_layers=2, dropout=1.0)
    x = random(5, 2, D)
    same(ours(x), own(x))


def test_dropout_drops_its_share_and_scales_the_rest():
    # Weights of ones: each unit of layer 1 counts what is left of layer 0.
    rnn = RNN(2, 400, 2, nonlinearity="relu", bias=False, dropout=0.25).double()
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            parameter.fill_(1.0 if "ih" in name else 0.0)
    x = torch.ones(1, 50, 2, dtype=torch.float64)
    kept = rnn(x)[0].detach()[0, :, 0] * 0.75 / 2  # 2 in each unit of layer 0
    torch.testing.assert_close(kept, kept.round())
    assert abs(float(kept.mean()) - 300) < 6  # of 400 at 0.25, 50 times: 1.2 by chance


# ---------------------------------------------------------------------- the module


@pytest.mark.parametrize("kind", PAIRS)
def test_they_are_torchs_classes(pair, kind):
    ours, own = pair(kind, num_layers=2, bidirectional=True, batch_first=True)
    assert isinstance(ours, type(own))
    assert repr(ours) == repr(own)
    assert list(ours.state_dict()) == list(own.state_dict())
    assert [type(p) for p in ours.parameters()] == [nn.Parameter] * 16


@pytest.mark.parametrize("kind", PAIRS)
def test_the_same_seed_begins_with_the_same_weights(kind):
    made = []
    for cls in PAIRS[kind]:
        torch.manual_seed(5)
        made.append(cls(D, H, 2))
    for one, other in zip(*(module.parameters() for module in made), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("way", ["deepcopy", "pickle", "save"])
def test_copies_answer_the_same(pair, same, kind, way):
    ours, _ = pair(kind, num_layers=2)
    x = random(5, 2, D)
    if way == "deepcopy":
        copied = copy.deepcopy(ours)
    elif way == "pickle":
        copied = pickle.loads(pickle.dumps(ours))
    else:
        buffer = io.BytesIO()
        torch.save(ours, buffer)
        buffer.seek(0)
        copied = torch.load(buffer, weights_only=False)
    assert type(copied) is type(ours)
    same(copied(x), ours(x), rtol=0, atol=0)
    with torch.no_grad():
        next(ours.parameters()).add_(1)
    assert not torch.equal(copied(x)[0], ours(x)[0])


@pytest.mark.parametrize("kind", PAIRS)
def test_weights_made_of_others_are_seen(pair, same, kind):
    ours, own = pair(kind)
    x = random(5, 2, D)
    before = ours(x)
    normed = [nn.utils.parametrizations.weight_norm(m, "weight_hh_l0") for m in (ours, own)]
    same(normed[0](x), before)
    for module in normed:
        with torch.no_grad():
            module.parametrizations.weight_hh_l0.original0.mul_(2)
    same(normed[0](x), normed[1](x))
    other = {name: value * 2 for name, value in pair(kind)[0].named_parameters()}
    ours, own = pair(kind)
    same(*(torch.func.functional_call(m, other, (x,)) for m in (ours, own)))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    "change", [lambda output: output.mul_(2), lambda output: output[1:].mul_(2)]
)
def test_the_output_may_be_changed_in_place(pair, kind, layers, change):
    ours, own = pair(kind, bidirectional=True, num_layers=layers)
    x = random(5, 2, D)
    changed = own(x)[0]
    change(changed)
    plain = torch.autograd.grad(changed.sum(), list(own.parameters()))
    output = ours(x)[0]
    change(output)
    for one, other in zip(
        torch.autograd.grad(output.sum(), list(ours.parameters())), plain, strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("packed", [True, False])
def test_autocast_gives_torchs_dtype_and_answers(pair, flat, kind, packed):
    ours, own = pair(kind, dtype=torch.float32, bidirectional=True)
    x = random(5, 2, D).float()
    x = pack_padded_sequence(x, [5, 3]) if packed else x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = ours(x), own(x)
    for one, other, exact in zip(flat(found), flat(expected), flat(own(x)), strict=True):
        assert one.dtype == other.dtype
        # Rounded once, from float32: nearer to the exact answer than bfloat16 throughout.
        torch.testing.assert_close(one, exact.to(one.dtype), rtol=0, atol=1e-2)
    flat(found)[0].float().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in ours.parameters())


@pytest.mark.parametrize("kind", PAIRS)
def test_autocast_with_lengths_is_rounded_once(pair, flat, kind, count_native):
    ours, own = pair(kind, dtype=torch.float32, bidirectional=True)
    x = random(5, 2, D).float()
    exact = ours(x, lengths=[5, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16), count_native() as calls:
        found = ours(x, lengths=[5, 3])
        like = own(x)
    assert len(calls) == 1
    for one, other, whole in zip(flat(found), flat(exact), flat(like), strict=True):
        assert one.dtype == whole.dtype
        assert torch.equal(one, other.to(one.dtype))


def test_autocast_takes_input_of_its_dtype(pair):
    ours, own = pair("lstm", dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = nn.Linear(2, D)(torch.ones(5, 2, 2))
        assert x.dtype == torch.bfloat16
        assert ours(x)[0].dtype == own(x)[0].dtype
        assert ours(x, lengths=[5, 2])[0].dtype == torch.bfloat16


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("lengths", [None, [5, 2]])
def test_transforms(pair, kind, lengths):
    ours, own = pair(kind)
    x = random(5, 2, D)
    found = torch.func.grad(lambda x: ours(x, lengths=[5, 5])[0].sin().sum())(x)
    expected = torch.func.grad(lambda x: own(x)[0].sin().sum())(x)
    torch.testing.assert_close(found, expected, **CLOSE)
    found = torch.func.grad(lambda x: ours(x)[0].sin().sum())(x)
    assert torch.equal(found, expected)
    with pytest.raises(RuntimeError, match="Make the mapped axis a part of the batch"):
        torch.vmap(lambda x: ours(x, lengths=lengths)[0])(x.unsqueeze(0))


@pytest.mark.parametrize("reentrant", [True, False])
def test_torchs_checkpoint(pair, reentrant):
    ours, _ = pair("lstm", num_layers=2)
    x = random(5, 2, D).requires_grad_()
    expected = torch.autograd.grad(ours(x)[0].sin().sum(), [x, *ours.parameters()])
    output = checkpoint.checkpoint(lambda x: ours(x)[0], x, use_reentrant=reentrant)
    output.sin().sum().backward()
    found = [x.grad, *(parameter.grad for parameter in ours.parameters())]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_native_engine_runs_them(pair, kind, count_native):
    ours, _ = pair(kind, num_layers=2)
    x = random(5, 2, D)
    with count_native() as calls:
        ours(x)
        ours(x, lengths=[5, 1])
        ours(x[:, 0])
        ours(pack_padded_sequence(x, [5, 2]))
    assert len(calls) == 8  # two layers, four calls
