"""`birnn.accelerate` in each precision on a plain tagger of torch, beside torch's int8 and bf16.

An ``nn.Embedding``, a bidirectional ``nn.LSTM`` and an ``nn.Linear`` are trained on the parts of
speech of UD English LinES. The test set is then tagged in batches and sentence by sentence by
torch in float32, bfloat16 and its dynamic int8, and after ``birnn.accelerate`` in each precision,
in turns. Prints tokens in a second (medians), accuracy, tags that differ from torch's in float32,
and tags that a sentence has in a batch and not alone.

    .venv-bench/bin/python benchmarks/accelerate_precision.py --data FOLDER
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import birnn
from birnn.cli.printing import markdown
from birnn.data import read
from birnn.errors import BirnnError
from birnn.reference.low_precision import PRECISIONS
from results import positive
from turns import take

Sentences = list[tuple[list[str], list[str]]]


class Tagger(nn.Module):
    """Vectors of words, a bidirectional LSTM, scores of tags."""

    def __init__(self, words: int, tags: int, hidden: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 128)
        self.encoder = nn.LSTM(128, hidden, bidirectional=True)
        self.scores = nn.Linear(2 * hidden, tags)

    def forward(self, packed: PackedSequence) -> Tensor:
        """Scores of the packed words, (rows, tags)."""
        rows = packed._replace(data=self.words(packed.data))
        hidden: Tensor = self.encoder(rows)[0].data
        scores: Tensor = self.scores(hidden)
        return scores


def packed(numbers: list[Tensor]) -> PackedSequence:
    """Sequences of numbers as torch packs them."""
    return pack_sequence(numbers, enforce_sorted=False)


def main() -> None:
    """Train, tag, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--hidden", type=positive, default=256)
    parser.add_argument("--epochs", type=positive, default=4)
    parser.add_argument("--rounds", type=positive, default=7)
    parser.add_argument("--threads", type=positive, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    folder = arguments.data / "ud-english-lines"
    try:
        train, test = (sentences(folder / f"{part}.conllu") for part in ("train", "test"))
    except BirnnError as error:
        parser.error(str(error))
    words = {word: at for at, word in enumerate(["", *sorted({w for ws, _ in train for w in ws})])}
    tags = {tag: at for at, tag in enumerate(sorted({tag for _, own in train for tag in own}))}
    tagger = Tagger(len(words), len(tags), arguments.hidden)
    birnn.accelerate(tagger)
    fit(tagger, train, words, tags, arguments.epochs)
    birnn.decelerate(tagger.eval())

    asked = [torch.tensor([words.get(word, 0) for word in ws]) for ws, _ in test]
    batches = [asked[at : at + 32] for at in range(0, len(asked), 32)]
    gold = np.concatenate([[tags.get(tag, -1) for tag in own] for _, own in test])
    ways = models(tagger)
    print(f"{len(asked)} sentences, {len(gold):,} words, {arguments.threads} thread(s)\n")
    runs = {
        f"{name}, {form}": timed(model, groups)
        for name, model in ways.items()
        for form, groups in (("batches", batches), ("alone", [[one] for one in asked]))
    }
    speeds = take(runs, arguments.rounds, work="tagging")
    found = {name: answers(model, batches) for name, model in ways.items()}
    rows = [
        (
            name,
            f"{speeds[f'{name}, batches']:,.0f}",
            f"{speeds[f'{name}, alone']:,.0f}",
            f"{100 * np.mean(found[name] == gold):.2f} %",
            str(np.sum(found[name] != found["torch float32"])),
            str(np.sum(found[name] != answers(model, [[one] for one in asked]))),
        )
        for name, model in ways.items()
    ]
    heads = ("layers", "batches of 32, tokens/s", "one sentence, tokens/s", "accuracy")
    print(markdown((*heads, "other tags than torch's", "other tags alone"), rows))


def sentences(file: Path) -> Sentences:
    """Words and tags of a file."""
    read_so: Any = read(file, "tags")
    return [(list(example.inputs), list(example.target)) for example in read_so]


def fit(tagger: Tagger, train: Sentences, words: Any, tags: Any, epochs: int) -> None:
    """Train with Adam on shuffled batches; rare words are sometimes unknown ones."""
    optimizer = torch.optim.Adam(tagger.parameters(), lr=2e-3)
    for _ in range(epochs):
        order = torch.randperm(len(train)).tolist()
        for at in range(0, len(order), 32):
            some = [train[number] for number in order[at : at + 32]]
            given = packed([torch.tensor([words[w] for w in ws]) for ws, _ in some])
            given.data[torch.rand(given.data.shape) < 0.1] = 0
            wanted = packed([torch.tensor([tags[tag] for tag in own]) for _, own in some])
            optimizer.zero_grad()
            cross_entropy(tagger(given), wanted.data).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def models(tagger: Tagger) -> dict[str, Tagger]:
    """The tagger in every way that its layers can run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(tagger, {nn.LSTM})  # type: ignore[no-untyped-call]
    found = {
        "torch float32": tagger,
        "torch bf16": copy.deepcopy(tagger).bfloat16(),
        "torch int8": quantised,
    }
    for precision in PRECISIONS:
        own = copy.deepcopy(tagger)
        assert birnn.accelerate(own, precision).swapped == ("encoder",)
        found[f"birnn {precision}"] = own
    return found


@torch.inference_mode()
def answers(model: Tagger, groups: list[list[Tensor]]) -> Any:
    """Numbers of the tags, sentence by sentence."""
    found = []
    for group in groups:
        given = packed(group)
        best = given._replace(data=model(given).argmax(1))
        found += [part.numpy() for part in torch.nn.utils.rnn.unpack_sequence(best)]
    return np.concatenate(found)


def timed(model: Tagger, groups: list[list[Tensor]]) -> Callable[[], float]:
    """A turn: the model tags everything, tokens in a second."""
    given = [packed(group) for group in groups]

    @torch.inference_mode()
    def turn() -> float:
        begun = time.perf_counter()
        for batch in given:
            model(batch)
        return sum(len(batch.data) for batch in given) / (time.perf_counter() - begun)

    return turn


if __name__ == "__main__":
    main()
