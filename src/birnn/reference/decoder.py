"""The attention decoder: one symbol after another, from what the encoder said of the source.

```
x_t = E[y_t]                        with input feeding: x_t = [E[y_t]; a_{t-1}], a_0 = 0
h_t = layers(x_t)                   recurrent, of one direction, begun in the bridge's states
k_t = attention(h_t, rows)          a mean of the encoder's rows, weighed by h_t
a_t = tanh(W_c [k_t; h_t] + b_c)    without attention: tanh(W_c h_t + b_c)
z_t = W_o a_t + b_o                 scores of the symbol that follows y_t; tied: W_o = E
```

y_1 is the boundary symbol, number 0, which begins every target as an input and ends it as an
answer: a target of T symbols is T+1 steps. Everything here goes sequence by sequence and step by
step, the gradient beside it; nothing is clever.
"""

# N steps of all sequences, M rows of the encoder, B sequences, S encoder rows of one of them,
# K layers, D width of a symbol's vector, H hidden units, C width of a, W width of an encoder's row,
# V symbols

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from birnn.ragged import Ragged
from birnn.reference import attention
from birnn.reference.bidirectional import (
    Gradients,
    Parameters,
    StackState,
    direction_names,
    direction_weights,
)
from birnn.reference.cells import CELLS, Array, Arrays
from birnn.reference.decoder_spec import BOUNDARY, DecoderSpec
from birnn.reference.scan import Weights


def inputs_of(targets: Ragged[Array]) -> Ragged[Array]:
    """What the decoder reads where it is to answer these targets: the boundary, then each symbol.

    Args:
        targets: Numbers of the symbols, (M,), without the boundary.

    Returns:
        (M + B,).

    Example:
        >>> inputs_of(Ragged(np.array([3, 1]), np.array([2, 0]))).values.tolist()
        [0, 3, 1, 0]
    """
    return _with_boundary(targets, targets.offsets[:-1])


def answers_of(targets: Ragged[Array]) -> Ragged[Array]:
    """What each step is to answer: each symbol, then the boundary.

    Example:
        >>> answers_of(Ragged(np.array([3, 1]), np.array([2, 0]))).values.tolist()
        [3, 1, 0, 0]
    """
    return _with_boundary(targets, targets.offsets[1:])


def _with_boundary(targets: Ragged[Array], places: Array) -> Ragged[Array]:
    return Ragged(np.insert(targets.values, places, BOUNDARY), targets.lengths + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a run of the decoder gives.

    Args:
        logits: Scores of the symbols that may follow each one that was read, (N, V).
        weights: Attention weights of each sequence, (steps, S); without attention S is 0.
        state: State after the last step, (K, B, H).
    """

    logits: Ragged[Array]
    weights: list[Array]
    state: StackState


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of one sequence, and what its gradient needs; rows are (1, ...)."""

    symbol: int
    reads: list[Array]  # what each layer read
    before: list[Arrays]  # state of each layer before the step
    after: list[Arrays]
    saved: list[Arrays]  # what the cells saved
    beside: Array  # [context; h]
    weights: Array  # (1, S)
    combined: Array
    logits: Array


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What a run saves for `gradients`: the steps of each sequence."""

    spec: DecoderSpec
    parameters: Parameters
    memory: Ragged[Array]
    steps: list[list[Step]]


def run(
    symbols: Ragged[Array],
    memory: Ragged[Array],
    initial: StackState,
    parameters: Parameters,
    spec: DecoderSpec,
) -> Decoded:
    """Run the decoder over symbols that are given.

    Args:
        symbols: Numbers of the symbols that it reads, (N,), as `inputs_of` makes them.
        memory: Rows of the encoder, (M, W), of the same sequences.
        initial: State before the first step, (K, B, H), as the bridge gives it.
        parameters: Arrays by the names of ``spec.shapes()``.
        spec: Settings of the decoder.

    Returns:
        Scores of the symbols that follow, and what they came from.

    Example:
        >>> spec = DecoderSpec(4, 2, 3, 5, cell="gru")
        >>> parameters = {name: np.zeros(shape) for name, shape in spec.shapes().items()}
        >>> symbols = inputs_of(Ragged(np.array([3, 1]), np.array([2, 0])))
        >>> memory = Ragged(np.ones((4, 5)), np.array([4, 0]))
        >>> initial = StackState(np.zeros((1, 2, 3)))
        >>> found = run(symbols, memory, initial, parameters, spec)
        >>> found.logits.values.shape, found.weights[0][0].tolist()
        ((4, 4), [0.25, 0.25, 0.25, 0.25])
    """
    return run_saving(symbols, memory, initial, parameters, spec)[0]


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def run_saving(
    symbols: Ragged[Array],
    memory: Ragged[Array],
    initial: StackState,
    parameters: Parameters,
    spec: DecoderSpec,
) -> tuple[Decoded, Saved]:
    """As `run`, with the same arguments; also returns what `gradients` needs."""
    every: list[list[Step]] = []
    final = StackState(*(part.copy() for part in initial.parts))
    for b, (numbers, rows_SW) in enumerate(zip(symbols, memory, strict=True)):
        states = [tuple(part[k, b : b + 1] for part in initial.parts) for k in range(len(final.h))]
        fed_1C = np.zeros((1, spec.combined_size))
        every.append([])
        for number in numbers.tolist():
            step = _step(spec, parameters, number, states, fed_1C, rows_SW)
            states, fed_1C = step.after, step.combined
            every[-1].append(step)
        _put(final, b, states)
    logits_NV = [step.logits for steps in every for step in steps]
    none = [np.zeros((0, len(rows) if spec.context_size else 0)) for rows in memory]
    weights = [
        np.concatenate([nothing, *(step.weights for step in steps)])
        for nothing, steps in zip(none, every, strict=True)
    ]
    logits = symbols.with_values(np.concatenate([np.zeros((0, spec.size)), *logits_NV]))
    return Decoded(logits, weights, final), Saved(spec, parameters, memory, every)


def _step(
    spec: DecoderSpec,
    parameters: Parameters,
    symbol: int,
    states: list[Arrays],
    fed_1C: Array,
    rows_SW: Array,
) -> Step:
    """One step of one sequence."""
    read = parameters["embedding.weight"][symbol][None]
    if spec.input_feeding:
        read = np.concatenate([read, fed_1C], axis=1)
    reads, after, saved = [], [], []
    for state, weights in zip(states, _layers(spec, parameters), strict=True):
        reads.append(read)
        input_1G = read @ weights.weight_ih.T + weights.bias_ih
        recurrent_1G = state[0] @ weights.weight_hh.T + weights.bias_hh
        changed, needed = CELLS[spec.cell].forward(input_1G, recurrent_1G, state)
        after.append(changed)
        saved.append(needed)
        read = changed[0]
    beside, weights_1S = read, np.zeros((1, 0))
    if spec.context_size:
        own = _below(parameters, "attention.")
        found = attention.run(spec.attention, own, _one(read), _one(rows_SW))
        beside = np.concatenate([found.contexts, read], axis=1)
        weights_1S = found.weights[None]
    combined_1C = np.tanh(beside @ parameters["combine.weight"].T + parameters["combine.bias"])
    weight_VC = parameters[spec.output_weight]
    logits_1V = combined_1C @ weight_VC.T + parameters["linear.bias"]
    return Step(symbol, reads, states, after, saved, beside, weights_1S, combined_1C, logits_1V)


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def gradients(
    saved: Saved, d_logits_NV: Array, d_state: StackState | None = None
) -> tuple[Array, StackState, Gradients]:
    """Backward through time of `run_saving`.

    Args:
        saved: What the run saved.
        d_logits_NV: Gradient of a loss with respect to the scores, (N, V).
        d_state: The same with respect to the state after the last step; None for none.

    Returns:
        The loss's gradients with respect to the encoder's rows (M, W), the initial state, and
        each parameter by its name.
    """
    spec = saved.spec
    d_memory_MW = np.zeros_like(saved.memory.values)
    d_parameters: Gradients = {name: np.zeros(shape) for name, shape in spec.shapes().items()}
    if d_state is None:
        d_state = StackState.zeros(spec.stack, len(saved.steps), d_logits_NV.dtype)
    d_initial = StackState(*(part.copy() for part in d_state.parts))
    stops = np.cumsum([len(steps) for steps in saved.steps])
    for b, (steps, stop) in enumerate(zip(saved.steps, stops.tolist(), strict=True)):
        here = slice(saved.memory.offsets[b], saved.memory.offsets[b + 1])
        layers = range(spec.num_layers)
        d_states = [tuple(part[k, b : b + 1] for part in d_state.parts) for k in layers]
        d_fed_1C = np.zeros((1, spec.combined_size))
        for back, step in enumerate(reversed(steps), 1):
            d_logits_1V = d_logits_NV[stop - back : stop - back + 1]
            d_states, d_fed_1C, d_rows_SW = _step_backward(
                saved,
                step,
                saved.memory.values[here],
                d_logits_1V,
                d_states,
                d_fed_1C,
                d_parameters,
            )
            d_memory_MW[here] += d_rows_SW
        _put(d_initial, b, d_states)
    return d_memory_MW, d_initial, d_parameters


def _step_backward(
    saved: Saved,
    step: Step,
    rows_SW: Array,
    d_logits_1V: Array,
    d_states: list[Arrays],
    d_fed_1C: Array,
    d_parameters: Gradients,
) -> tuple[list[Arrays], Array, Array]:
    """Backward of `_step`; adds to the parameters' gradients.

    Returns:
        Gradients of the states before the step, of what was fed, and of the encoder's rows (S, W).
    """
    spec, parameters = saved.spec, saved.parameters
    hidden = spec.hidden_size
    output = spec.output_weight
    d_parameters[output] += d_logits_1V.T @ step.combined
    d_parameters["linear.bias"] += d_logits_1V[0]
    d_combined_1C = d_logits_1V @ parameters[output] + d_fed_1C
    d_sum_1C = d_combined_1C * (1 - step.combined * step.combined)
    d_parameters["combine.weight"] += d_sum_1C.T @ step.beside
    d_parameters["combine.bias"] += d_sum_1C[0]
    d_beside = d_sum_1C @ parameters["combine.weight"]
    d_context_1W, d_read = d_beside[:, :-hidden], d_beside[:, -hidden:]
    d_rows_SW = np.zeros_like(rows_SW)
    if spec.context_size:
        own, h_1H = _below(parameters, "attention."), step.after[-1][0]
        found = attention.gradients(spec.attention, own, _one(h_1H), _one(rows_SW), d_context_1W)
        d_read, d_rows_SW = d_read + found.queries, found.memory
        for name, d in found.parameters.items():
            d_parameters[f"attention.{name}"] += d
    before = list(d_states)
    for k, weights in reversed(list(enumerate(_layers(spec, parameters)))):
        d_h_1H, *d_rest = d_states[k]
        d_input_1G, d_recurrent_1G, d_past = CELLS[spec.cell].backward(
            (d_h_1H + d_read, *d_rest), step.saved[k]
        )
        d_weights = Weights(
            d_input_1G.T @ step.reads[k],
            d_recurrent_1G.T @ step.before[k][0],
            d_input_1G[0],
            d_recurrent_1G[0],
        )
        for name, d in zip(direction_names(k, ""), d_weights, strict=True):
            d_parameters[f"decoder.{name}"] += d
        before[k] = (d_past[0] + d_recurrent_1G @ weights.weight_hh, *d_past[1:])
        d_read = d_input_1G @ weights.weight_ih
    d_parameters["embedding.weight"][step.symbol] += d_read[0, : spec.dim]
    d_fed_1C = d_read[:, spec.dim :] if spec.input_feeding else np.zeros_like(d_fed_1C)
    return before, d_fed_1C, d_rows_SW


def _layers(spec: DecoderSpec, parameters: Parameters) -> Iterator[Weights]:
    """Parameters of each recurrent layer."""
    own = _below(parameters, "decoder.")
    return (direction_weights(own, k, "") for k in range(spec.num_layers))


def _below(parameters: Parameters, prefix: str) -> Mapping[str, Array]:
    """The parameters whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def _one(rows: Array) -> Ragged[Array]:
    """Rows as a batch of one sequence."""
    return Ragged(rows, np.array([rows.shape[0]]))


def _put(whole: StackState, sequence: int, states: list[Arrays]) -> None:
    """Write the states of one sequence's layers among those of all."""
    for k, state in enumerate(states):
        for part, own in zip(whole.parts, state, strict=True):
            part[k, sequence] = own[0]
