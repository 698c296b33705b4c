"""A training step of the attention decoder beside torch's own on padded batches, in turns.

    python benchmarks/decoder.py [--data FOLDER] [--batch 128] [--hidden 512] [--threads 2]

Forward and backward in float32, from the encoder's rows and the bridged states to the loss, with
general attention. The lengths are those of spelling and sounds in FOLDER/train.tsv, where it is
given, else drawn. torch's is what tutorials write: ``nn.LSTM`` over padded targets, attention by
``bmm`` with a mask, ``nn.Linear``; with input feeding a loop over ``nn.LSTMCell``. Losses are
compared before anything is measured. Prints medians in milliseconds, and times torch's time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from birnn.nn import AttentionDecoder, State
from birnn.ragged import Ragged
from birnn.studies.turns import Contestant, machine, take_turns

SYMBOLS, DIM = 70, 256


class PaddedDecoder(nn.Module):
    """The same decoder in torch's own layers, on padded batches; an LSTM of one layer."""

    def __init__(self, ours: AttentionDecoder, *, feeding: bool) -> None:
        super().__init__()
        width = ours.spec.stack.input_size
        layer = nn.LSTMCell if feeding else nn.LSTM
        options = {} if feeding else {"batch_first": True}
        self.feeding, self.layers = feeding, layer(width, ours.spec.hidden_size, **options)
        end = 3 if feeding else 0  # a cell's names end without _l0
        names = {name[: -end or None]: value for name, value in ours.decoder.state_dict().items()}
        self.layers.load_state_dict(names)
        self.embedding = nn.Embedding.from_pretrained(ours.embedding.weight.detach().clone(), False)
        self.general = nn.Parameter(ours.attention.weight.detach().clone())
        self.combine, self.linear = nn.Linear(1, 1), nn.Linear(1, 1)
        for name in ("combine", "linear"):
            for end, value in getattr(ours, name).state_dict().items():
                getattr(self, name).register_parameter(end, nn.Parameter(value.clone()))

    def attend(self, h: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """tanh(W_c [context; h] + b_c), (B, T, C)."""
        scores = torch.bmm(functional.linear(h, self.general), memory.transpose(1, 2))
        weights = scores.masked_fill(mask[:, None], -torch.inf).softmax(dim=2)
        return self.combine(torch.cat([torch.bmm(weights, memory), h], dim=2)).tanh()

    def loss(
        self, inputs: Tensor, answers: Tensor, memory: Tensor, mask: Tensor, state: State
    ) -> Tensor:
        """Mean cross-entropy of the answers that are no padding (-1)."""
        read = self.embedding(inputs)
        if not self.feeding:
            combined = self.attend(self.layers(read, (state.h, state.c))[0], memory, mask)
        else:
            h, c = state.h[0], state.c[0]
            fed, each = h.new_zeros(h.shape[0], self.linear.weight.shape[1]), []
            for t in range(read.shape[1]):
                h, c = self.layers(torch.cat([read[:, t], fed], dim=1), (h, c))
                fed = self.attend(h[:, None], memory, mask)[:, 0]
                each.append(fed)
            combined = torch.stack(each, dim=1)
        return functional.cross_entropy(
            self.linear(combined).flatten(0, 1), answers.flatten(), ignore_index=-1
        )


def lengths_of(data: Path | None, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of sources and of targets."""
    random = np.random.default_rng(0)
    if data is None:
        return random.integers(3, 14, batch), random.integers(2, 13, batch)
    lines = (data / "train.tsv").read_text("utf-8").splitlines()
    pairs = [lines[i].split("\t") for i in random.choice(len(lines), batch, replace=False)]
    return tuple(
        np.array(own) for own in zip(*((len(w), len(p.split())) for w, p in pairs), strict=True)
    )


def calls(
    sources: np.ndarray, targets: np.ndarray, hidden: int, *, feeding: bool
) -> dict[str, Callable[[], float]]:
    """A training step by each; the loss is what it returns."""
    torch.manual_seed(0)
    ours = AttentionDecoder(SYMBOLS, DIM, hidden, hidden, input_feeding=feeding)
    padded = PaddedDecoder(ours, feeding=feeding)
    batch = len(sources)
    symbols = Ragged(torch.randint(1, SYMBOLS, (int(targets.sum()),)), targets)
    memory = Ragged(torch.randn(int(sources.sum()), hidden).requires_grad_(), sources)
    state = State(*(torch.randn(1, batch, hidden).requires_grad_() for _ in range(2)))
    answers = ours.answers(symbols).to_padded(fill=-1)
    inputs = torch.cat(
        [torch.zeros(batch, 1, dtype=torch.int64), symbols.to_padded(steps=answers.shape[1] - 1)],
        dim=1,
    )
    rows = memory.to_padded().detach().requires_grad_()
    mask = torch.arange(rows.shape[1]) >= torch.from_numpy(sources)[:, None]

    def step(module: nn.Module, loss: Callable[[], Tensor], given: Tensor) -> float:
        for tensor in (*module.parameters(), given, *state.parts):
            tensor.grad = None
        found = loss()
        found.backward()
        return found.item()

    return {
        "torch": lambda: step(
            padded, lambda: padded.loss(inputs, answers, rows, mask, state), rows
        ),
        "birnn": lambda: step(ours, lambda: ours.loss(symbols, memory, state), memory.values),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    for name, default in (("batch", 128), ("hidden", 512), ("threads", 2), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sources, targets = lengths_of(given.data, given.batch)
    print(
        f"{', '.join(f'{k} {v}' for k, v in machine().items())}, {given.threads} threads; ", end=""
    )
    print(f"{given.batch} sequences, {targets.sum() + given.batch} steps, H = {given.hidden}\n")
    print("| attention | torch, padded | birnn | |\n|---|--:|--:|--:|")
    for feeding, name in ((False, "after the layers"), (True, "input feeding")):
        both = calls(sources, targets, given.hidden, feeding=feeding)
        losses = [call() for call in both.values()]
        assert abs(losses[0] - losses[1]) < 1e-4 * losses[0], losses
        contestants = [Contestant(call) for call in both.values()]
        for number in range(given.rounds):
            take_turns(contestants, number)
        theirs, ours = (1e3 * each.seconds for each in contestants)
        print(f"| {name} | {theirs:.1f} ms | {ours:.1f} ms | {theirs / ours:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
