"""A model in plain PyTorch: `nn.Embedding`, `nn.LSTM`, `nn.GRU`, `nn.RNN` and `nn.Linear` alone.

This file needs torch and safetensors, and nothing of birnn: a copy of it runs an exported file.
A model that writes sequences needs a copy of `plain_decoder.py` beside it too.

    model = load("tagger.safetensors")
    scores = model(lengths=lengths, words=words)   # (B, T, labels); padding is 0
    tags = model.decode(scores, lengths)           # (B, T)

    model = load("speller.safetensors")
    written = model.write(lengths=lengths, symbols=symbols)

`model.spec` says what the model is, `model.vocabularies` what its numbers stand for.
"""

# B sequences, T steps, C characters of a word, D inputs, H hidden units, W width of a row, L scores

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CELLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "rnn_tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
}
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "gelu": functional.gelu}


class PlainEncoder(nn.Module):
    """Stacked recurrent layers over padded batches, each of one or two directions.

    Args:
        cell: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
        input_size: Width of a row.
        hidden_size: Hidden units of each direction.
        directions: 1 or 2 for each layer, the first layer's first.
        merge: How two halves become one row: concat, sum, mean, product or project.
        merge_size: Width of the rows that ``project`` makes.
        residual: Whether a layer's input is added to its output where the widths agree.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        *,
        directions: Sequence[int] = (2,),
        merge: str = "concat",
        merge_size: int | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.merge, self.residual, self.hidden_size = merge, residual, hidden_size
        self.input_size = input_size
        self.layers, self.merges = nn.ModuleList(), nn.ModuleDict()
        width = input_size
        layer_of, options = CELLS[cell]
        for number, count in enumerate(directions):
            self.layers.append(
                layer_of(width, hidden_size, bidirectional=count == 2, batch_first=True, **options)
            )
            width = hidden_size
            if count == 2 and merge == "concat":
                width = 2 * hidden_size
            elif count == 2 and merge == "project":
                width = merge_size or hidden_size
                self.merges[str(number)] = nn.Linear(2 * hidden_size, width)
        self.output_size = width

    def forward(
        self, rows: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, ...]]]:
        """Output rows (B, T, W), 0 in padding, merged final states (B, W), and those of each layer.

        The last are h, and c of an LSTM, each (directions, B, H).

        Args:
            rows: (B, T, D); what stands in padding changes nothing.
            lengths: Length of each sequence, (B,); 0 is legal, its final states are 0.

        Raises:
            ValueError: Rows of another width, which torch would read past the end of.
        """
        check_width(rows, self.input_size)
        rows = without_padding(rows, lengths)
        # A packed sequence has no sequence of length 0: such ones run a step, which is cleared.
        counted = lengths.clamp(min=1).cpu()
        final, states = rows.new_zeros(rows.shape[0], 0), []
        for number, layer in enumerate(self.layers):
            packed = pack_padded_sequence(rows, counted, batch_first=True, enforce_sorted=False)
            output, state = layer(packed)
            output, _ = pad_packed_sequence(output, batch_first=True, total_length=rows.shape[1])
            parts = state if isinstance(state, tuple) else (state,)
            parts = tuple(torch.where(lengths[:, None] > 0, s, 0.0) for s in parts)
            states.append(parts)
            halves = torch.cat(list(parts[0]), dim=-1)
            merged = self._merged(number, output)
            if self.residual and merged.shape[-1] == rows.shape[-1]:
                merged = merged + rows
            rows = without_padding(merged, lengths)
            final = self._merged(number, halves)
        return rows, final, states

    def _merged(self, number: int, halves: Tensor) -> Tensor:
        """Both halves, side by side in the last axis, as one row."""
        if halves.shape[-1] == self.hidden_size or self.merge == "concat":
            return halves
        if self.merge == "project":
            merged: Tensor = self.merges[str(number)](halves)
            return merged
        forward, backward = halves.chunk(2, dim=-1)
        if self.merge == "product":
            return forward * backward
        total = forward + backward
        return total / 2 if self.merge == "mean" else total


def check_width(rows: Tensor, width: int) -> None:
    """Refuse what is no padded batch of rows of that width.

    Raises:
        ValueError: It is none.
    """
    if rows.ndim != 3 or rows.shape[2] != width:
        raise ValueError(f"rows are (B, T, {width}), got {tuple(rows.shape)}")


def without_padding(rows: Tensor, lengths: Tensor) -> Tensor:
    """Rows (B, T, D) with 0 in padding, whatever stood there, NaN too."""
    real = torch.arange(rows.shape[1], device=lengths.device) < lengths[:, None]
    return rows.masked_fill(~real[:, :, None], 0)


class PlainInputs(nn.Module):
    """From the arrays of a batch to input rows.

    Args:
        spec: The inputs' part of the model's description.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind, self.activation = spec["kind"], "relu"
        self.characters: nn.Embedding | None = None
        self.features: nn.Embedding | None = None
        self.dense: nn.Linear | None = None
        if self.kind == "vectors":
            self.register_buffer("mean", torch.zeros(spec["size"]))
            self.register_buffer("scale", torch.ones(spec["size"]))
            self.output_size = spec["size"]
            if dense := spec.get("dense"):
                self.dense = nn.Linear(spec["size"], dense["size"])
                self.activation = dense["activation"]
                self.output_size = dense["size"]
            return
        self.vectors = nn.Embedding(spec["size"], spec["dim"])
        self.output_size = spec["dim"]
        if characters := spec.get("characters"):
            self.characters = nn.Embedding(characters["size"], characters["dim"])
            self.spelling = PlainEncoder("lstm", characters["dim"], characters["hidden_size"])
            self.output_size += self.spelling.output_size
        if surface := spec.get("surface"):
            self.features = nn.Embedding(surface["size"], surface["dim"])
            self.output_size += surface["dim"]

    def forward(self, given: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
        """Rows (B, T, D)."""
        if self.kind == "vectors":
            check_width(given["vectors"], len(self.mean))
            rows = (without_padding(given["vectors"], lengths) - self.mean) / self.scale
            return rows if self.dense is None else ACTIVATIONS[self.activation](self.dense(rows))
        parts = [self.vectors(given[self.kind])]
        if self.characters is not None:
            spelt = given["characters"]
            batch, steps, longest = spelt.shape
            vectors = self.characters(spelt.reshape(batch * steps, longest))
            _, final, _ = self.spelling(vectors, given["character_lengths"].reshape(batch * steps))
            parts.append(final.reshape(batch, steps, -1))
        if self.features is not None:
            parts.append(self.features(given["features"]).sum(dim=2))
        return torch.cat(parts, dim=-1)


class PlainHead(nn.Module):
    """From output rows to scores: of every step, or after pooling of the sequence.

    Args:
        spec: The head's part of the model's description.
        width: Width of an output row.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Mapping[str, Any], width: int) -> None:
        super().__init__()
        self.pooling: str = spec.get("pooling", "")  # empty: each step has scores
        self.activation = spec.get("activation", "relu")
        self.offset = spec.get("offset") or ()
        self.in_units = spec["kind"] == "values"
        if self.pooling == "attention":
            units, self.attention = width, None
            if spec.get("attention_score", "additive") == "additive":
                units = spec["attention_size"]
                self.attention = nn.Linear(width, units)
            self.query = nn.Linear(units, 1, bias=False)
        elif self.pooling:
            width *= len(self.pooling.split("+"))
        sizes = [width, *spec.get("hidden", ())]
        self.hidden = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.linear = nn.Linear(sizes[-1], spec["size"])
        if self.in_units:
            self.register_buffer("mean", torch.zeros(spec["size"]))
            self.register_buffer("scale", torch.ones(spec["size"]))

    def forward(self, rows: Tensor, lengths: Tensor, final: Tensor) -> Tensor:
        """Scores (B, T, L), 0 in padding; or (B, L); values in their own units."""
        real = (
            torch.arange(rows.shape[1], device=lengths.device)[None, :, None]
            < lengths[:, None, None]
        )
        read = self._pooled(rows, real, final) if self.pooling else rows
        for layer in self.hidden:
            read = ACTIVATIONS[self.activation](layer(read))
        scores: Tensor = self.linear(read)
        if self.in_units:
            scores = scores * self.scale + self.mean
            if self.offset:
                scores = scores.double() + scores.new_tensor(self.offset, dtype=torch.float64)
        return scores if self.pooling else scores * real

    def _pooled(self, rows: Tensor, real: Tensor, final: Tensor) -> Tensor:
        """The rows of each sequence as one, 0 of an empty one (but for its final states)."""
        count = real.sum(dim=1)
        if self.pooling == "attention":
            read = rows if self.attention is None else torch.tanh(self.attention(rows))
            scores = self.query(read).masked_fill(~real, -torch.inf)
            weights = torch.softmax(scores, dim=1).masked_fill(~real, 0.0)
            return (weights * rows).sum(dim=1)
        pooled = {
            "last": final,
            "max": rows.masked_fill(~real, -torch.inf).amax(dim=1).masked_fill(count == 0, 0.0),
            "mean": (rows * real).sum(dim=1) / count.clamp(min=1),
        }
        return torch.cat([pooled[part] for part in self.pooling.split("+")], dim=-1)


class PlainModel(nn.Module):
    """A whole model, from padded arrays to scores.

    Args:
        spec: Its description.
        vocabularies: What its numbers stand for.
        allowed: Of a tagger with a tag scheme: which tags may follow which, begin and end.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        vocabularies: Mapping[str, Sequence[str]],
        allowed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.vocabularies = spec, vocabularies
        encoder = spec["encoder"]
        directions = encoder.get("directions") or (
            ["both" if encoder["bidirectional"] else "forward"] * encoder["num_layers"]
        )
        counts = [2 if each == "both" else 1 for each in directions]
        self.inputs = PlainInputs(spec["inputs"])
        self.encoder = PlainEncoder(
            encoder["cell"],
            self.inputs.output_size,
            encoder["hidden_size"],
            directions=counts,
            merge=encoder["merge"],
            merge_size=encoder.get("merge_size"),
            residual=encoder["residual"],
        )
        width = self.encoder.output_size
        self.head: nn.Module
        if self.writes:
            # Beside this file, in birnn or where both were copied to.
            beside = import_module(__name__.replace("plain_torch", "plain_decoder"))
            own = spec["head"], CELLS[spec["head"]["cell"]]
            read = encoder["cell"], encoder["hidden_size"], counts, width
            self.head = beside.PlainDecoder(*own, *read)
        else:
            self.head = PlainHead(spec["head"], width)
        self.crf: nn.ParameterDict | None = None
        for name, mask in (allowed or {}).items():
            self.register_buffer(f"allowed_{name}", torch.tensor(mask), persistent=False)
        if spec["head"].get("decoder") == "crf":
            size = spec["head"]["size"]
            shapes = {"transitions": (size, size), "start": (size,), "end": (size,)}
            self.crf = nn.ParameterDict({k: torch.zeros(shape) for k, shape in shapes.items()})

    @property
    def writes(self) -> bool:
        """Whether it writes sequences."""
        kind: str = self.spec["head"]["kind"]
        return kind == "sequence"

    def forward(self, *, lengths: Tensor, **given: Tensor) -> Tensor:
        """Scores (B, T, L), 0 in padding; or (B, L).

        Of a model that writes sequences they are scores of the symbol after each of given targets,
        (B, U + 1, symbols): the first of the first symbol, the last of the end, which is number 0.

        Args:
            lengths: Length of each sequence, (B,).
            given: The arrays of the inputs: ``words`` (B, T), ``characters`` (B, T, C) with
                ``character_lengths`` (B, T), and ``features`` (B, T, K); or ``symbols`` (B, T); or
                ``vectors`` (B, T, D) less the offset of the inputs. Of a model that writes
                sequences also ``targets`` (B, U) and ``target_lengths`` (B,).

        Raises:
            ValueError: Vectors of another width, or no targets.
        """
        rows, final, states = self.encoder(self.inputs(given, lengths), lengths)
        if self.writes:
            if not {"targets", "target_lengths"} <= set(given):
                raise ValueError("give targets and target_lengths to score, or call write")
            targets = given["targets"], given["target_lengths"]
            scores: Tensor = self.head(rows, lengths, states, *targets)
        else:
            scores = self.head(rows, lengths, final)
        return scores

    @torch.no_grad()
    def write(self, *, lengths: Tensor, longest: Tensor | None = None, **given: Tensor) -> Any:
        """The target of each sequence: at each step the symbol of the highest score.

        Args:
            lengths: Length of each sequence, (B,).
            longest: Most symbols of each answer, (B,); None for what the model learnt.
            given: The arrays of the inputs, as for the call.

        Returns:
            A `plain_decoder.Written`.

        Raises:
            ValueError: The model writes no sequences.
        """
        if not self.writes:
            raise ValueError("this model writes no sequences: call it, and decode")
        if longest is None:
            fixed, each = self.spec["head"]["longest"]
            longest = fixed + (each * lengths.double()).floor().long()
        rows, _, states = self.encoder(self.inputs(given, lengths), lengths)
        return self.head.write(rows, lengths, states, longest)  # type: ignore[operator]

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Numbers of labels, (B, T) or (B,): the best of each, or with a CRF the best sequence.

        Of a model that gives any number of labels it is which of them, (B, L).
        """
        if self.spec["head"]["kind"] == "labels":
            given = self.spec["head"].get("thresholds") or [0.5] * scores.shape[-1]
            cuts = torch.logit(torch.tensor(given, dtype=torch.float64))
            return scores >= cuts.to(scores)
        if self.crf is None:
            return scores.argmax(dim=-1)
        return viterbi(scores.double(), lengths, *self._crf_scores())

    def _crf_scores(self) -> list[Tensor]:
        """Transitions, start and end; minus infinity where the tag scheme rules them out."""
        assert self.crf is not None
        scores = []
        for name in ("transitions", "start", "end"):
            allowed = getattr(self, f"allowed_{name}", None)
            known = self.crf[name]
            scores.append(known if allowed is None else known.masked_fill(~allowed, -torch.inf))
        return scores


def viterbi(
    scores: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """The best sequence of labels of each sequence, (B, T); 0 in padding.

    Args:
        scores: Of the labels at each step, (B, T, L).
        lengths: Length of each sequence, (B,).
        transitions: Score of a label after another, [from, to], (L, L).
        start: Of a label at the first step, (L,).
        end: Of a label at the last one, (L,).
    """
    batch, steps, _ = scores.shape
    best, back = start + scores[:, 0], []
    for t in range(1, steps):
        into, chosen = (best[:, :, None] + transitions).max(dim=1)
        running = (t < lengths)[:, None]
        best = torch.where(running, into + scores[:, t], best)
        back.append(chosen)
    label = (best + end).argmax(dim=1)
    labels = torch.zeros(batch, steps, dtype=torch.long, device=scores.device)
    each = torch.arange(batch, device=scores.device)
    for t in range(steps - 1, -1, -1):
        labels[:, t] = torch.where(t < lengths, label, 0)
        if t > 0:
            label = torch.where(t < lengths, back[t - 1][each, label], label)
    return labels


def load(path: str | Path) -> PlainModel:
    """The model of a file that `birnn export --to torch` wrote.

    Raises:
        ValueError: It wrote another one.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        kept = file.metadata() or {}
    names = ("birnn.spec", "birnn.vocabularies", "birnn.allowed")
    if not set(names) <= set(kept):
        raise ValueError(f"{path}: no model that `birnn export --to torch` wrote: it has no spec.")
    model = PlainModel(*(json.loads(kept[name]) for name in names))
    model.load_state_dict(safetensors.torch.load_file(path))
    return model.eval()
