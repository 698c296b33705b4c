"""What the rows of a model are made of, found out from the training examples."""

# N rows of all sequences, D channels, V words, K labels

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data import Example, read_vectors
from birnn.data.numeric import reals, standard_units
from birnn.data.words import canonical
from birnn.errors import ConfigError
from birnn.inputs import (
    Characters,
    Inputs,
    Surface,
    Symbols,
    Vectors,
    Vocabulary,
    Words,
    learn_traits,
    normalise,
)
from birnn.models.inputs import WORD_SPREAD
from birnn.training.settings import InputSettings, Kind

Tensor = npt.NDArray[Any]

RATIO_SCALE = 0.25  # log-count ratios reach about 4: loud beside fresh vectors, but no louder


def describe_inputs(
    train: Sequence[Example], settings: InputSettings, notes: list[str]
) -> tuple[Inputs, dict[str, Vocabulary], dict[str, Tensor]]:
    """Inputs of a model for these examples.

    Args:
        train: Training examples.
        settings: What the user wants.
        notes: Takes what is worth telling.

    Returns:
        The inputs' part of the spec, the vocabularies, and the tensors that start from the data,
        by their names in the spec.

    Raises:
        ConfigError: Settings that the examples do not fit.
        FormatError: Pretrained vectors that do not read.
    """
    kind = input_kind(train, settings)
    if kind == "vectors":
        inputs, initial = _vectors(train)
        return inputs, {}, initial
    vocabularies = learn_vocabularies(train, kind, settings)
    if kind == "symbols":
        size = len(vocabularies["symbols"])
        return Symbols(size=size, dim=settings.symbol_dim), vocabularies, {}
    return _words(train, vocabularies, settings, notes)


def learn_vocabularies(
    train: Sequence[Example], kind: Kind, settings: InputSettings
) -> dict[str, Vocabulary]:
    """The vocabularies of training examples, with counts: words and characters, or symbols."""
    items = chain.from_iterable(map(str, example.inputs) for example in train)
    if kind == "symbols":
        return {"symbols": Vocabulary.count(items, settings.min_count, settings.max_words)}
    words = list(map(canonical, items))
    # every distinct form is normalised once
    looked_up = {form: normalise(form, settings.lowercase, settings.digits) for form in set(words)}
    return {
        "words": Vocabulary.count(
            map(looked_up.__getitem__, words), settings.min_count, settings.max_words
        ),
        "characters": Vocabulary.count(chain.from_iterable(words)),
    }


def input_kind(train: Sequence[Example], settings: InputSettings) -> Kind:
    """What the steps of the examples are: as set, or as the examples show.

    Raises:
        ConfigError: A setting that the examples do not fit.
    """
    holds_vectors = any(isinstance(example.inputs, np.ndarray) for example in train)
    kind = settings.kind
    if kind == "auto":
        if holds_vectors:
            return "vectors"
        single = all(len(token) == 1 for example in train for token in example.inputs)
        return "symbols" if single else "words"
    if holds_vectors != (kind == "vectors"):
        holds = "vectors" if holds_vectors else "tokens"
        raise ConfigError(f"inputs.kind is {kind}, the training data holds {holds}")
    return kind


def _vectors(train: Sequence[Example]) -> tuple[Vectors, dict[str, Tensor]]:
    rows_ND = np.concatenate([reals(e.inputs) for e in train if len(e.inputs)])
    mean_D, scale_D, offset = standard_units(rows_ND)
    inputs = Vectors(size=rows_ND.shape[1], offset=offset)
    return inputs, {"inputs.mean": mean_D, "inputs.scale": scale_D}


def _words(
    train: Sequence[Example],
    vocabularies: dict[str, Vocabulary],
    settings: InputSettings,
    notes: list[str],
) -> tuple[Words, dict[str, Vocabulary], dict[str, Tensor]]:
    words, characters = vocabularies["words"], vocabularies["characters"]
    initial: dict[str, Tensor] = {}
    dim = settings.word_dim
    if settings.vectors is not None:
        seen = len(words) - 1  # the unknown one is no word
        met = {normalise(form, settings.lowercase, settings.digits) for form in _forms(train)}
        dim, vectors = read_vectors(
            settings.vectors, met, first=settings.first_vectors, tell=notes.append
        )
        known = sum(word in vectors for word in words.items)
        notes.append(f"{settings.vectors}: {len(vectors)} vectors, {known} of {seen} words known")
        words, initial["inputs.words.weight"] = _with_pretrained(words, vectors, dim)
    traits = None
    if settings.surface_dim:
        traits = learn_traits(
            _forms(train),
            settings.prefixes,
            settings.suffixes,
            min_count=settings.surface_min_count,
        )
    inputs = Words(
        size=len(words),
        dim=dim,
        lowercase=settings.lowercase,
        digits=settings.digits,
        characters=Characters(
            size=len(characters), dim=settings.character_dim, hidden_size=settings.character_hidden
        )
        if settings.character_hidden
        else None,
        surface=Surface(
            size=len(traits),
            dim=settings.surface_dim,
            prefixes=settings.prefixes,
            suffixes=settings.suffixes,
        )
        if traits is not None
        else None,
    )
    kept = {"words": words}
    kept |= {"characters": characters} if settings.character_hidden else {}
    kept |= {"traits": traits} if traits is not None else {}
    return inputs, kept, initial


def _forms(examples: Sequence[Example]) -> list[str]:
    """The distinct written forms of words, in a fixed order."""
    return sorted({canonical(str(token)) for example in examples for token in example.inputs})


def _with_pretrained(
    words: Vocabulary, vectors: dict[str, Tensor], dim: int
) -> tuple[Vocabulary, Tensor]:
    """Words of training, then words that only the vectors know; and their table (V, dim)."""
    counts = words.counts if words.counts is not None else np.ones(len(words), np.int64)
    more = [word for word in vectors if word not in words]
    joined = Vocabulary(
        (*words.items, *more), counts=np.concatenate([counts, np.ones(len(more), np.int64)])
    )
    known = np.stack(list(vectors.values()))
    spread = float(known.std()) or 1.0
    table = np.random.default_rng(0).normal(0.0, spread, (len(joined), dim)).astype(np.float32)
    for word, vector in vectors.items():
        table[joined.id(word)] = vector
    return joined, table


def ratio_table(
    train: Sequence[Example], inputs: Words, words: Vocabulary, labels: Vocabulary
) -> Tensor:
    """Word vectors (V, D) that start with the log-count ratio of each label.

    ``r[w, k] = log p(w | k) - log p(w | other labels)``, over the share of the examples that hold
    the word, add-one smoothed: the features by which naive Bayes weighs words. They stand in the
    first dimensions of the vectors, as many as there are labels and room; training goes on from
    there.

    Source:
        Wang & Manning 2012, Baselines and Bigrams: Simple, Good Sentiment and Topic
        Classification, section 2.
    """
    held_VK = np.zeros((len(words), len(labels)))
    for example in train:
        held = {normalise(str(t), inputs.lowercase, inputs.digits) for t in example.inputs}
        held_VK[words.ids(held), labels.id(str(example.target))] += 1
    others_VK = held_VK.sum(axis=1, keepdims=True) - held_VK
    share_VK = (held_VK + 1) / (held_VK + 1).sum(axis=0)
    other_share_VK = (others_VK + 1) / (others_VK + 1).sum(axis=0)
    ratios_VK = np.log(share_VK / other_share_VK)
    ratios_VK[0] = 0.0  # unknown words say nothing
    room = min(len(labels), inputs.dim)
    table = np.random.default_rng(0).normal(0.0, WORD_SPREAD, (len(words), inputs.dim))
    table[:, :room] = RATIO_SCALE * ratios_VK[:, :room]
    start: Tensor = table.astype(np.float32)
    return start
