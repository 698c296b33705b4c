"""Small random models, and the same models computed the slow way in float64."""

# T steps, W width of a row, L labels

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Spec
from birnn.bundle.checks import vocabulary_sizes
from birnn.ragged import Ragged
from birnn.reference import bidirectional, bridge, decoder
from birnn.reference.stack import Stack
from random_tensors import random_tensors

ALPHABET = "abcdeABC01-é"
LABELS = {
    "none": ["DET", "NOUN", "VERB", "ADJ", "X"],
    "iob2": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "iob1": ["O", "I-PER", "B-PER", "I-LOC", "B-LOC"],
    "iobes": ["O", "B-PER", "I-PER", "E-PER", "S-PER"],
}


def random_word(random: np.random.Generator) -> str:
    return "".join(random.choice(list(ALPHABET + "xyz"), size=random.integers(1, 9)))


def build(spec: Spec, seed: int = 0) -> Bundle:
    random = np.random.default_rng(seed)
    sizes = vocabulary_sizes(spec)
    vocabularies: dict[str, tuple[str, ...]] = {}
    if "words" in sizes:
        words: dict[str, None] = {"<unk>": None}
        while len(words) < sizes["words"]:
            words[random_word(random).lower().replace("1", "0")] = None
        vocabularies["words"] = tuple(words)
    if "traits" in sizes:
        common = [f"{kind}={c}" for kind in ("p1", "s2") for c in ALPHABET]
        traits = ("<unk>", "shape=xx", "shape=x", "p3=abc", "s2=ab", *common)
        vocabularies["traits"] = traits[: sizes["traits"]]
    for name in ("characters", "symbols"):
        if name in sizes:
            vocabularies[name] = ("<unk>", *ALPHABET)[: sizes[name]]
    if "labels" in sizes:
        scheme = getattr(spec.head, "scheme", "none")
        vocabularies["labels"] = tuple(LABELS[scheme][: sizes["labels"]])
    if "targets" in sizes:
        vocabularies["targets"] = ("<s>", *"ABCDEFGH")[: sizes["targets"]]
    tensors = random_tensors(spec, random)
    return Bundle(spec, vocabularies, tensors)


def sequences(spec: Spec, lengths: list[int], seed: int = 1) -> list[Any]:
    random = np.random.default_rng(seed)
    if spec.inputs.kind == "vectors":
        return [
            random.standard_normal((t, spec.inputs.size)).astype(np.float32) * 2 for t in lengths
        ]
    if spec.inputs.kind == "symbols":
        return [[str(c) for c in random.choice(list(ALPHABET + "?"), size=t)] for t in lengths]
    pool = [random_word(random) for _ in range(20)] + ["The", "1999", "x" * 90]
    return [[str(w) for w in random.choice(pool, size=t)] for t in lengths]


@dataclass(frozen=True)
class Slow:
    """The model of a bundle by its description: float64, one sequence, one step at a time."""

    bundle: Bundle

    def tensor(self, name: str) -> np.ndarray:
        return self.bundle.tensors[name].astype(np.float64)

    def recurrent(self, prefix: str, stack: Stack, x: np.ndarray) -> Any:
        parameters = {name: self.tensor(f"{prefix}.{name}") for name in stack.shapes()}
        return bidirectional.run(Ragged(x, np.array([x.shape[0]])), parameters, stack)

    def id(self, vocabulary: str, item: str) -> int:
        items = self.bundle.vocabularies[vocabulary]
        return items.index(item) if item in items else 0

    def word(self, word: str) -> np.ndarray:
        inputs = self.bundle.spec.inputs
        known = word.lower() if inputs.lowercase else word
        if inputs.digits:
            known = "".join("0" if c.isdigit() else c for c in known)
        parts = [self.tensor("inputs.words.weight")[self.id("words", known)]]
        if inputs.characters is not None:
            cut = word if len(word) <= 64 else word[:32] + word[-32:]
            table = self.tensor("inputs.characters.symbols.weight")
            x = np.array([table[self.id("characters", c)] for c in cut])
            stack = inputs.characters.stack
            outcome = self.recurrent("inputs.characters.encoder", stack, x)
            parts.append(np.concatenate([outcome.forward.values[-1], outcome.backward.values[0]]))
        if inputs.surface is not None:
            table = self.tensor("inputs.surface.weight")
            parts.append(sum(table[self.id("traits", trait)] for trait in self.traits(word)))
        return np.concatenate(parts)

    def traits(self, word: str) -> list[str]:
        surface = self.bundle.spec.inputs.surface
        low = "".join("0" if c.isdigit() else c for c in word.lower())
        shape = ""
        for c in word:
            kind = "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c
            if not shape.endswith(kind * 2):
                shape += kind
        return [
            *(f"p{n}={low[:n]}" if len(low) >= n else "" for n in surface.prefixes),
            *(f"s{n}={low[-n:]}" if len(low) >= n else "" for n in surface.suffixes),
            f"shape={shape}",
        ]

    def rows(self, sequence: Any) -> np.ndarray:
        inputs = self.bundle.spec.inputs
        if inputs.kind == "vectors":
            mean, scale = self.tensor("inputs.mean"), self.tensor("inputs.scale")
            rows = (np.asarray(sequence, np.float64) - mean) / scale
            if inputs.dense is None:
                return rows
            layers = [self.dense("inputs.dense", inputs.dense.activation, row) for row in rows]
            return np.array(layers).reshape(len(layers), inputs.width)
        if inputs.kind == "symbols":
            table = self.tensor("inputs.symbols.weight")
            rows = [table[self.id("symbols", symbol)] for symbol in sequence]
        else:
            rows = [self.word(word) for word in sequence]
        return np.array(rows).reshape(len(rows), inputs.width)

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.tensor(f"{name}.weight") @ x + self.tensor(f"{name}.bias")

    def dense(self, name: str, activation: str, x: np.ndarray) -> np.ndarray:
        functions: dict[str, Callable[[float], float]] = {
            "relu": lambda v: max(v, 0.0),
            "tanh": math.tanh,
            "gelu": lambda v: v * math.erfc(-v / math.sqrt(2)) / 2,
        }
        return np.array([functions[activation](float(v)) for v in self.linear(name, x)])

    def head(self, x: np.ndarray) -> np.ndarray:
        spec = self.bundle.spec.head
        for number in range(len(spec.hidden)):
            x = self.dense(f"head.hidden_{number}", spec.activation, x)
        return self.linear("head.linear", x)

    def log_probabilities(self, source: Any, target: Any) -> np.ndarray:
        """Of each symbol of a target and of its end, (T + 1,), by teacher forcing."""
        spec, names = self.bundle.spec, self.bundle.vocabularies["targets"]
        head, stack = spec.head, spec.stack
        outcome = self.recurrent("encoder", stack, self.rows(source))
        own = {
            name.removeprefix("head."): self.tensor(name)
            for name in self.bundle.tensors
            if name.startswith("head.")
        }
        rules = head.bridge_spec(stack)
        layers = {name.removeprefix("bridge."): part for name, part in own.items()}
        initial = bridge.initial_state(
            rules,
            bridge.linear_layers({name: layers[name] for name in rules.shapes()}),
            outcome.state,
        )
        settings = decoder.DecoderSpec(
            head.size,
            head.dim,
            head.hidden_size,
            stack.output_size,
            cell=head.cell,
            num_layers=head.num_layers,
            attention=head.attention,
            attention_size=head.attention_size if head.attention == "additive" else None,
            input_feeding=head.input_feeding,
            tied=head.tied,
        )
        numbers = np.array([0, *(names.index(symbol) for symbol in target)])
        found = decoder.run(
            Ragged(numbers, np.array([len(numbers)])),
            outcome.output,
            initial,
            {name: own[name] for name in settings.shapes()},
            settings,
        )
        right = [*numbers[1:], 0]
        return np.array(
            [
                logits[number] - np.log(np.sum(np.exp(logits)))
                for logits, number in zip(found.logits.values, right, strict=True)
            ]
        )

    def scores(self, sequence: Any) -> np.ndarray:
        """(T, L) for tags, (L,) for the other heads."""
        spec = self.bundle.spec
        outcome = self.recurrent("encoder", spec.stack, self.rows(sequence))
        y_TW, width = outcome.output.values, spec.stack.output_size
        if spec.head.kind == "tags":
            scores = [self.head(y) for y in y_TW]
            return np.array(scores).reshape(len(scores), spec.head.size)
        if spec.head.pooling == "attention":
            pooled = np.zeros(width)
            if len(y_TW):
                query = self.tensor("head.attention.query")
                read = y_TW
                if spec.head.attention_score == "additive":
                    read = [np.tanh(self.linear("head.attention", y)) for y in y_TW]
                raw = [query @ y for y in read]
                weights = np.exp(raw) / np.sum(np.exp(raw))
                pooled = np.sum([w * y for w, y in zip(weights, y_TW, strict=True)], axis=0)
        else:
            zeros = np.zeros(width)
            pools = {
                "last": outcome.final[0],
                "max": np.max(y_TW, axis=0) if len(y_TW) else zeros,
                "mean": np.sum(y_TW, axis=0) / len(y_TW) if len(y_TW) else zeros,
            }
            pooled = np.concatenate([pools[part] for part in spec.head.pooling.split("+")])
        return self.head(pooled)


@pytest.fixture(scope="session")
def make() -> Callable[..., Bundle]:
    return build


@pytest.fixture(scope="session")
def draw() -> Callable[..., list[Any]]:
    return sequences


@pytest.fixture(scope="session")
def slow() -> Callable[[Bundle], Slow]:
    return Slow
