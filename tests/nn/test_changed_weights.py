"""A weight that is changed between two calls is what the second call computes with.

No layer may keep what it made of its weights before, whatever way they change by: each way is tried
on each layer, with and without gradients, on each engine, after calls that would have kept it.
"""

# B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from birnn.nn import GRU, LSTM, RNN, BiRNN, accelerate

D, H = 3, 4
NAMES = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0_reverse"]


def birnn_of(cell):
    return lambda: BiRNN(cell, D, H, num_layers=2)


def swapped(kind):
    def build():
        module = kind(D, H, bidirectional=True, batch_first=True)
        accelerate(module)
        return module

    return build


def module_of(kind, **options):
    return lambda: kind(D, H, bidirectional=True, batch_first=True, **options)


LAYERS = {
    "BiRNN lstm": birnn_of("lstm"),
    "BiRNN gru": birnn_of("gru"),
    "BiRNN rnn_tanh": birnn_of("rnn_tanh"),
    "LSTM": module_of(LSTM),
    "GRU": module_of(GRU),
    "RNN": module_of(RNN),
    "LSTM without biases": module_of(LSTM, bias=False),
    "accelerated LSTM": swapped(nn.LSTM),
}


class Shifted(nn.Module):
    def forward(self, weight):
        return weight + 0.25


def data_of(name, module):
    return getattr(module, name).data


def in_place(module, name):
    with torch.no_grad():
        getattr(module, name).add_(0.25)


def by_index(module, name):
    with torch.no_grad():
        getattr(module, name)[0] += 0.5


def by_data(module, name):
    data_of(name, module).mul_(-1.5)


def by_numpy(module, name):
    data_of(name, module).numpy()[...] *= -1.5


def by_copy(module, name):
    with torch.no_grad():
        getattr(module, name).copy_(torch.full_like(getattr(module, name), 0.3))


def by_other_data(module, name):
    getattr(module, name).data = data_of(name, module) - 0.5


def by_set(module, name):
    with torch.no_grad():
        getattr(module, name).set_(data_of(name, module) - 0.5)


def by_another_parameter(module, name):
    setattr(module, name, nn.Parameter(data_of(name, module) + 0.25))


def by_register(module, name):
    old = data_of(name, module)
    delattr(module, name)
    module.register_parameter(name, nn.Parameter(old * 2))


def by_optimizer(module, name):
    weight = getattr(module, name)
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], lr=0.5).step()
    weight.grad = None


def by_fused_optimizer(module, name):
    weight = getattr(module, name)
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], lr=0.5, fused=True).step()
    weight.grad = None


def by_optimizer_of_old(module, name):
    class ThroughData(torch.optim.Optimizer):
        def step(self):
            for weight in self.param_groups[0]["params"]:
                weight.data += 0.25

    ThroughData([getattr(module, name)], {}).step()


def by_foreach(module, name):
    with torch.no_grad():
        torch._foreach_add_([getattr(module, name)], 0.25)


def by_state(module, name):
    state = {key: part.clone() for key, part in module.state_dict().items()}
    state[name] += 0.25
    module.load_state_dict(state)


def by_assigned_state(module, name):
    state = {key: part.clone() for key, part in module.state_dict().items()}
    state[name] += 0.25
    module.load_state_dict(state, assign=True)


def by_swapped_tensors(module, name):
    other = nn.Parameter(data_of(name, module) + 0.25)
    torch.utils.swap_tensors(getattr(module, name), other)


def by_init(module, name):
    nn.init.constant_(getattr(module, name), 0.125)


def by_dtype(module, name):
    module.double()
    in_place(module, name)
    module.float()


def by_apply(module, name):
    module._apply(lambda part: part * 1.25)


def by_vector(module, name):
    vector = nn.utils.parameters_to_vector(module.parameters())
    nn.utils.vector_to_parameters(vector.detach() * 1.25, module.parameters())


def by_parametrization(module, name):
    parametrize.register_parametrization(module, name, Shifted())


def by_a_changed_parametrization(module, name):
    parametrize.register_parametrization(module, name, Shifted())
    called(module)
    with torch.no_grad():
        module.parametrizations[name].original.add_(0.5)


def by_weight_norm(module, name):
    if getattr(module, name).ndim < 2:
        return in_place(module, name)
    parametrizations.weight_norm(module, name)
    called(module)
    with torch.no_grad():
        module.parametrizations[name].original0.mul_(1.5)
    return None


def by_pruning(module, name):
    prune.random_unstructured(module, name, amount=0.9)


def by_a_view(module, name):
    view = getattr(module, name).detach().view(-1)
    called(module)
    view[0] += 0.75


def by_sharing(module, name):
    shared = torch.zeros_like(data_of(name, module)).share_memory_()
    getattr(module, name).data = shared
    called(module)
    shared.fill_(0.2)


def by_copying_the_module(module, name):
    other = copy.deepcopy(module)
    in_place(other, name)
    called(other)
    in_place(module, name)
    by_index(module, name)


def by_inference_mode(module, name):
    with torch.inference_mode():
        called(module)
    in_place(module, name)


def by_resetting(module, name):
    module.reset_parameters()


WAYS = {
    name: way for name, way in list(globals().items()) if name.startswith("by_") or way is in_place
}


def scattered(module):
    draw = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data.uniform_(-0.7, 0.7, generator=draw)
    return module


def called(module, dtype=torch.float32):
    x = torch.linspace(-1, 1, 2 * 5 * D, dtype=dtype).view(2, 5, D)
    answer = module(x)
    return answer[0] if isinstance(answer, tuple) else answer.output


def as_a_new_one_answers(module, build):
    """What a new layer with the weights that this one has now gives, in float64."""
    fresh = build().double()
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            parameter.copy_(getattr(module, name))
    return called(fresh, torch.float64).float()


TRIED = [
    (engine, layer, way)
    for engine, layers in (("native", LAYERS), ("torch", ("BiRNN lstm", "GRU")))
    for layer in layers
    for way in WAYS
    # Torch's own modules keep weak references, and such tensors torch does not swap.
    if WAYS[way] is not by_swapped_tensors or not isinstance(LAYERS[layer](), nn.RNNBase)
]


@pytest.mark.parametrize(("engine", "layer", "way"), TRIED)
def test_the_next_call_has_the_weights_that_are_there_now(on_engine, engine, layer, way):
    build = LAYERS[layer]
    names = [name for name in NAMES if hasattr(build(), name)]
    name = names[list(WAYS).index(way) % len(names)]
    with on_engine(engine):
        for grad in (True, False):
            module = scattered(build())
            with torch.set_grad_enabled(grad):
                before = called(module).detach(), called(module).detach()
            assert torch.equal(*before)
            WAYS[way](module, name)
            with torch.set_grad_enabled(grad):
                after = called(module)
            expected = as_a_new_one_answers(module, build)
            torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-5)
            assert not torch.allclose(after, before[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layer", ["BiRNN lstm", "GRU"])
def test_a_weight_that_is_lent_for_a_call_is_used_in_it_alone(layer):
    module = LAYERS[layer]()
    before = called(module)
    others = {name: part + 0.25 for name, part in module.named_parameters()}
    x = torch.linspace(-1, 1, 2 * 5 * D).view(2, 5, D)
    lent = torch.func.functional_call(module, others, (x,))
    lent = lent[0] if isinstance(lent, tuple) else lent.output
    assert not torch.allclose(lent, before, atol=1e-3)
    assert torch.equal(called(module), before)
