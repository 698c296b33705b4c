"""`AttentionDecoder` against the reference, its steps against whole targets, and its laws."""

# N steps of all sequences, M symbols of all targets, B sequences, K layers, V symbols

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn import functional

from birnn.engine import isa
from birnn.errors import ConfigError, DataError, DirectionError, LengthError, ShapeError, UsageError
from birnn.nn import AttentionDecoder, BiRNN, Bridge, State
from birnn.ragged import Ragged
from birnn.reference import GATES, StackState, bridge
from birnn.reference import decoder as reference
from grids import sampled

CELLS = sorted(GATES)
ATTENTIONS = ("additive", "dot", "general", "none")
BRIDGES = ("concat", "sum", "mean", "project", "none")
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
TARGETS, SOURCES = [2, 0, 4, 1], [3, 2, 0, 5]
V = 6


def symbols_of(lengths, seed=0):
    numbers = np.random.default_rng(seed).integers(1, V, sum(lengths))
    return Ragged(torch.from_numpy(numbers), np.array(lengths))


def decoder_of(randomised, cell="gru", kind="general", memory_size=4, hidden_size=4, **options):
    return randomised(
        AttentionDecoder(V, 3, hidden_size, memory_size, cell=cell, attention=kind, **options), 1
    )


def state_of(decoder, sequences, seed=2):
    shape = (decoder.spec.num_layers, sequences, decoder.spec.hidden_size)
    random = np.random.default_rng(seed)
    parts = 1 + (decoder.spec.cell == "lstm")
    return State(*(torch.from_numpy(random.uniform(-1, 1, shape)) for _ in range(parts)))


# ---------------------------------------------------------------------- against the reference


# Every cell with every attention, with and without input feeding; bridges and tying in turn.
COMBINATIONS = [
    (cell, kind, feeding, BRIDGES[at % 5], at % 3 == 0)
    for at, (cell, kind, feeding) in enumerate(itertools.product(CELLS, ATTENTIONS, [False, True]))
]


@pytest.mark.parametrize(
    ("cell", "kind", "feeding", "across", "tied"),
    # Every cell with every attention; every cell, and every attention, with and without feeding.
    sampled(COMBINATIONS, [COMBINATIONS[2 * p + (p // 4 + p) % 2] for p in range(16)]),
)
def test_agrees_with_the_reference_forward_and_backward(
    draw, randomised, cell, kind, feeding, across, tied
):
    """From the encoder's rows and final states, over the bridge, to the scores; and back."""
    encoder = randomised(BiRNN(cell, 2, 2, num_layers=2))
    hidden = 2 if across in ("sum", "mean") and kind != "dot" else 4
    across = "project" if across in ("sum", "mean") and kind == "dot" else across
    options = {"num_layers": 2, "input_feeding": feeding, "tied": tied}
    decoder = decoder_of(randomised, cell, kind, hidden_size=hidden, **options)
    passes = randomised(Bridge(encoder.stack, decoder.spec.stack, across), 3)
    read, targets = encoder(draw(SOURCES, 2)), symbols_of(TARGETS)
    memory = read.output.map(lambda rows: rows.detach().requires_grad_())
    final = [part.detach().requires_grad_() for part in read.state.parts]
    found = decoder(targets, memory, passes(State(*final)))
    assert found.lengths.tolist() == [length + 1 for length in TARGETS]

    arrays = {name: value.numpy() for name, value in decoder.state_dict().items()}
    assert {name: value.shape for name, value in arrays.items()} == decoder.spec.shapes()
    across_arrays = {name: value.numpy() for name, value in passes.state_dict().items()}
    ended = StackState(*(part.detach().numpy() for part in final))
    layers = bridge.linear_layers(across_arrays)
    expected, saved = reference.run_saving(
        reference.inputs_of(targets.map(torch.Tensor.numpy)),
        memory.map(lambda rows: rows.detach().numpy()),
        bridge.initial_state(passes.spec, layers, ended),
        arrays,
        decoder.spec,
    )
    np.testing.assert_allclose(found.values.detach().numpy(), expected.logits.values, **CLOSE)

    d_logits = np.random.default_rng(5).standard_normal(expected.logits.values.shape)
    found.values.backward(torch.from_numpy(d_logits))
    d_memory, d_initial, d_arrays = reference.gradients(saved, d_logits)
    d_final, d_across = bridge.gradients(passes.spec, across_arrays, ended, d_initial)
    pairs = [(memory.values, d_memory), *zip(final, d_final.parts, strict=True)]
    pairs += [(decoder.get_parameter(name), d) for name, d in d_arrays.items()]
    pairs += [(passes.get_parameter(name), d) for name, d in d_across.items()]
    for tensor, d in pairs:
        grad = np.zeros_like(d) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(grad, d, **CLOSE)


def test_the_loss_is_the_mean_cross_entropy_of_symbols_and_ends(draw, randomised):
    decoder, targets, memory = decoder_of(randomised), symbols_of(TARGETS), draw(SOURCES, 4)
    logits = decoder(targets, memory)
    answers = [torch.tensor([*target.tolist(), 0]) for target in targets]
    for smoothing in (0.0, 0.2):
        each = [
            functional.cross_entropy(own, right, reduction="sum", label_smoothing=smoothing)
            for own, right in zip(logits, answers, strict=True)
        ]
        found = decoder.loss(targets, memory, label_smoothing=smoothing)
        torch.testing.assert_close(found, sum(each) / logits.lengths.sum())


# ---------------------------------------------------------------------- steps


def stepped(decoder, targets, memory, state):
    """Scores of each target, symbol by symbol, all sequences at a time for as long as they run."""
    inputs = reference.inputs_of(targets.map(torch.Tensor.numpy))
    found = [[] for _ in range(len(targets))]
    running, now = np.arange(len(targets)), decoder.start(state, len(targets))
    for t in range(int(inputs.lengths.max())):
        still = np.flatnonzero(inputs.lengths[running] > t)
        running, now = running[still], now.rows(torch.from_numpy(still))
        symbols = torch.from_numpy(inputs.values[inputs.offsets[running] + t])
        grouping = (inputs.lengths > t).astype(int)
        logits, now, _ = decoder.step(symbols, now, memory, grouping)
        for b, scores in zip(running, logits, strict=True):
            found[b].append(scores)
    return torch.stack([scores for own in found for scores in own])


@pytest.mark.parametrize(
    ("engine", "feeding", "kind"),
    sampled(
        itertools.product(["native", "torch"], [False, True], ATTENTIONS),
        {("native", False, kind) for kind in ATTENTIONS}
        | {("native", True, "additive"), ("torch", False, "general"), ("torch", True, "dot")},
    ),
)
def test_step_after_step_is_the_whole_target(draw, randomised, on_engine, engine, kind, feeding):
    decoder = decoder_of(randomised, "lstm", kind, num_layers=2, input_feeding=feeding)
    targets, memory, state = symbols_of(TARGETS), draw(SOURCES, 4), state_of(decoder, 4)
    with on_engine(engine):
        whole = decoder(targets, memory, state).values
        torch.testing.assert_close(stepped(decoder, targets, memory, state), whole, **CLOSE)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_path_by_steps_is_the_fast_path(draw, randomised, dropout):
    """No draw is below the least number, so that sampling replaces nothing; dropout is the same."""
    rates = dict.fromkeys(("embedding_dropout", "dropout", "output_dropout"), dropout)
    decoder = decoder_of(randomised, "lstm", num_layers=3, **rates)
    targets, memory = symbols_of(TARGETS), draw(SOURCES, 4)
    found = []
    for sampling in (0.0, 5e-324):
        torch.manual_seed(1)
        state = State(*(part.requires_grad_() for part in state_of(decoder, 4).parts))
        decoder.zero_grad()
        logits = decoder(targets, memory, state, sampling=sampling)
        logits.values.square().sum().backward()
        grads = [parameter.grad for parameter in decoder.parameters()]
        found.append([logits.values, *(part.grad for part in state.parts), *grads])
    for fast, by_steps in zip(*found, strict=True):
        torch.testing.assert_close(fast, by_steps, **CLOSE)


def test_hypotheses_of_a_source_are_answered_as_each_alone(draw, randomised):
    decoder = decoder_of(randomised, "lstm", "additive", input_feeding=True)
    memory, grouping = draw([3, 0, 2], 4), [2, 0, 3]
    state = decoder.start(state_of(decoder, 5), 5)
    symbols = torch.tensor([0, 3, 2, 5, 1])
    logits, after, weights = decoder.step(symbols, state, memory, grouping, weights=True)
    each = np.split(weights.detach().numpy(), np.cumsum([3, 3, 2, 2]))
    for row, source in enumerate([0, 0, 2, 2, 2]):
        alone = decoder.step(
            symbols[[row]], state.rows([row]), memory.select([source]), weights=True
        )
        torch.testing.assert_close(logits[[row]], alone.logits, **CLOSE)
        torch.testing.assert_close(after.rows([row]).fed, alone.state.fed, **CLOSE)
        torch.testing.assert_close(after.rows([row]).layers.c, alone.state.layers.c, **CLOSE)
        np.testing.assert_allclose(each[row], alone.weights.detach().numpy(), **CLOSE)
        assert abs(each[row].sum() - 1) < 1e-12


# ---------------------------------------------------------------------- scheduled sampling


@pytest.mark.parametrize("feeding", [False, True])
def test_all_sampled_each_step_reads_the_best_symbol_of_the_step_before(draw, randomised, feeding):
    decoder = decoder_of(randomised, "gru", input_feeding=feeding)
    targets, memory, state = symbols_of(TARGETS), draw(SOURCES, 4), state_of(decoder, 4)
    found = decoder(targets, memory, state, sampling=1.0)
    for b, own in enumerate(found):
        now, symbol = decoder.start(State(state.h[:, [b]]), 1), torch.tensor([0])
        for scores in own:
            logits, now, _ = decoder.step(symbol, now, memory.select([b]))
            torch.testing.assert_close(scores, logits[0], **CLOSE)
            symbol = logits.argmax(dim=1)


def test_sampling_draws_from_torchs_generator_at_its_rate(draw, randomised):
    decoder = decoder_of(randomised)
    decoder.linear.bias.data[5] = 99.0  # the best symbol, always
    targets = Ragged(torch.ones(4000, dtype=torch.int64), np.full(400, 10))
    memory, reads = draw([1] * 400, 4), []
    with mock.patch.object(
        decoder.embedding,
        "forward",
        side_effect=lambda s: reads.append(s) or torch.zeros(len(s), 3).double(),
    ):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            decoder(targets, memory, sampling=0.3)
    runs = [torch.cat(reads[i : i + 11]) for i in (0, 11, 22)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert bool((runs[0][:400] == 0).all())  # the boundary is given
    later = runs[0][400:]
    assert set(later.tolist()) == {1, 5}
    assert abs((later == 5).double().mean() - 0.3) < 5 * (0.3 * 0.7 / 4000) ** 0.5


# ---------------------------------------------------------------------- the native engine


@pytest.mark.usefixtures("native")
def test_without_input_feeding_each_layer_is_one_native_call_forward_and_backward(draw, randomised):
    decoder = decoder_of(randomised, "lstm", num_layers=2)
    targets, memory = symbols_of(TARGETS), draw(SOURCES, 4)
    state = State(*(part.requires_grad_() for part in state_of(decoder, 4).parts))
    module, calls = isa.selected_engine(), []
    for sampling, times in ((0.0, 2), (0.5, 2 * 5)):
        calls.clear()
        with (
            mock.patch.object(module, "layer_forward", spy(module.layer_forward, "f", calls)),
            mock.patch.object(module, "layer_backward", spy(module.layer_backward, "b", calls)),
        ):
            decoder(targets, memory, state, sampling=sampling).values.sum().backward()
        assert calls == ["f"] * times + ["b"] * times
        assert all(bool(part.grad.abs().sum(dim=(0, 2)).all()) for part in state.parts)


@pytest.fixture
def set_threads():
    """Torch's setting of threads, as it was when the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def spy(function, name, calls):
    def called(*arguments):
        calls.append(name)
        return function(*arguments)

    return called


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("kind", "feeding"),
    sampled(
        itertools.product(ATTENTIONS, [False, True]),
        {("additive", False), ("general", True), ("dot", False)},
    ),
)
def test_a_sequence_has_the_same_bits_alone_and_in_any_batch(
    draw, randomised, set_threads, kind, feeding
):
    targets, sources = [7, 0, 4, 14, 1], [9, 4, 0, 11, 1]
    width = 40
    decoder = randomised(
        AttentionDecoder(
            V, 24, 40, width, cell="lstm", attention=kind, num_layers=2, input_feeding=feeding
        )
    ).float()
    symbols = symbols_of(targets)
    memory = draw(sources, width, dtype=torch.float32)
    state = State(*(part.float() for part in state_of(decoder, 5).parts))

    def run(order):
        rows = memory.select(order)
        given = rows.map(lambda values: values.detach().requires_grad_())
        own = State(*(part[:, order].detach().requires_grad_() for part in state.parts))
        logits = decoder(symbols.select(order), given, own)
        logits.values.square().sum().backward()
        d_rows = torch.zeros_like(rows.values) if kind == "none" else given.values.grad
        grads = [rows.with_values(d_rows), *(part.grad for part in own.parts)]
        return logits.map(torch.Tensor.detach), *grads

    whole, d_memory, *d_state = run([0, 1, 2, 3, 4])
    for threads, order in ((1, [3]), (2, [1]), (3, [2]), (1, [4, 3, 2, 1, 0]), (2, [0, 0, 3])):
        set_threads(threads)
        logits, d_rows, *d_own = run(order)
        assert torch.equal(logits.values, whole.select(order).values)
        assert torch.equal(d_rows.values, d_memory.select(order).values)
        for one, other in zip(d_own, d_state, strict=True):
            assert torch.equal(one, other[:, order])


# ---------------------------------------------------------------------- edges


@pytest.mark.parametrize("feeding", [False, True])
def test_no_sequence_and_no_symbol(randomised, feeding):
    decoder = decoder_of(randomised, input_feeding=feeding)
    nothing = Ragged(torch.zeros(0, dtype=torch.int64), np.zeros(0, np.int64))
    memory = Ragged(torch.zeros(0, 4, dtype=torch.float64), np.zeros(0, np.int64))
    assert decoder(nothing, memory).values.shape == (0, V)
    for sampling in (0.0, 0.5):
        # A step of training on nothing: a loss of 0, and nothing to change.
        loss = decoder.loss(nothing, memory, sampling=sampling)
        loss.backward()
        assert loss.item() == 0
        assert not any(parameter.grad.any() for parameter in decoder.parameters())
    empty = np.zeros(2, np.int64)
    found = decoder(Ragged(nothing.values, empty), Ragged(memory.values, empty))
    assert found.lengths.tolist() == [1, 1]
    assert torch.equal(found.values[0], found.values[1])


def test_what_does_not_fit_is_refused(draw, randomised):
    decoder, targets, memory = decoder_of(randomised), symbols_of(TARGETS), draw(SOURCES, 4)
    with pytest.raises(DirectionError, match="a decoder needs one direction"):
        AttentionDecoder(V, 3, 4, 4, bidirectional=True)
    for wrong, error, words in (
        ((targets.map(torch.Tensor.double), memory), ShapeError, "whole numbers"),
        ((targets.to_padded(), memory), ShapeError, "targets are Ragged"),
        ((targets.map(lambda s: s * 0), memory), DataError, "has numbers 1 to 5 in targets"),
        ((targets.map(lambda s: s * 9), memory), DataError, "the model has numbers 1 to 5"),
        ((targets, memory.select([0, 1])), LengthError, "of 4 sequences, memory of 2"),
        ((targets, draw(SOURCES, 5)), ShapeError, "5 wide"),
        ((targets, memory, State(torch.zeros(1, 3, 4).double())), ShapeError, "initial h is"),
        ((targets, memory, torch.zeros(1, 4, 4)), ShapeError, "birnn.nn.State, got Tensor"),
    ):
        with pytest.raises(error, match=words):
            decoder(*wrong)
    for sampling in (-0.1, 1.5, "0.3"):
        with pytest.raises(ConfigError, match="sampling is"):
            decoder(targets, memory, sampling=sampling)
    start, symbols = decoder.start(None, 4), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(LengthError, match="lengths sum to 3"):
        decoder.step(symbols, start, memory, [1, 1, 1, 0])
    with pytest.raises(LengthError, match="of 3 sequences, memory of 4"):
        decoder.step(symbols, start, memory, [2, 1, 1])
    with pytest.raises(ShapeError, match="what start"):
        decoder.step(symbols, start.layers, memory)
    fed = decoder_of(randomised, input_feeding=True)
    with pytest.raises(ShapeError, match="was fed to the step is None, expected"):
        fed.step(symbols, start, memory)
    noisy = decoder_of(randomised, output_dropout=0.5)
    with pytest.raises(UsageError, match=r"Call eval\(\) first"):
        noisy.step(symbols, start, memory)
