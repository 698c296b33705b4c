"""The training step: its schedule, its optimiser, its batches, its averages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from birnn.data import Example
from birnn.errors import TrainingError
from birnn.models import build
from birnn.training.averaging import Average
from birnn.training.datamodule import DataModule
from birnn.training.module import DevBatch, TrainingModule
from birnn.training.prepare import prepare


@pytest.fixture
def module_of(tiny, tags_ahead):
    """``module_of(steps=..., **settings)``: a training module on the toy problem."""

    def make(steps=100, **changes):
        examples = tags_ahead(20)
        recipe = tiny(**changes)
        prepared = prepare("tagger", examples, examples, recipe)
        return TrainingModule(
            build(prepared.spec, labels=prepared.labels),
            recipe.training,
            steps=steps,
            seed=1,
            labels=prepared.labels,
            scorer=prepared.new_scorer,
            monitor=prepared.monitor,
        )

    return make


def rates(module):
    """Learning rate at every step of the run, and one step beyond."""
    made = module.configure_optimizers()
    optimiser, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    found = []
    for _ in range(module.steps + 1):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return np.array(found)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("final", [0.0, 0.02, 1.0])
def test_the_rate_warms_up_and_decays_in_lines(module_of, warmup, final):
    module = module_of(
        training__warmup=warmup, training__final_rate=final, training__learning_rate=0.5
    )
    found = rates(module)
    top = round(100 * warmup)
    assert found.max() == found[top] == 0.5
    assert (found[:100] > 0).all()
    np.testing.assert_allclose(np.diff(found[1 : top + 1], n=2), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(found[top:], n=2), 0, atol=1e-12)
    np.testing.assert_allclose(found[-1], 0.5 * final, atol=1e-12)


def test_the_rate_falls_as_half_a_cosine(module_of):
    settings = {"training__warmup": 0.1, "training__learning_rate": 0.5}
    line = rates(module_of(training__final_rate=0.02, **settings))
    made = rates(module_of(training__schedule="cosine", training__final_rate=0.02, **settings))
    np.testing.assert_allclose(made[:11], line[:11])
    angles = np.pi * np.arange(91) / 90
    expected = 0.5 * (0.02 + 0.98 * (1 + np.cos(angles)) / 2)
    np.testing.assert_allclose(made[10:], expected, atol=1e-12)


def test_a_run_of_one_step_learns(module_of):
    assert rates(module_of(steps=1, training__warmup=0.5))[0] > 0


def test_a_rate_beyond_the_plan_stays_at_the_end(module_of):
    module = module_of(training__final_rate=0.1)
    assert module._rate(500) == pytest.approx(0.1)


def test_only_matrices_decay(module_of):
    module = module_of(training__weight_decay=0.3)
    decays = {}
    for group in module.configure_optimizers()["optimizer"].param_groups:
        decays |= {id(parameter): group["weight_decay"] for parameter in group["params"]}
    for name, parameter in module.network.named_parameters():
        assert decays.pop(id(parameter)) == (0.3 if parameter.ndim > 1 else 0.0), name
    assert not decays


def test_every_epoch_draws_its_own_batches_and_every_seed_its_own(tiny, tags_ahead):
    examples = tags_ahead(40)
    recipe = tiny()
    prepared = prepare("tagger", examples, examples, recipe)

    def epochs(seed):
        data = DataModule(prepared, recipe.training, seed=seed)
        return [[group.tolist() for group in data.groups(epoch)] for epoch in (0, 1)]

    first, second = epochs(1)
    for groups in (first, second):
        assert sorted(i for group in groups for i in group) == list(range(40))
        for group in groups:
            rows = int(prepared.train.lengths[group].sum())
            assert rows <= recipe.training.batch_tokens
            assert len(group) <= recipe.training.batch_sequences
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


def test_the_average_is_the_stated_recurrence():
    model = nn.BatchNorm1d(2)  # which has buffers too
    average = Average(model, 0.3)
    expected = None
    for count, value in enumerate((1, 5, -3, 7, 2)):
        nn.init.constant_(model.weight, value)
        model.running_mean.fill_(value)
        average.update_parameters(model)
        decay = min(0.3, (1 + count) / (10 + count)) if count else 0
        expected = value if expected is None else decay * expected + (1 - decay) * value
        torch.testing.assert_close(average.module.weight, torch.full((2,), float(expected)))
        assert average.module.running_mean.tolist() == [value, value]
        assert int(average.n_averaged) == count + 1


def test_the_average_is_torchs_of_the_same_decay():
    model = nn.Linear(3, 4)
    own, torchs = Average(model, 0.9), AveragedModel(model, avg_fn=torch_average)
    for _ in range(40):
        nn.init.normal_(model.weight)
        for average in (own, torchs):
            average.update_parameters(model)
    torch.testing.assert_close(own.state_dict(), torchs.state_dict())
    assert torch.equal(own.module.bias, model.bias)


def torch_average(average, current, count):
    """A step of torch's `AveragedModel`."""
    decay = min(0.9, (1 + int(count)) / (10 + int(count)))
    return decay * average + (1 - decay) * current


@pytest.mark.parametrize("count", [4, 400])
def test_the_likelihood_weighs_more_on_a_small_dev_set(tiny, count):
    examples = [Example(("a", "b"), "x"), Example(("b",), "y")] * (count // 2)
    prepared = prepare("classifier", examples, examples, tiny("classifier"))
    network = build(prepared.spec, labels=prepared.labels).eval()
    module = TrainingModule(
        network,
        tiny("classifier").training,
        steps=1,
        seed=1,
        labels=prepared.labels,
        scorer=prepared.new_scorer,
        monitor=prepared.monitor,
    )
    logged = {}
    module.log = lambda name, value, **_: logged.update({name: value})
    module.on_validation_epoch_start()
    with torch.no_grad():
        batch = prepared.dev.batch(range(count))
        module.validation_step(DevBatch(batch, [e.target for e in examples]), 0)
        chances = network(batch).scores.softmax(dim=1)
    module.on_validation_epoch_end()
    targets = torch.from_numpy(batch.targets)
    likelihood = -chances[torch.arange(count), targets].log().mean().item()
    accuracy = (chances.argmax(dim=1) == targets).float().mean().item()
    assert logged["dev_accuracy"] == pytest.approx(accuracy)
    expected = accuracy - 2 * likelihood / count**0.5
    assert logged["selection"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("times", [0.5, 1 - 1e-7, 1.0, 3.0])
def test_gradients_are_clipped_to_the_last_bit_as_torch_does(module_of, times):
    module = module_of()
    optimiser = module.configure_optimizers()["optimizer"]
    generator = torch.Generator().manual_seed(0)
    own = [p for group in optimiser.param_groups for p in group["params"]]
    for parameter in own:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    limit = 2.0
    factor = times * limit / float(torch.nn.utils.get_total_norm([p.grad for p in own]))
    drawn = [p.grad.mul_(factor).clone() for p in own]
    module.configure_gradient_clipping(optimiser, limit, None)
    ours = [p.grad.clone() for p in own]
    for parameter, gradient in zip(own, drawn, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(own, limit)
    for parameter, gradient in zip(own, ours, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=0, atol=0, equal_nan=True)
    changed = any(not torch.equal(one, other) for one, other in zip(ours, drawn, strict=True))
    assert changed == (not times < 0.9)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_ends_training(module_of, value):
    module = module_of()
    optimiser = module.configure_optimizers()["optimizer"]
    own = [p for group in optimiser.param_groups for p in group["params"]]
    for parameter in own:
        parameter.grad = torch.ones_like(parameter)
    own[0].grad[0] = value
    with pytest.raises(TrainingError, match=f"the gradient's norm is {value}"):
        module.configure_gradient_clipping(optimiser, 2.0, None)


def test_without_a_limit_nothing_is_clipped(module_of):
    module = module_of()
    optimiser = module.configure_optimizers()["optimizer"]
    own = [p for group in optimiser.param_groups for p in group["params"]]
    for parameter in own:
        parameter.grad = torch.full_like(parameter, 1e6)
    module.configure_gradient_clipping(optimiser, None, None)
    assert all(bool((p.grad == 1e6).all()) for p in own)
