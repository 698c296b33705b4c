"""Information flow: how much each state would change if each input did.

The influence of step s on the state h_t is the Frobenius norm of the Jacobian ``d h_t / d x_s``,
over all units of the state and all components of the input row. It is read off the gradients of
the engine that runs: a batch holds one copy of the sequence for each unit, and the gradient of the
sum over the copies, copy j giving unit j, is the whole Jacobian.
"""

# T steps, N rows of all copies, J copies, H units, W width of an input row

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from birnn.errors import ConfigError
from birnn.explain.gates import activations, memory_cells
from birnn.explain.inspected import (
    BATCH_ROWS,
    Array,
    Halves,
    InspectedModel,
    Model,
    Rows,
    differentiating,
)
from birnn.explain.reading import Reading
from birnn.nn import State
from birnn.ragged import Lengths, Ragged

Direction = Literal["forward", "backward", "combined"]
Read = Callable[[Halves], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Context:
    """Steps away within which a share of the influence lies; None where there is no such half."""

    forward: int
    backward: int | None
    combined: int


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Influence of every input on every state, [t, s] that of step s on the state at step t.

    Args:
        forward: Of the forward half, (T, T); NaN where a window left it out.
        backward: Of the backward half; None with one direction.
        combined: Of the merged output.
        layer: Number of the layer.
        window: Steps away that were looked at; None for all.
        probes: Random probes of the estimate; None where the norms are exact.
    """

    forward: Array
    backward: Array | None
    combined: Array
    layer: int
    window: int | None
    probes: int | None

    def matrix(self, direction: Direction) -> Array | None:
        """The matrix of a direction."""
        found: Array | None = getattr(self, direction)
        return found

    def of_state(self, position: int) -> dict[str, Array]:
        """Influence of each input on what stands at one step, (T,): what that step knows.

        Args:
            position: The step, from 0 on.

        Returns:
            ``forward``, ``backward`` where there are two directions, and ``combined``.

        Raises:
            ConfigError: A step that the sequence does not have.
        """
        steps = len(self.forward)
        if not 0 <= position < steps:
            raise ConfigError(f"position is {position}, the sequence has steps 0 to {steps - 1}")
        found = {way: self.matrix(way) for way in get_args(Direction)}
        return {way: matrix[position] for way, matrix in found.items() if matrix is not None}

    def by_distance(self, direction: Direction) -> Array:
        """As `by_distance` of this sequence alone."""
        return by_distance([self], direction)

    def context(self, share: float = 0.9) -> Context:
        """Effective context length of each direction, as `context_length` of this sequence."""
        return Context(
            context_length(self.by_distance("forward"), share),
            None if self.backward is None else context_length(self.by_distance("backward"), share),
            context_length(self.by_distance("combined"), share),
        )


@differentiating()
def flow(
    model: Model | Reading,
    sequence: Any = None,
    *,
    layer: int = -1,
    window: int | None = None,
    probes: int | None = None,
    seed: int = 0,
) -> Flow:
    """Influence of each input row on each state of a layer.

    Of the first layer the forward half's matrix is lower triangular and the backward half's upper
    triangular, to exact zeros: a state knows nothing of steps that its half has not read. Both
    halves of a layer above read merged rows, which know the whole sequence: their matrices are
    full.

    Exact norms cost as many copies of the sequence as there are states and units. For a long text
    ``window`` and ``probes`` bound that: with both, the cost grows with the text's length alone.

    Args:
        model: As for `Reading.of`.
        sequence: As ``predict`` takes one; of a `BiRNN` an array (T, W); of a reading its own.
        layer: Which layer; the last by default.
        window: Look at inputs at most so many steps from a state. The states are those of the
            whole sequence. What is counted are the paths inside the window: for one layer these
            are all, in a stack some lead out of it and back.
        probes: Estimate each norm from so many random signs v: the mean of ``|v^T J|^2`` is
            ``|J|^2`` in expectation, with a standard error of at most ``sqrt(2 / probes)`` of it.
            None for exact norms.
        seed: Of the random signs.

    Raises:
        ConfigError: A window below 0, probes below 1, or a layer that the model does not have.
        DataError: A sequence that the model cannot read, or one without steps.

    Source:
        The estimate: Hutchinson 1990, A stochastic estimator of the trace of the influence matrix.

    Example:
        >>> from birnn.nn import BiRNN
        >>> found = flow(BiRNN("gru", 3, 4), np.eye(3))
        >>> (found.forward > 0).astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
        >>> (found.backward > 0).astype(int).tolist()
        [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    """
    _whole("window", window, 0)
    _whole("probes", probes, 1)
    reading = Reading.of(model, sequence)
    inspected = reading.model
    top = inspected.layer(layer)
    stack = inspected.stack
    random = np.random.default_rng(seed)
    windows = Windows.of(reading, top, window)

    def squares(read: Read, width: int) -> list[Array]:
        return _squares(inspected, windows, top, read, width, probes, random)

    found = squares(lambda halves: [half.values for half in halves.parts], stack.hidden_size)
    if stack.adds_input(top) or (stack.directions_of(top) == 2 and stack.merge != "concat"):
        width = stack.layer_output_size(top)
        [merged] = squares(lambda halves: [inspected.merge(halves, layer=top)[0].values], width)
    else:
        # Side by side the halves share no unit, so the squares of their norms add up.
        merged = np.sum(found, axis=0)
    roots = [np.sqrt(square) for square in (*found, merged)]
    backward = roots[1] if stack.directions_of(top) == 2 else None
    return Flow(roots[0], backward, roots[-1], top, window, probes)


def affordable(model: Model, steps: int, *, rows: int = 1 << 18) -> dict[str, int | None]:
    """Settings of `flow` that bound its cost, as exact as that allows.

    Args:
        model: As for `InspectedModel.of`.
        steps: Length of the sequence.
        rows: Rows of all copies together; the default takes seconds for 200 units.

    Returns:
        ``window`` and ``probes``: both None where the exact norms cost no more; probes alone, 16
        to 64 of them, where these do not; else 8 probes, and the widest window for them.

    Example:
        >>> from birnn.nn import BiRNN
        >>> encoder = BiRNN("gru", 3, 100)
        >>> affordable(encoder, 20), affordable(encoder, 1000)
        ({'window': None, 'probes': None}, {'window': 15, 'probes': 8})
    """
    units = InspectedModel.of(model).stack.hidden_size
    if steps * steps * units <= rows:
        return {"window": None, "probes": None}
    if (probes := rows // (steps * steps)) >= 16:
        return {"window": None, "probes": min(probes, 64)}
    copies = min(8, units)  # of so few units all are looked at
    window = max(1, (rows // (copies * steps) - 1) // 2)
    return {"window": window, "probes": copies if copies < units else None}


def by_distance(flows: Sequence[Flow], direction: Direction) -> Array:
    """Mean influence of the steps at each distance from a state.

    At distance d it is the mean of ``[t, t - d]`` over the states that have so many steps before
    them, plus the mean of ``[t, t + d]`` over those that have so many after them: states near an
    end do not count as knowing nothing of what is not there.

    Args:
        flows: Of one model, of as many sequences as there are.
        direction: Which half, or the merged output.

    Returns:
        (longest length,), or (window + 1,) where that is shorter.

    Raises:
        ConfigError: No flow at all, or a direction that the model does not have.

    Example:
        >>> one = np.tril(np.ones((3, 3)))
        >>> by_distance([Flow(one, None, one, 0, None, None)], "forward").tolist()
        [1.0, 1.0, 1.0]
    """
    matrices = [matrix for one in flows if (matrix := one.matrix(direction)) is not None]
    if not matrices:
        raise ConfigError(f"there is no flow of direction {direction!r}. Give one that has it.")
    distances = max(
        len(matrix) if one.window is None else min(len(matrix), one.window + 1)
        for one, matrix in zip(flows, matrices, strict=True)
    )
    means = np.zeros(distances)
    for distance in range(distances):
        for side in {distance, -distance}:
            each = np.concatenate([matrix.diagonal(side) for matrix in matrices])
            known = each[~np.isnan(each)]
            means[distance] += known.mean() if known.size else 0.0
    return means


def context_length(influence: Array, share: float = 0.9) -> int:
    """The smallest number of steps away within which a share of the influence lies.

    Args:
        influence: Influence by distance, as `by_distance` gives it.
        share: Share of its sum, above 0 and at most 1.

    Returns:
        0 where the state's own input has that share, and where there is no influence at all.

    Raises:
        ConfigError: A share that is none.

    Example:
        >>> context_length(np.array([4.0, 3.0, 2.0, 1.0]), share=0.9)
        2
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share is {share}, it must be above 0 and at most 1")
    reached = np.cumsum(influence)
    return int(np.searchsorted(reached, share * reached[-1]))


# ---------------------------------------------------------------------- windows


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """For each state the window of the sequence that is looked at, and how it is entered.

    Args:
        rows: The sequence, (T, W).
        start: First step of the window around each state, (T,).
        stop: The step after its last, (T,).
        entries: For each layer and each part of its state (h, and c of an LSTM) what each
            direction hands on at each step, (directions, T, H); nothing where every window is
            the whole sequence.
    """

    rows: Tensor
    start: Lengths
    stop: Lengths
    entries: list[list[Tensor]]

    @classmethod
    def of(cls, reading: Reading, top: int, window: int | None) -> Windows:
        """The windows of ``window`` steps to either side; all of the sequence where it is None."""
        inspected, steps, at = reading.model, reading.steps, np.arange(reading.steps)
        reach = steps if window is None else window
        start, stop = np.maximum(at - reach, 0), np.minimum(at + reach + 1, steps)
        entries: list[list[Tensor]] = []
        if (stop - start < steps).any():
            with torch.no_grad():
                for layer, halves in enumerate(reading.layers[: top + 1]):
                    parts = [[half.values for half in halves.parts]]
                    if inspected.stack.cell == "lstm":
                        parts.append(memory_cells(activations(inspected.encoder, layer, halves)))
                    entries.append([torch.stack(part) for part in parts])
        return cls(reading.rows.values, start, stop, entries)

    def take(self, states: Lengths) -> tuple[Rows, State | None]:
        """The windows around these states, one for each, and all layers' states at their ends."""
        start, stop = self.start[states], self.stop[states]
        lengths = stop - start
        step = np.arange(int(lengths.sum())) - np.repeat(
            np.cumsum(lengths) - lengths - start, lengths
        )
        cut = Ragged(self.rows[torch.from_numpy(step).to(self.rows.device)], lengths)
        if not self.entries:
            return cut, None
        parts = [[self._entered(part, start, stop) for part in own] for own in self.entries]
        return cut, State(*map(torch.cat, zip(*parts, strict=True)))

    def _entered(self, part: Tensor, start: Lengths, stop: Lengths) -> Tensor:
        """State before the window's first step of each direction, (directions, J, H)."""
        steps = part.shape[1]
        found = []
        for own, step, outside in (
            (part[0], start - 1, start == 0),
            (part[-1], np.minimum(stop, steps - 1), stop == steps),
        )[: part.shape[0]]:
            entered = own[torch.from_numpy(step).to(own.device)]
            beyond = torch.from_numpy(outside).to(own.device).unsqueeze(1)
            found.append(entered.masked_fill(beyond, 0))
        return torch.stack(found)


# ---------------------------------------------------------------------- gradients


def _squares(
    inspected: InspectedModel,
    windows: Windows,
    top: int,
    read: Read,
    width: int,
    probes: int | None,
    random: np.random.Generator,
) -> list[Array]:
    """Squared influence of each step on each state, (T, T), for each tensor that is read."""
    steps = windows.rows.shape[0]
    copies = width if probes is None else probes
    found: list[Array] = []
    for state, unit in _jobs(windows, copies):
        cut, initial = windows.take(state)
        signs = None if probes is None else random.choice([-1.0, 1.0], size=(len(state), width))
        at = torch.from_numpy(cut.offsets[:-1] + state - windows.start[state])
        step = cut.step_of_row + np.repeat(windows.start[state], cut.lengths)
        leaf = cut.values.requires_grad_()
        tensors = read(inspected.run(cut.with_values(leaf), layer=top, initial=initial))
        for number, tensor in enumerate(tensors):
            seeds_NH = torch.zeros_like(tensor)
            if signs is None:
                seeds_NH[at, torch.from_numpy(unit)] = 1
            else:
                seeds_NH[at] = torch.from_numpy(signs).to(tensor)
            [d_NW] = torch.autograd.grad(
                tensor, leaf, seeds_NH, retain_graph=number + 1 < len(tensors)
            )
            if number == len(found):
                found.append(np.zeros((steps, steps)))
            norms_N = d_NW.double().square().sum(dim=1).cpu().numpy()
            np.add.at(found[number], (np.repeat(state, cut.lengths), step), norms_N)
    step = np.arange(steps)
    outside = (step < windows.start[:, None]) | (step >= windows.stop[:, None])
    for square in found:
        square[outside] = np.nan
    return [square / (1 if probes is None else probes) for square in found]


def _jobs(windows: Windows, copies: int) -> Iterator[tuple[Lengths, Lengths]]:
    """State and number of each copy, in pieces that fit into memory."""
    steps = windows.rows.shape[0]
    state, unit = np.repeat(np.arange(steps), copies), np.tile(np.arange(copies), steps)
    rows = np.cumsum((windows.stop - windows.start)[state])
    first = 0
    while first < len(state):
        before = int(rows[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(rows, before + BATCH_ROWS, side="right")))
        yield state[first:stop], unit[first:stop]
        first = stop


def _whole(name: str, value: int | None, least: int) -> None:
    if value is not None and (not isinstance(value, int) or value < least):
        raise ConfigError(f"{name} is {value!r}, it must be a whole number from {least} on")
