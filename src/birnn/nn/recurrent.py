"""`RNN`, `LSTM` and `GRU`: torch.nn's modules on the native engine, and with lengths.

They are torch's own in name, arguments, parameters, `isinstance`, and answers. What the native
engine does not run (other devices and dtypes, a projection, arguments that do not fit) goes to
torch's own forward, which runs it or says in its words what is wrong.
"""

# R rows with padding, B sequences, T steps, D inputs, H hidden units, L layers times directions

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from birnn.engine import isa
from birnn.errors import ShapeError, UsageError
from birnn.nn._engine.call import WeightTensors
from birnn.nn._engine.low_precision import LowPrecision, in_precision, precision_repr, refuse_graphs
from birnn.nn._engine.ops import (
    may_run_native,
    parameters_of,
    run_stack,
    runs_on,
    without_vmap,
)
from birnn.nn._engine.private_torch import autocasts
from birnn.nn._engine.tensor_layout import TensorLayout, as_lengths
from birnn.reference.stack import CellName

TorchForward = Callable[[Any, Any], Any]
"""torch's forward of the module: input and hx to output and final states."""


class _OnEngine(nn.RNNBase):
    """What birnn's subclasses of torch's layers share."""

    _low_precision: LowPrecision | None = None

    def extra_repr(self) -> str:
        """The settings."""
        return super().extra_repr() + precision_repr(self)

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse `torch.jit.script`, which asks this of each module that it compiles."""
        raise UsageError(
            f"TorchScript compiles torch's own layers, got birnn's {type(self).__name__}. "
            "Call birnn.decelerate(model) first, which makes the layers torch's again."
        )


class RNN(_OnEngine, nn.RNN):
    """``torch.nn.RNN`` on the native engine, and with lengths; see `LSTM`.

    Example:
        >>> output, h = RNN(4, 8, nonlinearity="relu")(torch.randn(5, 2, 4), lengths=[5, 3])
        >>> bool(output[3:, 1].any())
        False
    """

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch's name
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
    ) -> tuple[Any, Tensor]:
        """As `LSTM.forward`, with one state."""
        output, states = _forward(self, super().forward, input, hx, lengths)
        return output, states


class GRU(_OnEngine, nn.GRU):
    """``torch.nn.GRU`` on the native engine, and with lengths; see `LSTM`.

    Example:
        >>> output, h = GRU(4, 8, batch_first=True)(torch.randn(2, 5, 4), lengths=[5, 3])
        >>> bool((output[1, 2] == h[0, 1]).all())
        True
    """

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch's name
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
    ) -> tuple[Any, Tensor]:
        """As `LSTM.forward`, with one state."""
        output, states = _forward(self, super().forward, input, hx, lengths)
        return output, states


class LSTM(_OnEngine, nn.LSTM):
    """``torch.nn.LSTM`` on the native engine, and with lengths.

    Arguments, parameters and answers are those of ``torch.nn.LSTM``. Padded input may come with
    the length of each sequence: then the answer is that of each sequence alone, and the backward
    half starts at its last step, not in the padding.

    Source:
        Hochreiter & Schmidhuber 1997, Long Short-Term Memory, in the conventions of torch.

    Example:
        >>> lstm = LSTM(4, 8, bidirectional=True, batch_first=True)
        >>> output, (h, c) = lstm(torch.randn(2, 5, 4), lengths=[5, 3])
        >>> bool(output[1, 3:].any()), tuple(h.shape)
        (False, (2, 2, 8))
    """

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch's name
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Any = None,
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Run the layers.

        Args:
            input: Padded (T, B, D), or (B, T, D) with ``batch_first``; (T, D) for one sequence;
                or a ``PackedSequence``.
            hx: States before the first step, each (L, B, H); zeros where None.
            lengths: Length of each sequence of padded input, (B,), a tensor on any device, an
                array or a list; 0 is legal. None: all are full.

        Returns:
            Output in the form of the input, zeros in its padding, and the final states, (L, B, H)
            each; a sequence of length 0 ends in its initial state.

        Raises:
            LengthError: A length that is negative or beyond the input.
            ShapeError: Lengths for another number of sequences.
            UsageError: Lengths for a ``PackedSequence``, which knows its own.
        """
        output, (h, c) = _forward(self, super().forward, input, hx, lengths)
        return output, (h, c)


def _forward(module: _OnEngine, own: TorchForward, x: Any, hx: Any, lengths: Any) -> Any:
    """Run a module; ``own`` is torch's forward of it."""
    weights = weights_of(module)
    states = _states(module, hx)
    packed, low = isinstance(x, PackedSequence), module._low_precision
    rows: Any = x.data if packed else x
    if lengths is not None:
        _check(module, x, hx, weights[0][0][0])
    elif states is None or not _fits(module, x, states, weights):
        if packed and states:
            # torch's LSTM leaves that out for packed input, and then reads past its rows.
            module.check_forward_args(x.data, hx, x.batch_sizes)
        elif packed:
            module.check_input(x.data, x.batch_sizes)
        if low is not None:
            isa.require_native(low.precision)
            refuse_graphs(())
        answer = without_vmap(own, x, hx)  # which refuses what is wrong
        if low is not None:
            raise UsageError(low.refusal(rows))
        return answer
    assert states is not None
    one_sequence, turned = not packed and rows.dim() == 2, False
    if packed:
        layout = TensorLayout.packed(x)
    elif one_sequence:
        layout = TensorLayout.padded(1, rows.shape[0])
        states = [part.unsqueeze(1) for part in states]
    else:
        rows, layout, turned = _placed(rows, lengths, batch_first=module.batch_first)
    dtype = _answer_dtype(module.mode, rows, weights[0][0][0].dtype, packed=packed)
    drops, layers, cell = module.training and module.dropout, module.num_layers, cell_of(module)
    rows, ended = run_stack(
        cell,
        rows,
        layout,
        in_precision(module, cell, weights),
        states,
        # The output of torch's own layers may be changed in place.
        keep=["everything" if layer == layers - 1 else "gates" for layer in range(layers)],
        read=(lambda below: dropout(below, module.dropout)) if drops else None,
    )
    if dtype is not None:
        rows, *ended = (part.to(dtype) for part in (rows, *ended))
    if one_sequence:
        ended = [part.squeeze(1) for part in ended]
    output: Any = rows.transpose(0, 1) if turned else rows
    if packed:
        output = PackedSequence(rows, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
    return output, tuple(ended) if module.mode == "LSTM" else ended[0]


def cell_of(module: nn.RNNBase) -> CellName:
    """Which cell a layer of torch has.

    Example:
        >>> cell_of(nn.RNN(3, 4))
        'rnn_tanh'
    """
    return cast("CellName", module.mode.lower())


def weights_of(module: nn.RNNBase) -> list[Sequence[WeightTensors]]:
    """Parameters of each direction of each layer of a layer of torch."""
    weights = parameters_of(module, module._all_weights)
    directions = 2 if module.bidirectional else 1
    return [weights[at : at + directions] for at in range(0, len(weights), directions)]


def _placed(x: Tensor, lengths: Any, *, batch_first: bool) -> tuple[Tensor, TensorLayout, bool]:
    """Padded input with either axis first, copying neither: rows, their layout, whether turned."""
    turned = not x.is_contiguous() and x.transpose(0, 1).is_contiguous()
    if turned:
        x, batch_first = x.transpose(0, 1), not batch_first
    batch, steps = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
    counts = None if lengths is None else as_lengths(lengths, batch)
    return x, TensorLayout.padded(batch, steps, counts, batch_first=batch_first), turned


def _answer_dtype(
    mode: str, rows: Tensor, dtype: torch.dtype, *, packed: bool
) -> torch.dtype | None:
    """What the answer is to be rounded to under autocast, where torch's own would be."""
    if not autocasts(rows) or dtype != torch.float32:
        return None
    if runs_on(rows, dtype) == "torch":
        return None
    # Of torch's own modules, the GRU and the packed LSTM stay in the input's dtype.
    stays = mode == "GRU" or (mode == "LSTM" and packed)
    return rows.dtype if stays else torch.get_autocast_dtype(rows.device.type)


def _states(module: nn.RNNBase, hx: Any) -> Sequence[Tensor] | None:
    """The initial states, empty for zeros; None where it is none that torch would take."""
    if hx is None:
        return ()
    if module.mode != "LSTM":
        return (hx,)
    return hx if isinstance(hx, tuple | list) and len(hx) == 2 else None


def _fits(
    module: _OnEngine, x: Any, states: Sequence[Tensor], weights: list[Sequence[WeightTensors]]
) -> bool:
    """Whether the native engine takes the call; torch's forward runs or refuses the others."""
    packed = isinstance(x, PackedSequence)
    rows: Tensor = x.data if packed else x
    if not isinstance(rows, Tensor) or rows.is_nested:
        return False
    like, axes = weights[0][0][0], rows.dim()
    if module.proj_size or not may_run_native(rows, like.dtype) or like.device != rows.device:
        return False
    if axes not in ((2,) if packed else (2, 3)) or rows.shape[-1] != module.input_size:
        return False
    steps, *sequences = rows.shape[:-1]
    if packed:
        sequences = [int(x.batch_sizes[0])]
    elif axes == 3 and module.batch_first:
        steps, sequences = rows.shape[1], [rows.shape[0]]
    shape = (len(weights) * len(weights[0]), *sequences, module.hidden_size)
    if steps == 0 or not all(isinstance(part, Tensor) for part in states):
        return False
    if any(part.shape != shape or part.device != rows.device for part in states):
        return False
    if autocasts(rows):
        if module._low_precision is not None:
            return True
        # Full padded batches are what torch runs fast, and faster in the dtype of autocast. In
        # float16 few processors can, and there torch's LSTM raises.
        return packed or torch.get_autocast_dtype(rows.device.type) is torch.float16
    return all(part.dtype == like.dtype for part in (rows, *states))


def _check(module: nn.RNNBase, x: Any, hx: Any, like: Tensor) -> None:
    """Refuse what does not go with lengths or the weights, the latter in torch's words."""
    if isinstance(x, PackedSequence):
        raise UsageError("PackedSequence knows its lengths: leave lengths= out")
    if not isinstance(x, Tensor):
        raise ShapeError(f"with lengths x is a padded tensor, got {type(x).__name__}")
    if x.dim() == 2:
        raise ShapeError("(T, D) is one full sequence: leave lengths= out, or give (B, T, D)")
    if _states(module, hx) is None:
        raise ShapeError(f"hx of an LSTM is a pair (h, c), got {type(hx).__name__}")
    if hx is not None:
        module.check_forward_args(x, hx, None)
    elif x.dim() != 3 or x.shape[-1] != module.input_size or x.dtype != like.dtype:
        module.check_input(x, None)
