"""A whole model in JAX: from the padded arrays of a batch to the scores of its head."""

# B sequences, T steps, C characters of a word, K features of a word, W width of a row, L scores

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from birnn.bundle import BundleSource, as_float32
from birnn.bundle.spec import Spec
from birnn.errors import UsageError
from birnn.jax.crf import ChainScores, viterbi
from birnn.jax.decoder import Decoder, Written
from birnn.jax.layer import lengths_within, real_steps
from birnn.jax.recurrent import (
    ENGINES,
    EngineName,
    LinearFunction,
    Parameters,
    StackOutput,
    run,
)
from birnn.reference.activations import ActivationName
from birnn.reference.stack import Stack
from birnn.tasks import Scored, TargetSequence
from birnn.tasks.tagger import CRF_PARTS

Feeds = Mapping[str, Any]
ACTIVATIONS: dict[ActivationName, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


def from_bundle(
    model: BundleSource, *, engine: EngineName = "scan"
) -> tuple[Model, dict[str, Array]]:
    """A trained model as a pure function of its parameters, and these.

    Args:
        model: A bundle, its folder, or what `birnn.load` gave.
        engine: What runs recurrent and linear layers: ``scan``, or ``native`` for the compiled
            kernels on CPU.

    Returns:
        The function, ``function(params, arrays) -> scores``, and the bundle's tensors by their
        names, in float32. It works under ``jit``, ``grad`` and ``vmap``; `birnn.export.feeds` makes
        the arrays.

    Raises:
        BundleError: A folder that holds no whole bundle.
        UsageError: No model.

    Example:
        >>> import numpy as np
        >>> from birnn.bundle import Bundle, Encoder, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.zeros(shape, "f4") for name, shape in spec.tensors().items()}
        >>> bundle = Bundle(spec, {"symbols": ("<unk>", "A", "C"), "labels": ("x", "y")}, tensors)
        >>> model, params = from_bundle(bundle)
        >>> model(params, {"lengths": [3, 0], "symbols": np.zeros((2, 3), int)}).shape
        (2, 3, 2)
    """
    bundle = as_float32(model)
    allowed = None
    if not bundle.spec.head.searches:
        head = bundle.spec.head.scored("a function of JAX")
        allowed = head.constraints(bundle.vocabularies.get("labels", ()))
    params = {name: jnp.asarray(tensor) for name, tensor in bundle.tensors.items()}
    return Model(bundle.spec, engine, allowed), params


@dataclass(frozen=True, eq=False)
class Model:
    """A model as a pure function; made by `from_bundle`.

    Args:
        spec: What the model is.
        engine: What runs its layers.
        allowed: Which tags may follow which, begin and end a sequence; None where all may.
    """

    spec: Spec
    engine: EngineName = "scan"
    allowed: tuple[Any, Any, Any] | None = field(default=None, repr=False)

    def __call__(self, params: Parameters, feeds: Feeds) -> Array:
        """Scores of a batch.

        Args:
            params: Tensors by the names of ``spec.tensors()``.
            feeds: ``lengths`` (B,), and by the kind of inputs ``words`` (B, T), ``characters``
                (B, T, C) with ``character_lengths`` (B, T), ``features`` (B, T, K); ``symbols``
                (B, T); or ``vectors`` (B, T, D) less the offset of the inputs. Of a model that
                writes sequences also ``targets`` (B, U) and ``target_lengths`` (B,).

        Returns:
            (B, T, L) of a tagger, 0 in the padding; logits (B, L) of a classifier; values (B, L) of
            a regressor in the units of its targets, less their offset where they have one;
            `birnn.export.with_offset` adds it. Of a model that writes sequences scores of the
            symbol after each of the targets, (B, U + 1, symbols), 0 in the padding: the first of
            the first symbol, the last of the end, which is number 0.

        Raises:
            UsageError: Targets that are missing.
        """
        if self.spec.head.searches:
            if not {"targets", "target_lengths"} <= set(feeds):
                raise UsageError(
                    "a model that writes sequences scores targets: give targets and target_lengths "
                    "beside the other arrays, or call write."
                )
            targets_BU = jnp.asarray(feeds["targets"])
            lengths_B = lengths_within(feeds["target_lengths"], *targets_BU.shape)
            return self._decoder(params, feeds).scores(targets_BU, lengths_B)
        lengths_B = jnp.asarray(feeds["lengths"])
        encoded = self._encoded(params, feeds)
        real_BT = real_steps(lengths_B, encoded.output.shape[1])
        own, head = _below(params, "head"), self._head
        rows = encoded.output
        if not head.per_step:
            rows = self._pooled(own, rows, real_BT, encoded.final)
        for name in head.hidden_layers:
            rows = ACTIVATIONS[head.activation](self._linear_layer(own, name, rows))
        scores = self._linear_layer(own, "linear", rows)
        if head.per_step:
            return jnp.where(real_BT[:, :, None], scores, 0)
        if "mean" in own:  # constants of the data
            scale, mean = jax.lax.stop_gradient((own["scale"], own["mean"]))
            return scores * scale + mean
        return scores

    def write(self, params: Parameters, feeds: Feeds) -> Written:
        """The target of each sequence, by a model that writes sequences: a greedy search.

        Args:
            params: As for the call.
            feeds: As for the call, with ``longest`` (B,), the most symbols of each, and without
                targets.

        Raises:
            UsageError: The model writes no sequences.
        """
        return self._decoder(params, feeds).write(jnp.asarray(feeds["longest"]))

    def decode(self, params: Parameters, scores: Array, lengths: Any) -> Array:
        """Numbers of labels, (B, T) of a tagger, 0 in the padding, or (B,) of a classifier.

        Of a multi-label classifier it is which labels are given, (B, L).

        Args:
            params: As for the call: of a CRF its scores are read.
            scores: What the call has given.
            lengths: Length of each sequence, (B,).
        """
        if self.has_crf:
            return viterbi(scores, lengths, self.chain(params))
        if self.spec.head.independent:
            return scores >= jnp.asarray(self._head.cuts)  # type: ignore[attr-defined]
        labels = scores.argmax(axis=-1)
        if not self.spec.head.per_step:
            return labels
        real_BT = real_steps(lengths_within(lengths, *labels.shape), labels.shape[1])
        return jnp.where(real_BT, labels, 0)

    @property
    def has_crf(self) -> bool:
        """Whether tags are decoded by a CRF."""
        return getattr(self.spec.head, "decoder", "") == "crf"

    def chain(self, params: Parameters) -> ChainScores:
        """Scores of the CRF, with what the tag scheme rules out."""
        own = _below(params, "head.crf")
        chain = ChainScores(*(own[name] for name in CRF_PARTS))
        return chain if self.allowed is None else chain.where(*self.allowed)

    # ------------------------------------------------------------------ parts

    def _encoded(self, params: Parameters, feeds: Feeds) -> StackOutput:
        return run(
            _below(params, "encoder"),
            self._inputs(_below(params, "inputs"), feeds),
            jnp.asarray(feeds["lengths"]),
            stack=self.spec.stack,
            engine=self.engine,
        )

    def _decoder(self, params: Parameters, feeds: Feeds) -> Decoder:
        head, stack = self.spec.head, self.spec.stack
        if not isinstance(head, TargetSequence):
            raise UsageError(f"a {head.task} writes no sequences. Call it, and decode.")
        encoded = self._encoded(params, feeds)
        lengths_B = lengths_within(feeds["lengths"], *encoded.output.shape[:2])
        own = _below(params, "head")
        return Decoder(head, stack, own, encoded, lengths_B, self._linear)

    @property
    def _head(self) -> Scored:
        return self.spec.head.scored("a function of JAX")

    @property
    def _linear(self) -> LinearFunction:
        return ENGINES[self.engine].linear

    def _linear_layer(self, params: Parameters, name: str, x: Array) -> Array:
        return self._linear(x, params[f"{name}.weight"], params[f"{name}.bias"])

    def _inputs(self, params: Parameters, feeds: Feeds) -> Array:
        """Input rows, (B, T, W)."""
        inputs: Any = self.spec.inputs
        if inputs.kind == "vectors":
            scale, mean = jax.lax.stop_gradient((params["scale"], params["mean"]))
            rows = (jnp.asarray(feeds["vectors"]) - mean) / scale
            if inputs.dense is None:
                return rows
            return ACTIVATIONS[inputs.dense.activation](self._linear_layer(params, "dense", rows))
        rows = params[f"{inputs.kind}.weight"][jnp.asarray(feeds[inputs.kind])]
        if inputs.kind == "symbols":
            return rows
        parts = [rows]
        if inputs.characters is not None:
            own = _below(params, "characters")
            parts.append(self._characters(own, inputs.characters.stack, feeds))
        if inputs.surface is not None:
            features_BTK = jnp.asarray(feeds["features"])
            vectors = params["surface.weight"][features_BTK]
            # The vector of an unknown feature is zero, and stays it.
            known = features_BTK[..., None] > 0
            vectors = jnp.where(known, vectors, jax.lax.stop_gradient(vectors))
            parts.append(vectors.sum(axis=2))
        return jnp.concatenate(parts, axis=-1)

    def _characters(self, params: Parameters, stack: Stack, feeds: Feeds) -> Array:
        """Final states of the network over the characters of each word, (B, T, W)."""
        characters_BTC = jnp.asarray(feeds["characters"])
        sequences, steps, longest = characters_BTC.shape
        rows = params["symbols.weight"][characters_BTC.reshape(sequences * steps, longest)]
        lengths = jnp.asarray(feeds["character_lengths"]).reshape(sequences * steps)
        own = _below(params, "encoder")
        final = run(own, rows, lengths, stack=stack, engine=self.engine).final
        return final.reshape(sequences, steps, stack.output_size)

    def _pooled(
        self, params: Parameters, rows_BTW: Array, real_BT: Array, final_BW: Array
    ) -> Array:
        """The rows of each sequence as one; 0 of an empty one, but for its final states."""
        real_BT1 = real_BT[:, :, None]
        some_B1 = real_BT.any(axis=1)[:, None]
        parts = []
        for pooling in self._head.pooling_parts:
            if pooling == "last":
                parts.append(final_BW)
            elif pooling == "max":
                highest = jnp.where(real_BT1, rows_BTW, -jnp.inf).max(axis=1, initial=-jnp.inf)
                parts.append(jnp.where(some_B1, highest, 0))
            elif pooling == "mean":
                count_B1 = jnp.maximum(real_BT.sum(axis=1), 1)[:, None]
                parts.append(rows_BTW.sum(axis=1) / count_B1.astype(rows_BTW.dtype))
            else:
                scored = rows_BTW
                if "attention.weight" in params:
                    scored = jnp.tanh(self._linear_layer(params, "attention", rows_BTW))
                scores_BT = scored @ params["attention.query"]
                weights = jax.nn.softmax(scores_BT, axis=1, where=real_BT)
                parts.append((weights[:, :, None] * rows_BTW).sum(axis=1))
        return jnp.concatenate(parts, axis=-1)


def _below(params: Parameters, prefix: str) -> dict[str, Array]:
    """The parameters whose names begin with a prefix, by the rest of their names."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in params.items() if name.startswith(start)
    }
