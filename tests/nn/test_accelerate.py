"""`accelerate` and `decelerate` on models that were not made for them."""

from __future__ import annotations

import copy
import os
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import birnn
from birnn.engine import isa
from birnn.errors import UsageError
from birnn.nn import GRU, LSTM, RNN, Swapped, accelerate, decelerate

OURS = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


class Model(nn.Module):
    """Layers in every place that a model may have them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.encoder = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True, dropout=0.3)
        self.stack = nn.ModuleList([nn.GRU(8, 4, batch_first=True), nn.RNN(4, 4, batch_first=True)])
        self.shared = self.stack[0]
        self.cell = nn.LSTMCell(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, ids):
        x, _ = self.encoder(self.embedding(ids))
        packed = pack_padded_sequence(x, [5, 3], batch_first=True)
        _, h = self.shared(packed)
        y, _ = self.stack[1](h)
        return self.head(y)


IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]])


def recurrent(model):
    return {name: type(m) for name, m in model.named_modules() if isinstance(m, tuple(OURS))}


def test_every_layer_is_swapped_and_answers_as_before(count_native):
    model = Model().eval()
    before = model(IDS)
    report = accelerate(model)
    assert report.swapped == ("encoder", "stack.0", "stack.1")
    assert list(report.skipped) == ["cell"]
    assert recurrent(model) == {"encoder": LSTM, "stack.0": GRU, "stack.1": RNN}
    assert model.shared is model.stack[0]
    with count_native() as calls:
        torch.testing.assert_close(model(IDS), before)
    assert calls == ["lstm", "lstm", "gru", "rnn_tanh"]
    undone = decelerate(model)
    assert undone.swapped == report.swapped
    assert recurrent(model) == {"encoder": nn.LSTM, "stack.0": nn.GRU, "stack.1": nn.RNN}
    with count_native() as calls:
        assert torch.equal(model(IDS), before)
    assert not calls


@pytest.mark.parametrize("own", OURS)
def test_a_model_that_is_such_a_layer(own):
    layer = own(3, 4)
    x = torch.randn(5, 2, 3)
    before = layer(x)[0]
    assert accelerate(layer).swapped == ("",)
    assert type(layer) is OURS[own]
    torch.testing.assert_close(layer(x)[0], before)
    assert layer(x, lengths=[5, 1])[0][1:, 1].any().item() is False
    assert decelerate(layer).swapped == ("",)
    assert type(layer) is own


def test_the_layer_stays_the_object_it_was():
    model = Model()
    layer, heard = model.encoder, []
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    layer.register_forward_hook(lambda *_: heard.append("forward"))
    layer.register_full_backward_hook(lambda *_: heard.append("backward"))
    layer.weight_hh_l0.register_hook(lambda grad: heard.append("weight"))
    layer.note = "mine"
    layer.weight_ih_l0.requires_grad_(False)
    model.eval()
    accelerate(model)
    assert model.encoder is layer
    assert layer.note == "mine"
    assert not layer.training
    model.train()
    assert {n: id(p) for n, p in model.named_parameters()} == {
        n: id(p) for n, p in parameters.items()
    }
    before = {name: p.detach().clone() for name, p in parameters.items()}
    model(IDS).sum().backward()
    optimizer.step()
    assert set(heard) == {"forward", "backward", "weight"}
    assert layer.weight_ih_l0.grad is None
    changed = {n for n, p in parameters.items() if not torch.equal(p, before[n])}
    assert {"encoder.weight_hh_l0", "encoder.bias_ih_l1_reverse", "stack.0.weight_ih_l0"} <= changed
    assert "encoder.weight_ih_l0" not in changed


def test_state_dicts_go_either_way():
    plain, fast = Model().eval(), Model().eval()
    accelerate(fast)
    fast.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fast(IDS), plain(IDS))
    plain.load_state_dict(copy.deepcopy(fast).state_dict())


def test_training_takes_the_same_steps():
    models = [Model().double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    accelerate(models[1])
    for model in models:
        model.encoder.dropout = 0.0
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            model(IDS).square().sum().backward()
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


def test_the_report_lists_all_of_them(native):
    model = nn.ModuleDict(
        {
            "projected": nn.LSTM(3, 4, proj_size=2),
            "swapped": nn.LSTM(3, 4),
            "narrow": nn.GRU(3, 4, dtype=torch.bfloat16),
            "other": nn.Linear(3, 4),
        }
    )
    report = accelerate(model)
    assert report.swapped == ("swapped",)
    assert recurrent(model) == {"projected": nn.LSTM, "swapped": LSTM, "narrow": GRU}
    assert str(report) == (
        f"1 recurrent layer put on birnn's engine ({isa.active().name})\n"
        "  swapped\n"
        "1 recurrent layer swapped as well, to run otherwise for now\n"
        "  narrow: its weights are torch.bfloat16, which torch runs. float() makes them float32\n"
        "1 recurrent layer left as before\n"
        "  projected: it has a projection, which torch runs"
    )
    assert decelerate(model).swapped == ("swapped", "narrow")
    assert str(accelerate(nn.LSTM(3, 4))).endswith(")\n  (the model)")


@pytest.mark.parametrize("place", ["layer", "model"])
@torch.no_grad()
def test_a_compiled_model_takes_the_new_layer(place, count_native):
    model = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4)).eval()
    if place == "layer":
        model[1] = torch.compile(model[1], backend="eager")
    called = torch.compile(model, backend="eager") if place == "model" else model
    x = torch.randn(5, 2, 3)
    before = called(x)[0]
    assert accelerate(called).swapped == ("1._orig_mod" if place == "layer" else "_orig_mod.1",)
    with count_native() as calls:
        torch.testing.assert_close(called(x)[0], before)
    assert calls == ["gru"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_torchscript_is_told_the_remedy(precision):
    model = nn.Sequential(nn.LSTM(3, 4)).eval()
    accelerate(model, precision)
    with pytest.raises(UsageError, match=r"TorchScript .* birnn\.decelerate\(model\)"):
        torch.jit.script(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_decelerate_makes_way_for_torchscript():
    model = nn.Sequential(LSTM(3, 4))
    assert decelerate(model).swapped == ("0",)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(torch.jit.script(model)(x), model(x))


def test_a_model_without_such_layers_is_left_alone():
    assert accelerate(nn.Linear(2, 2)) == Swapped((), {}, mock.ANY)


def test_what_cannot_be_undone_is_told_with_the_reason():
    replaced = LSTM(3, 4)
    replaced.forward = lambda x: x
    parametrized = nn.utils.parametrizations.weight_norm(LSTM(3, 4), "weight_hh_l0")
    model = nn.ModuleDict(
        {
            "own": nn.GRU(3, 4),
            "replaced": replaced,
            "normed": parametrized,
            "cell": nn.GRUCell(3, 4),
        }
    )
    report = decelerate(model)
    assert report.swapped == ()
    assert {name: why[:25] for name, why in report.skipped.items()} == {
        "own": "it is a torch GRU already",
        "replaced": "its forward was replaced",
        "normed": "its weight_hh_l0 is param",
    }


@pytest.mark.parametrize("swap", [accelerate, decelerate])
def test_only_modules_are_taken(swap):
    with pytest.raises(UsageError, match=r"expected a torch\.nn\.Module, got dict"):
        swap({})


def test_the_report_is_no_model():
    report = accelerate(Model())
    with pytest.raises(UsageError, match="They change the model in place: call the model itself"):
        report(IDS)


def test_the_report_names_the_engine_that_runs():
    with mock.patch.dict(os.environ, {isa.FORCE: isa.REFERENCE}):
        engine = birnn.accelerate(Model()).engine
    assert engine == "torch's engine, since birnn's does not run: BIRNN_ISA is reference"
    assert birnn.decelerate(Model()).engine == "torch's engine"
