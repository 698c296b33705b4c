"""Every kind of recurrent module that `accelerate` leaves alone is named, with its reason."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from birnn.nn import LSTM, BiRNN, accelerate, decelerate
from birnn.nn.left_alone import KINDS


class Scaled(nn.LSTM):
    """Somebody's subclass, with a forward of its own."""

    def forward(self, x):
        return super().forward(2 * x)


class ByName(nn.Module):
    """Somebody's layer, whose weights have torch's names."""

    def __init__(self):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4, 3))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x):
        return x @ self.weight_ih_l0.T


class PeepholeLSTM(nn.Module):
    """Somebody's layer, made of others."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(7, 16)


class LongShortTermMemory(PeepholeLSTM):
    """Another name for one."""


class GRUDropout(nn.Module):
    """No layer: it has no weights."""


def replaced():
    layer = nn.LSTM(3, 4)
    layer.forward = lambda x: x
    return layer


def quantised(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(layer))[0]


def prepared():
    from torch.ao.nn import quantizable

    return quantizable.LSTM(3, 4, 2)


def scripted(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(layer)


def traced(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(layer, torch.zeros(2, 1, 3))


def exported():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(nn.Sequential(nn.GRU(3, 4)), (torch.zeros(2, 1, 3),))
    return program.module().get_submodule("0")


def normed(layer, name="weight_hh_l0"):
    return nn.utils.parametrizations.weight_norm(layer, name)


DYNAMIC = "torch has quantised it (torch.ao.nn.quantized.dynamic). Swap in the model before that"
PREPARED = "torch has quantised it (torch.ao.nn.quantizable). Swap in the model before that"
COMPILED = "it is compiled by TorchScript. Swap before torch.jit.script or trace"
PARAMETRIZED = (
    "its weight_hh_l0 is parametrized. torch.nn.utils.parametrize.remove_parametrizations makes it "
    "a weight again"
)
STEPS = (
    "it takes one step at a time ({}), in a loop of the model's own. An nn.LSTM, GRU or RNN over "
    "whole sequences would be swapped"
)
BY_NAME = "it is of a class of its own, {}, with weights of its own (weight_ih_l0, weight_hh_l0)"

LEFT_ALONE = {
    "dynamic LSTM": (lambda: quantised(nn.LSTM(3, 4)), DYNAMIC),
    "dynamic GRU": (lambda: quantised(nn.GRU(3, 4)), DYNAMIC),
    "dynamic LSTMCell": (lambda: quantised(nn.LSTMCell(3, 4)), DYNAMIC),
    "quantizable LSTM": (prepared, PREPARED),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), STEPS.format("LSTMCell")),
    "GRUCell": (lambda: nn.GRUCell(3, 4), STEPS.format("GRUCell")),
    "RNNCell": (lambda: nn.RNNCell(3, 4), STEPS.format("RNNCell")),
    "projection": (
        lambda: nn.LSTM(3, 4, proj_size=2),
        "it has a projection, which torch runs",
    ),
    "script": (lambda: scripted(nn.LSTM(3, 4)), COMPILED),
    "script of a cell": (lambda: scripted(nn.GRUCell(3, 4)), COMPILED),
    "trace": (lambda: traced(nn.GRU(3, 4)), COMPILED),
    "script by name": (lambda: scripted(ByName()), COMPILED),
    "subclass": (lambda: Scaled(3, 4), "it is of a class of its own, Scaled"),
    "by its weights": (ByName, BY_NAME.format("ByName")),
    "of an exported program": (exported, BY_NAME.format("Module")),
    "by its class": (PeepholeLSTM, "it is of a class of its own, PeepholeLSTM"),
    "by its class, spelled out": (
        LongShortTermMemory,
        "it is of a class of its own, LongShortTermMemory",
    ),
    "script by class": (
        lambda: scripted(PeepholeLSTM()),
        "it is of a class of its own, PeepholeLSTM",
    ),
    "replaced": (replaced, "its forward was replaced"),
    "ours": (lambda: LSTM(3, 4), "it is a birnn LSTM already"),
    "BiRNN": (lambda: BiRNN("gru", 3, 4), "it is a birnn BiRNN already"),
    "normed": (lambda: normed(nn.GRU(3, 4)), PARAMETRIZED),
    "normed cell": (
        lambda: normed(nn.LSTMCell(3, 4), "weight_hh"),
        PARAMETRIZED.replace("_l0", ""),
    ),
}


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_it_is_named_with_its_reason_and_stays_what_it_is(kind):
    build, why = LEFT_ALONE[kind]
    layer = build()
    before = type(layer)
    model = nn.ModuleDict({"first": nn.ModuleDict({"layer": layer}), "again": layer})
    report = accelerate(model)
    assert (report.swapped, report.otherwise) == ((), {})
    assert report.skipped == {"first.layer": why}
    assert type(layer) is before
    assert accelerate(layer).skipped == {"": why}


def test_every_row_of_the_table_is_tried():
    layers = [build() for build, _ in LEFT_ALONE.values()]
    assert all(any(is_it(layer) for layer in layers) for is_it, _ in KINDS)


def test_what_is_around_layers_or_no_layer_is_not_named():
    class GRUTagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.GRU = nn.GRU(3, 4)
            self.own = PeepholeLSTM()
            self.dropout = GRUDropout()
            self.head = nn.Linear(4, 2)

    report = accelerate(GRUTagger())
    assert report.swapped == ("GRU",)
    assert list(report.skipped) == ["own"]


def test_layers_that_torch_does_not_know_to_be_parts_are_named():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.known = nn.LSTM(3, 4)
            self.layers = [self.known, nn.Sequential(nn.GRU(3, 4)), nn.Linear(3, 4)]
            self.cells = {"up": (nn.GRUCell(3, 4), PeepholeLSTM())}
            self.itself = [self, [self.layers]]  # a loop
            object.__setattr__(self, "lent", nn.RNN(3, 4))
            self.words = dict.fromkeys(range(3000), "word")

    model = nn.Sequential(Tagger())
    hidden = model[0].layers[1][0]
    report = accelerate(model)
    assert report.swapped == ("0.known",)
    why = "torch does not know it as a part of the model. nn.ModuleList or ModuleDict makes it one"
    names = ["0.layers[1].0", "0.cells['up'][0]", "0.cells['up'][1]", "0.lent"]
    assert report.skipped == dict.fromkeys(names, why)
    assert type(hidden) is nn.GRU
    assert decelerate(model).skipped == {}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"device": "meta"}, "its weights are on meta, where torch runs it"),
        (
            {"dtype": torch.float16},
            "its weights are torch.float16, which torch runs. float() makes them float32",
        ),
    ],
)
def test_what_torch_runs_for_now_is_swapped_and_told(options, why):
    layer = nn.LSTM(3, 4, **options)
    report = accelerate(layer)
    assert (report.swapped, report.skipped) == ((), {})
    assert report.otherwise == {"": why}
    assert type(layer) is LSTM
