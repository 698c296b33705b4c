"""A model that is looked at, taken apart: input rows, layers, halves, scores of the head.

Everything that `birnn.explain` measures goes through an `InspectedModel`. It has its own copy of
the weights, in eval mode and without gradients, so the model it was made of stays as it was.
"""

# N rows of all sequences, B sequences, T steps, W width of an input row, H hidden units,
# L answers of the head

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from birnn.bundle import Bundle, as_float32
from birnn.bundle.spec import Encoder, Spec
from birnn.data import ReadOptions
from birnn.data.batching import windows
from birnn.data.tokeniser import SplitMode
from birnn.errors import ConfigError, DataError, nearest
from birnn.inputs import Codec, Vectors, restored
from birnn.models import Network, build
from birnn.nn import BiRNN, State
from birnn.ragged import Ragged
from birnn.reference.stack import Stack
from birnn.runtime import Predictor
from birnn.runtime.validation import validated
from birnn.tasks import Tags

Array = npt.NDArray[Any]
Rows = Ragged[Tensor]

# Rows that go through the layers together: what a backward pass keeps of them is some 80 MB for
# an LSTM of 200 units in each direction.
BATCH_ROWS = 1 << 13


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """States of one layer over a batch, each direction for itself.

    Args:
        below: Rows that the layer read, (N, W); of the first layer those of the dense layer, where
            the inputs have one.
        forward: States of the forward half after each row, (N, H).
        backward: States of the backward half; None with one direction.
        last: Final state of each half, (B, H): the forward half's after the last step, the
            backward half's after the first.
    """

    below: Rows
    forward: Rows
    backward: Rows | None
    last: tuple[Tensor, ...]

    @property
    def parts(self) -> tuple[Rows, ...]:
        """The halves that there are, forward first."""
        return (self.forward,) if self.backward is None else (self.forward, self.backward)


@dataclass(frozen=True, slots=True, eq=False)
class InspectedModel:
    """A model taken apart; `InspectedModel.of` makes one.

    Args:
        stack: Settings of the encoder.
        encoder: The encoder.
        spec: What the model is; of a bare `BiRNN` only what it reads.
        labels: Names of its labels; empty for a regressor and a bare `BiRNN`.
        network: The whole model; None for a bare `BiRNN`.
        codec: What validates sequences and turns them into numbers.
        split: How words are found in plain texts, as in training.
        means: Mean states of the last layer that training left in the bundle, or nothing.

    Example:
        >>> inspected = InspectedModel.of(BiRNN("gru", 3, 4, num_layers=2))
        >>> halves = inspected.run(inspected.batch([np.ones((5, 3))]))
        >>> tuple(halves.backward.values.shape), inspected.layer(-1)
        ((5, 4), 1)
    """

    stack: Stack
    encoder: BiRNN
    spec: Spec
    codec: Codec[Any]
    labels: tuple[str, ...] = ()
    network: Network | None = None
    split: SplitMode = "auto"
    means: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model) -> InspectedModel:
        """Open a model; what is open already is given back.

        Args:
            model: The folder of a bundle; a `birnn.bundle.Bundle`; what `birnn.load` gave; or a
                `birnn.nn.BiRNN`, which reads arrays (T, W) and has no head.

        Raises:
            BundleError: The folder holds no whole bundle.
            ConfigError: Something that is no model.
        """
        match model:
            case InspectedModel():
                return model
            case str() | Path() | Predictor() | Bundle():
                return cls._of_bundle(as_float32(model))
            case BiRNN():
                return cls._of_encoder(model)
            case _:
                raise ConfigError(
                    f"model is a {type(model).__name__}. Give the folder of a bundle, "
                    "what birnn.load gave, or a birnn.nn.BiRNN."
                )

    @classmethod
    def _of_bundle(cls, bundle: Bundle) -> InspectedModel:
        labels = bundle.vocabularies.get("labels", ())
        with _random_numbers_kept():
            network = build(bundle.spec, labels=labels or None)
            network.load_tensors(bundle.tensors)
        network.eval().requires_grad_(False)
        return cls(
            bundle.spec.stack,
            network.encoder,
            bundle.spec,
            bundle.spec.inputs.codec(restored(bundle.vocabularies)),
            labels,
            network,
            ReadOptions().over(bundle.metadata.get("reading") or {}).split,
            dict(bundle.mean_states),
        )

    @classmethod
    def _of_encoder(cls, encoder: BiRNN) -> InspectedModel:
        """A copy of an encoder, on its device in its dtype, as a model that reads vectors."""
        stack = encoder.stack
        weights = {name: weight.detach().clone() for name, weight in encoder.state_dict().items()}
        like = weights["weight_ih_l0"]
        with _random_numbers_kept():
            copy = BiRNN.from_stack(stack)
            copy.to(device=like.device, dtype=like.dtype).load_state_dict(weights)
        settings = Encoder(
            cell=stack.cell,
            hidden_size=stack.hidden_size,
            num_layers=stack.num_layers,
            bidirectional=stack.bidirectional,
            merge=stack.merge,
            residual=stack.residual,
            directions=stack.directions,
            merge_size=stack.merge_size,
        )
        # A spec has a head, which nobody asks here.
        spec = Spec(inputs=Vectors(size=stack.input_size), encoder=settings, head=Tags(size=1))
        return cls(stack, copy.eval().requires_grad_(False), spec, spec.inputs.codec({}))

    # ------------------------------------------------------------------ sequences into rows

    def validated(self, sequence: Any) -> Any:
        """One sequence, checked.

        Args:
            sequence: As `birnn.load(...).predict` takes one; of a `BiRNN` an array (T, W).

        Raises:
            DataError: A sequence that the model cannot read, or one without steps.
        """
        [checked] = self._validated([sequence])
        if not len(checked):
            raise DataError("the sequence has no steps. Give one with at least one.")
        return checked

    def unknown(self, tokens: Sequence[str]) -> Array:
        """Which tokens have the id of the unknown one, (T,) bool; of vectors none."""
        unknown: Array = self.codec.unknown(tuple(tokens))
        return unknown

    def batch(self, checked: Sequence[Any]) -> Rows:
        """Input rows of validated sequences, (N, W)."""
        if self.network is None:
            return Ragged.from_list([torch.tensor(array).to(self._like) for array in checked])
        encoded = self.codec.encode(checked)
        with torch.no_grad():
            return Ragged(self.network.inputs(encoded.inputs), encoded.lengths)

    def batches(self, sequences: Iterable[Any]) -> Iterator[Rows]:
        """Sequences as batches of input rows; those without steps are left out.

        Raises:
            DataError: A sequence that the model cannot read, or not one with a step.
        """
        checked, found = self._validated(sequences), False
        for window in windows(checked, tokens=BATCH_ROWS, sequences=BATCH_ROWS):
            filled = [sequence for sequence in window if len(sequence)]
            if filled:
                found = True
                yield self.batch(filled)
        if not found:
            raise DataError("not one of the sequences has a step. Give some that have.")

    def baseline(self) -> Tensor:
        """The row that stands for nothing at all, (W,).

        A word that is not known and has no letters, an unknown symbol, or a vector whose channels
        all have their mean.
        """
        if self.network is None:
            return self._like.new_zeros(self.stack.input_size)
        with torch.no_grad():
            return self.network.inputs.baseline()

    def _validated(self, sequences: Any) -> Iterator[Any]:
        return validated(self.spec, self.codec, sequences, split=self.split)

    @property
    def _like(self) -> Tensor:
        """A tensor of the model's dtype, where the model is."""
        return next(self.encoder.parameters())

    # ------------------------------------------------------------------ layers and halves

    def layer(self, layer: int) -> int:
        """Number of a layer, counted from the end where it is negative.

        Raises:
            ConfigError: A layer that the model does not have.
        """
        count = self.stack.num_layers
        if not isinstance(layer, int) or not -count <= layer < count:
            raise ConfigError(f"layer is {layer!r}, the model has layers 0 to {count - 1}")
        return layer % count

    def run(self, rows: Rows, *, layer: int = -1, initial: State | None = None) -> Halves:
        """The halves of a layer; arguments as of `run_layers`."""
        return self.run_layers(rows, layer=layer, initial=initial)[-1]

    def run_layers(
        self, rows: Rows, *, layer: int = -1, initial: State | None = None
    ) -> tuple[Halves, ...]:
        """The halves of every layer up to one.

        Args:
            rows: Input rows, (N, W).
            layer: Which layer; the last by default.
            initial: State of the layers up to that one before the first step of each direction;
                None for zeros.
        """
        if self.network is not None:
            rows = self.network.encoder_rows(rows)
        found = self.encoder.layer_outputs(rows, initial=initial, stop=self.layer(layer) + 1)
        return tuple(Halves(o.below, o.forward, o.backward, o.final) for o in found)

    def merge(self, halves: Halves, *, layer: int = -1) -> tuple[Rows, Tensor]:
        """Output rows (N, W) of a layer from its halves, and merged final states (B, W)."""
        at = self.layer(layer)
        merged = self.encoder.merge_halves(at, *(half.values for half in halves.parts))
        if self.stack.adds_input(at):
            merged = merged + halves.below.values
        final_BW = self.encoder.merge_halves(at, *halves.last)
        return halves.forward.with_values(merged), final_BW

    # ------------------------------------------------------------------ the head

    @property
    def head(self) -> Any:
        """The head, one of `birnn.models.heads`.

        Raises:
            ConfigError: A bare `BiRNN`, which has none.
        """
        return self._whole.head

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the head answers with: labels, or ``value 0``, ``value 1``, ..."""
        return self._whole.spec.head.scored("a list of outputs").outputs(self.labels)

    @property
    def tags(self) -> bool:
        """Whether it answers for every step."""
        return self._whole.spec.head.per_step

    @property
    def regresses(self) -> bool:
        """Whether it answers with numbers and not with labels."""
        return not self._whole.spec.head.has_labels

    def scores(self, halves: Halves, position: int | None = None) -> tuple[Tensor, Rows]:
        """What the head makes of the last layer's halves, and the merged rows that it read.

        Args:
            halves: The halves.
            position: Of a head that answers for steps, the one step of each sequence that it is
                asked for; None for all.

        Returns:
            Logits, (N, L) for tags (with a CRF its emissions) and (B, L) for a label, or values
            (B, L) in the units of their targets; and the rows, (N, W).
        """
        rows, final_BW = self.merge(halves)
        if position is not None:
            places = torch.from_numpy(rows.rows_at(position)).to(rows.values.device)
            rows = Ragged(rows.values[places], np.ones(len(rows), np.int64))
        scores: Tensor = self.head(rows, final_BW)
        return self.head.measured(scores), rows

    def answers(self, scores: Tensor, rows: Rows) -> Array:
        """What the model says: ids of labels, (N,) or (B,), or values, (B, L).

        Of any number of labels it is the one that is furthest above its threshold, (B,).
        """
        if self.independent:
            return self._whole.spec.head.scored("answers").foremost(array(scores))
        with torch.no_grad():
            return array(scores if self.regresses else self.head.decode(scores, rows))

    @property
    def independent(self) -> bool:
        """Whether each label is given or not for itself, any number of them."""
        return self._whole.spec.head.independent

    def position(self, position: int | None, steps: int) -> int | None:
        """The step that an answer is asked of, from 0 on; None where the head answers once.

        Raises:
            ConfigError: None for tags, one for another head, or one beyond the sequence.
        """
        if not self.tags:
            if position is not None:
                raise ConfigError(
                    f"position is {position}, but this {self.spec.task} answers once for a whole "
                    "sequence. Leave position out."
                )
            return None
        if not isinstance(position, int | np.integer) or not -steps <= position < steps:
            raise ConfigError(
                f"position is {position}, the sequence has steps 0 to {steps - 1}. "
                "Say of which of them the tag is asked."
            )
        return int(position) % steps

    def target(self, target: str | int) -> int:
        """Number of an answer, given by its name or number.

        Raises:
            ConfigError: An answer that the model does not have.
        """
        names = self.outputs
        if isinstance(target, str):
            if target not in names:
                raise ConfigError(f"target is {target!r}: {nearest(target, names)}")
            return names.index(target)
        if not 0 <= target < len(names):
            raise ConfigError(f"target is {target}, the model has answers 0 to {len(names) - 1}")
        return int(target)

    @property
    def _whole(self) -> Network:
        if self.network is None:
            raise ConfigError(
                "a bare BiRNN has no head, so it decides nothing. Give a whole model: the folder "
                "of a bundle, or what birnn.load gave."
            )
        return self.network


Model = str | Path | Bundle | Predictor | BiRNN | InspectedModel


def array(tensor: Tensor) -> Array:
    """A tensor as an array of its own on the host."""
    found: Array = tensor.detach().cpu().numpy().copy()
    return found


@contextlib.contextmanager
def differentiating() -> Iterator[None]:
    """Gradients are kept, whatever the caller has switched off; also a decorator."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextlib.contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """A fresh model draws random weights: that is no reason to move the caller's random numbers."""
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        yield
