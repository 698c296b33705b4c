"""The costs of directions: counted against torch, the reference and what autograd holds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from birnn.bundle.conventions import CONVENTIONS, layers_to
from birnn.engine import isa
from birnn.errors import ConfigError, EngineError
from birnn.nn import BiRNN
from birnn.ragged import Ragged
from birnn.reference import MERGES
from birnn.reference import cells as reference_cells
from birnn.reference import run as run_reference
from birnn.reference.stack import MERGE_WIDTH, CellName, Stack
from birnn.report.figures import cost_bars
from birnn.studies.bench import Case, LayerKind, Shape
from birnn.studies.cost import cost, count, measure, memory, run, write
from birnn.studies.cost.measure import BatchSize, LayerRun

CELLS: tuple[CellName, ...] = ("rnn_tanh", "rnn_relu", "lstm", "gru")
TORCH = {
    "rnn_tanh": torch.nn.RNN,
    "rnn_relu": torch.nn.RNN,
    "lstm": torch.nn.LSTM,
    "gru": torch.nn.GRU,
}
STACKS = [
    *(Stack(cell, 5, 6, num_layers=2) for cell in CELLS),
    *(Stack(cell, 7, 4, bidirectional=False) for cell in CELLS),
    *(Stack("gru", 5, 6, num_layers=3, merge=merge) for merge in MERGE_WIDTH),
    *(Stack("lstm", 3, 20, merge=merge) for merge in MERGE_WIDTH),
    *(
        Stack("gru", 5, 6, num_layers=3, merge=merge, directions=directions)
        for merge in MERGE_WIDTH
        for directions in (("both", "both", "forward"), ("forward", "both", "both"))
    ),
    Stack("lstm", 3, 5, num_layers=2, merge="project", merge_size=10),
    Stack("gru", 3, 5, num_layers=2, merge="project", merge_size=7, directions=("both", "forward")),
]

native = pytest.mark.skipif(
    isa.active().name == isa.REFERENCE, reason="what is kept is known of the native engine alone"
)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_parameters_are_those_of_torchs_module(
    cell: CellName, layers: int, bidirectional: bool
) -> None:
    module = TORCH[cell](5, 6, num_layers=layers, bidirectional=bidirectional)
    sizes = {name: part.numel() for name, part in module.named_parameters()}
    found = count.parameters(Stack(cell, 5, 6, num_layers=layers, bidirectional=bidirectional))
    assert found.two_bias == sum(sizes.values())
    assert found.one_bias == sum(n for name, n in sizes.items() if "bias_hh" not in name)


@pytest.mark.parametrize("stack", STACKS)
def test_parameters_are_those_that_the_stack_has_and_each_framework_gets(stack: Stack) -> None:
    arrays = {name: np.zeros(shape) for name, shape in stack.shapes().items()}
    merging = sum(array.size for name, array in arrays.items() if name.startswith("merge"))
    found = count.parameters(stack)
    assert found.two_bias == sum(array.size for array in arrays.values())
    assert set(found.frameworks) == set(CONVENTIONS)
    for framework, size in found.frameworks.items():
        layers = layers_to(framework, stack, arrays)
        parts = [array for layer in layers for half in layer.halves for array in half.values()]
        assert size == sum(array.size for array in parts) + merging


def test_the_sizes_that_are_quoted_everywhere() -> None:
    entries = cost("lstm", 100, 256, measure=False).entries
    found = [(entry.parameters.one_bias, entry.parameters.two_bias) for entry in entries]
    assert found == [(365_568, 366_592), (731_136, 733_184), (234_496, 235_520)]


class Counting(np.ndarray):
    """An array whose operations are counted, and those of all that is made from it."""

    done = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(part) for part in inputs]
        out = options.pop("out", None)
        found = getattr(ufunc, method)(*plain, **options)
        steps = 2 * plain[0].shape[-1] if ufunc is np.matmul else 1
        Counting.done += steps * found.size
        if out is None:
            return found.view(Counting)
        np.asarray(out[0])[...] = found
        return out[0]


def counted(stack: Stack, steps: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Operations of the reference over one sequence."""

    def sigmoid(x: Any) -> Any:
        Counting.done += x.size
        return x.copy()

    merge = MERGES[stack.merge]

    def merging(forward: Any, backward: Any, projection: Any) -> Any:
        return merge.forward(forward.view(Counting), backward, projection)

    monkeypatch.setattr(reference_cells, "sigmoid", sigmoid)
    monkeypatch.setitem(MERGES, stack.merge, replace(merge, forward=merging))
    parameters = {name: np.ones(shape).view(Counting) for name, shape in stack.shapes().items()}
    Counting.done = 0
    run_reference(Ragged(np.ones((steps, stack.input_size)), np.array([steps])), parameters, stack)
    return Counting.done


@pytest.mark.parametrize("stack", STACKS)
def test_operations_are_those_that_the_reference_does(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The difference of two lengths: final states are merged once for each sequence.
    one_step = counted(stack, 3, monkeypatch) - counted(stack, 2, monkeypatch)
    assert count.flops(stack).total == one_step


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_products_are_those_that_the_bench_counts(cell: CellName, directions: int) -> None:
    # The difference of two lengths: before its first step a sequence has no state to multiply.
    one, two = (
        Case(Shape(1, 5, 6, n), LayerKind("", cell, directions, ragged=False)) for n in (1, 2)
    )
    found = count.flops(Stack(cell, 5, 6, bidirectional=directions == 2))
    assert found.products == two.flops("forward") - one.flops("forward")
    assert found.training == two.flops("forward+backward") - one.flops("forward+backward")


@native
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("stack", STACKS, ids=repr)
def test_what_training_keeps_is_what_autograd_holds(stack: Stack, checkpoint: bool) -> None:
    lengths = np.array([4, 1, 6])
    model = BiRNN.from_stack(stack, checkpoint=checkpoint)
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter) and tensor.is_floating_point():
            held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    x = torch.randn(int(lengths.sum()), stack.input_size, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(Ragged(x, lengths))
    weights = {part.untyped_storage().data_ptr() for part in model.parameters()}
    size = sum(t.untyped_storage().nbytes() for at, t in held.items() if at not in weights)
    found = count.memory(stack, len(lengths), x.shape[0])
    assert size == (found.checkpoint if checkpoint else found.training)
    assert found.weights == sum(part.nbytes for part in model.parameters())
    del out


@pytest.mark.parametrize("stack", STACKS, ids=repr)
def test_inference_holds_what_its_widest_layer_reads_and_writes(stack: Stack) -> None:
    rows, batch = 9, 3
    states, widest, width = 0, 0, stack.input_size
    for number in range(stack.num_layers):
        layer = Stack(
            stack.cell,
            width,
            stack.hidden_size,
            bidirectional=stack.directions_of(number) == 2,
            merge=stack.merge,
            merge_size=stack.merge_size,
        )
        x = torch.randn(rows, width)
        with torch.inference_mode():
            out = BiRNN.from_stack(layer)(Ragged(x, np.array([4, 0, 5])))
        parts = [part for part in (out.state.h, out.state.c) if part is not None]
        states += sum(part.nbytes for part in parts)
        live = {
            part.values.untyped_storage().data_ptr(): part.values.untyped_storage().nbytes()
            for part in (out.output, out.forward, out.backward)
            if part is not None
        }
        widest = max(widest, x.nbytes + sum(live.values()))
        width = layer.output_size
    found = count.memory(stack, batch, rows)
    # One layer's rows at a time, the widest's; the layers differ in what they read alone.
    assert found.inference == widest + states


def test_two_directions_are_twice_one_and_half_width_is_as_wide_as_one() -> None:
    found = cost("gru", 12, 8, cells=("lstm", "gru"), measure=False)
    assert found.cells == ("gru", "lstm")
    for cell in found.cells:
        one, both, half = (found.entry(reader, cell) for reader in ("forward", "both", "half"))
        assert both.parameters.one_bias == 2 * one.parameters.one_bias
        assert both.flops.total == 2 * one.flops.total
        assert half.stack.output_size == one.stack.output_size
        bars = found.bars(cell)
        assert [bars[entry.reader]["parameters"] for entry in (one, both, half)] == [
            entry.parameters.two_bias for entry in (one, both, half)
        ]


def test_layers_may_have_directions_of_their_own() -> None:
    found = cost("gru", 5, 6, num_layers=2, directions=["both", "forward"], measure=False)
    mixed, one, half = (found.entry(reader) for reader in ("both", "forward", "half"))
    assert mixed.stack == Stack("gru", 5, 6, num_layers=2, directions=("both", "forward"))
    assert one.stack == Stack("gru", 5, 6, num_layers=2, bidirectional=False)
    assert half.stack == replace(mixed.stack, hidden_size=3)
    assert [entry["directions"] for entry in found.to_dict()["entries"]] == [1, [2, 1], [2, 1]]
    assert found.tables()[0].rows[1][:2] == ("gru, two directions", "(2, 1) x 6")
    assert cost_bars(found.bars()).axes
    with pytest.raises(ConfigError, match="num_layers is 3, directions has 2 entries"):
        cost("gru", 5, 6, num_layers=3, directions=["both", "forward"], measure=False)


def test_half_of_an_odd_width_is_rounded_down() -> None:
    half = cost("lstm", 3, 7, measure=False).entry("half")
    assert (half.stack.hidden_size, half.stack.output_size) == (3, 6)


def test_counting_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was only to be counted")

    monkeypatch.setattr(run, "measured", never)
    found = cost("lstm", 100_000, 500_000, batch=100_000, length=100_000, measure=False)
    assert (found.rounds, found.threads, len(found.tables())) == (0, 0, 2)
    assert all(entry.measured is None for entry in found.entries)


@pytest.mark.slow
@native
def test_peaks_hold_what_the_equations_say_is_kept() -> None:
    stack, batch = Stack("lstm", 64, 128), BatchSize(16, 200)
    counted = count.memory(stack, batch.sequences, batch.rows)
    found = measure._peaks(stack, batch, threads=1)
    assert counted.training is not None
    given = 4 * batch.rows * stack.input_size  # the batch was there before
    gradients = counted.weights + given
    scratch = 2**22  # of the engine, about, in pages of 2 MiB
    needed = counted.training - given + gradients
    assert needed < found["training"] < 1.5 * needed + scratch
    written = 4 * batch.rows * stack.output_size
    assert written < found["forward"] < written + scratch


def test_measured_times_and_memory_follow_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # here: a process takes seconds to start
    monkeypatch.setattr(measure, "_peaks", lambda stack, batch, threads: memory.peaks(stack, batch))
    before = torch.get_num_threads()
    told: list[str] = []
    found = cost("lstm", 8, 16, batch=4, length=20, rounds=2, threads=1, tell=told.append)
    assert torch.get_num_threads() == before
    assert (found.threads, found.rounds) == (1, 2)
    for entry in found.entries:
        of = entry.measured
        assert of is not None
        assert math.isclose(of.forward_tokens_per_second * of.forward_seconds, found.rows)
        assert math.isclose(of.training_tokens_per_second * of.training_seconds, found.rows)
        assert min(of.forward_seconds, of.training_seconds) > 0
        assert of.training_peak >= of.forward_peak
    assert sorted(found.bars()) == ["both", "forward", "half"]
    assert len(cost_bars(found.bars()).axes) == len(found.bars()["both"])
    assert any("memory" in line for line in told)
    assert any("round 2 of 2" in line for line in told)
    plain = found.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["entries"][1]["measured"]["forward_seconds"] > 0
    for table in found.tables():
        assert len(table.rows) == len(found.entries)


def test_a_measuring_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match=r"status 1.*measure=False"):
        cost("lstm", 3, 4, batch=1, length=1, rounds=1)


def test_peaks_are_those_of_the_passes() -> None:
    stack, batch = Stack("lstm", 8, 8), BatchSize(2, 3)
    found = memory.peaks(stack, batch)
    assert found["training"] >= found["forward"] >= 0


def test_the_work_is_a_whole_step() -> None:
    work = LayerRun(Stack("gru", 4, 6, merge="project"), BatchSize(3, 5))
    d_x, *d_weights = work.train()
    assert d_x.shape == work.x.values.shape
    sizes = [tuple(part.shape) for part in work.model.parameters()]
    assert [tuple(part.shape) for part in d_weights] == sizes
    assert all(part.abs().sum() > 0 for part in d_weights)
    assert not work.forward().requires_grad


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell": "lsmt"}, "cell is 'lsmt': did you mean lstm"),
        ({"cells": ("gruu",)}, "did you mean gru"),
        ({"merge": "conc"}, "merge is 'conc'"),
        ({"input_size": 0}, "input_size is 0"),
        ({"hidden_size": -1}, "hidden_size is -1"),
        ({"hidden_size": 1}, "hidden_size is 1, and half of it"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"length": 10**9}, "length is 1000000000"),
        ({"length": 2.5}, "length is 2.5"),
        ({"rounds": 0}, "rounds is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"batch": 10**6, "length": 10**6}, "measuring needs .* bytes .*measure=False"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"cell": "lstm", "input_size": 3, "hidden_size": 4} | change
    with pytest.raises(ConfigError, match=words):
        cost(
            arguments.pop("cell"),
            arguments.pop("input_size"),
            arguments.pop("hidden_size"),
            **arguments,
        )


def test_the_refusal_names_the_bytes_that_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "free_memory", lambda: 1000)
    with pytest.raises(ConfigError, match=r"measuring needs ([\d,]+) bytes") as caught:
        cost("lstm", 100, 256, batch=2, length=10)
    needed = int(str(caught.value).split(" bytes")[0].split()[-1].replace(",", ""))
    entries = cost("lstm", 100, 256, batch=2, length=10, measure=False).entries
    assert needed > sum(entry.bytes.weights for entry in entries)


def test_the_page_has_a_figure_for_each_cell(tmp_path: Path) -> None:
    found = cost("lstm", 100, 256, cells=("gru",), measure=False)
    text = write(tmp_path / "cost.html", found).read_text("utf-8")
    assert text.count("<svg") == len(found.cells)
    for entry in found.entries:
        assert f"{entry.parameters.one_bias:,}" in text


def test_an_entry_that_is_not_there_is_named() -> None:
    found = cost("lstm", 3, 4, measure=False)
    with pytest.raises(ConfigError, match="no entry gru both"):
        found.entry("both", "gru")
