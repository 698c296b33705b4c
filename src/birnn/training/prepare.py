"""From examples to all that a run needs: vocabularies, the model's spec, encoded sets."""

# N rows of all sequences, D channels, K target values

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import (
    Characters,
    Head,
    Inputs,
    Label,
    SchemeName,
    Spec,
    Surface,
    Symbols,
    Tags,
    Values,
    Vectors,
    Words,
)
from birnn.data import (
    Codec,
    Encoded,
    Example,
    Vocabularies,
    Vocabulary,
    convert,
    detect,
    learn_traits,
    normalise,
    read_vectors,
    violations,
)
from birnn.errors import ConfigError, DataError
from birnn.metrics import LabelScorer, TagScorer, ValueScorer
from birnn.models.inputs import WORD_SPREAD
from birnn.training.recipe import HeadSettings, InputSettings, Kind, Recipe, Task

Tensor = npt.NDArray[Any]
Scorer = LabelScorer | TagScorer | ValueScorer

SMALLEST_SPREAD = 1e-7  # of the mean: what float32 cannot tell from a constant
RATIO_SCALE = 0.25  # log-count ratios reach about 4: loud beside fresh vectors, but no louder


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data and model description of a training run."""

    spec: Spec
    vocabularies: Vocabularies
    codec: Codec
    train: Encoded
    dev: Encoded
    dev_examples: Sequence[Example]
    initial: dict[str, Tensor]  # tensors that start from the data, by name
    class_weights: Tensor | None
    new_scorer: Callable[[], Scorer]
    monitor: str  # the scorer's result that decides
    larger_is_better: bool
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels in the order of their ids; none for values."""
        return self.vocabularies.labels.items if self.vocabularies.labels is not None else ()

    @property
    def word_counts(self) -> Tensor | None:
        """How often each word stands in training, (V,); None without words."""
        return self.vocabularies.words.counts if self.vocabularies.words is not None else None


def prepare(
    task: Task, train: Sequence[Example], dev: Sequence[Example], recipe: Recipe
) -> Prepared:
    """Find out from the data what the model must be, and encode the data for it.

    Args:
        task: What is learnt.
        train: Labelled examples.
        dev: Labelled examples that decide which weights are kept.
        recipe: The settings.

    Raises:
        DataError: Nothing to learn from: no example, no label, a single label.
        ConfigError: Settings that do not fit the data.
    """
    notes: list[str] = []
    _check_learnable(task, train)
    kind = input_kind(train, recipe.inputs)
    vocabularies = Vocabularies.learn(
        train,
        kind,
        lowercase=recipe.inputs.lowercase,
        digits=recipe.inputs.digits,
        min_count=recipe.inputs.min_count,
        max_size=recipe.inputs.max_words,
    )
    labels = vocabularies.labels
    initial: dict[str, Tensor] = {}
    inputs: Inputs
    if kind == "vectors":
        inputs = _vector_inputs(train, initial)
    elif kind == "symbols":
        assert vocabularies.symbols is not None
        inputs = Symbols(size=len(vocabularies.symbols), dim=recipe.inputs.symbol_dim)
    else:
        inputs, vocabularies = _word_inputs(train, vocabularies, recipe.inputs, initial, notes)
    head = _head(task, train, labels, recipe.head, initial)
    if recipe.inputs.class_ratios and isinstance(inputs, Words) and isinstance(head, Label):
        _start_with_ratios(train, inputs, vocabularies, initial)
    if isinstance(head, Tags) and head.scheme != "none":
        train = _with_legal_tags(train, head.scheme, notes)
    spec = Spec(inputs=inputs, encoder=recipe.encoder, head=head)
    codec = Codec(inputs, vocabularies)
    unseen = _unseen_labels(labels, dev)
    if unseen:
        named = ", ".join(f"{label} ({count})" for label, count in sorted(unseen.items()))
        notes.append(f"labels in dev that training never saw, counted as wrong: {named}")
    scorer, monitor, larger = _scoring(head, labels)
    return Prepared(
        spec=spec,
        vocabularies=vocabularies,
        codec=codec,
        train=codec.encode(train),
        dev=codec.encode(dev),
        dev_examples=dev,
        initial=initial,
        class_weights=_class_weights(train, labels, recipe),
        new_scorer=scorer,
        monitor=monitor,
        larger_is_better=larger,
        notes=notes,
    )


def _check_learnable(task: Task, train: Sequence[Example]) -> None:
    if not any(len(example.inputs) for example in train):
        raise DataError("the training data holds no sequence with a step in it")
    for example in train:
        if example.target is None:
            raise DataError(f"{example.where or 'an example'}: training needs a target here")
    if task == "regressor":
        return
    labels = Counter(_labels_of(train))
    if len(labels) < 2:
        only = next(iter(labels), "none")
        raise DataError(
            f"the training data has a single label, {only!r}: there is nothing to tell apart. "
            "Check the column that the labels are read from."
        )


def _labels_of(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        if isinstance(example.target, str):
            yield example.target
        elif isinstance(example.target, tuple):
            yield from example.target


def _unseen_labels(labels: Vocabulary | None, examples: Sequence[Example]) -> Counter[str]:
    if labels is None:
        return Counter()
    return Counter(label for label in _labels_of(examples) if label not in labels)


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


def _vector_inputs(train: Sequence[Example], initial: dict[str, Tensor]) -> Vectors:
    rows_ND = np.concatenate([np.asarray(e.inputs, np.float32) for e in train if len(e.inputs)])
    initial["inputs.mean"] = rows_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
    initial["inputs.scale"] = _spread(rows_ND)
    return Vectors(size=rows_ND.shape[1])


def _word_inputs(
    train: Sequence[Example],
    vocabularies: Vocabularies,
    settings: InputSettings,
    initial: dict[str, Tensor],
    notes: list[str],
) -> tuple[Words, Vocabularies]:
    words, characters = vocabularies.words, vocabularies.characters
    assert words is not None
    assert characters is not None
    dim = settings.word_dim
    if settings.vectors is not None:
        seen = len(words)
        dim, vectors = read_vectors(settings.vectors, words, first=settings.first_vectors)
        known = sum(word in vectors for word in words.items)
        notes.append(f"{settings.vectors}: {len(vectors)} vectors, {known} of {seen} words known")
        words, initial["inputs.words.weight"] = _with_pretrained(words, vectors, dim)
    traits = None
    if settings.surface_dim:
        forms = sorted({str(token) for example in train for token in example.inputs})
        traits = learn_traits(
            forms, settings.prefixes, settings.suffixes, min_count=settings.surface_min_count
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
    kept = characters if settings.character_hidden else None
    return inputs, replace(vocabularies, words=words, characters=kept, traits=traits)


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


def _head(
    task: Task,
    train: Sequence[Example],
    labels: Vocabulary | None,
    settings: HeadSettings,
    initial: dict[str, Tensor],
) -> Head:
    if task == "tagger":
        assert labels is not None
        scheme = detect(e.target for e in train if isinstance(e.target, tuple))
        decoder = settings.decoder
        if decoder == "auto":
            decoder = "softmax" if scheme == "none" else "crf"
        return Tags(size=len(labels), decoder=decoder, scheme=scheme)
    pooling, attention = settings.pooling, settings.attention_size
    if task == "classifier":
        assert labels is not None
        return Label(size=len(labels), pooling=pooling, attention_size=attention)
    targets_BK = np.stack([np.asarray(example.target, np.float32) for example in train])
    initial["head.mean"] = targets_BK.mean(axis=0, dtype=np.float64).astype(np.float32)
    initial["head.scale"] = _spread(targets_BK)
    return Values(size=targets_BK.shape[1], pooling=pooling, attention_size=attention)


def _start_with_ratios(
    train: Sequence[Example], inputs: Words, vocabularies: Vocabularies, initial: dict[str, Tensor]
) -> None:
    """Let word vectors start with the log-count ratio of each label.

    ``r[w, k] = log p(w | k) - log p(w | other labels)``, over the share of the examples that hold
    the word, add-one smoothed: the features by which naive Bayes weighs words. They stand in the
    first dimensions of the vectors, as many as there are labels and room; training goes on from
    there.

    Source:
        Wang & Manning 2012, Baselines and Bigrams: Simple, Good Sentiment and Topic
        Classification, section 2.
    """
    words, labels = vocabularies.words, vocabularies.labels
    assert words is not None
    assert labels is not None
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
    table = initial.get("inputs.words.weight")
    if table is None:
        table = np.random.default_rng(0).normal(0.0, WORD_SPREAD, (len(words), inputs.dim))
    table[:, :room] = RATIO_SCALE * ratios_VK[:, :room]
    initial["inputs.words.weight"] = table.astype(np.float32)


def _with_legal_tags(
    train: Sequence[Example], scheme: SchemeName, notes: list[str]
) -> Sequence[Example]:
    """The training examples with tags that break their scheme read as the scorer reads them.

    A CRF gives a forbidden sequence no probability at all, so it could not learn from one.
    """
    legal = [
        replace(example, target=convert(example.target, scheme, scheme))
        if isinstance(example.target, tuple) and violations(example.target, scheme)
        else example
        for example in train
    ]
    changed = sum(after is not before for after, before in zip(legal, train, strict=True))
    if changed:
        notes.append(
            f"{changed} training sequences break the {scheme} scheme; their spans are kept, "
            "their tags made legal"
        )
    return legal


def _spread(rows_ND: Tensor) -> Tensor:
    """Standard deviation of each column; 1 for one that never moves, which so stays as it is."""
    mean_D = rows_ND.mean(axis=0, dtype=np.float64)
    spread_D: Tensor = rows_ND.std(axis=0, dtype=np.float64).astype(np.float32)
    # Relative to the mean, so that the unit of a column does not matter.
    return np.where(spread_D > SMALLEST_SPREAD * np.abs(mean_D), spread_D, np.float32(1.0))


def _class_weights(
    train: Sequence[Example], labels: Vocabulary | None, recipe: Recipe
) -> Tensor | None:
    wanted = recipe.training.class_weights
    if wanted == "none":
        return None
    if labels is None:
        raise ConfigError("training.class_weights: a regressor has no classes")
    if wanted == "balanced":
        counts = Counter(_labels_of(train))
        count_L = np.array([counts[label] for label in labels.items], np.float64)
        return count_L.sum() / (len(labels) * count_L)  # type: ignore[no-any-return]
    unknown = [label for label in wanted if label not in labels]
    if unknown:
        known = ", ".join(labels.items)
        raise ConfigError(f"training.class_weights: no label {unknown[0]!r}; there are {known}")
    return np.array([wanted.get(label, 1.0) for label in labels.items])


def _scoring(head: Head, labels: Vocabulary | None) -> tuple[Callable[[], Scorer], str, bool]:
    """How answers are scored, by which result weights are chosen, and whether more is better."""
    match head:
        case Tags():
            assert labels is not None
            monitor = "accuracy" if head.scheme == "none" else "f1"
            return (lambda: TagScorer(labels.items, head.scheme)), monitor, True
        case Label():
            assert labels is not None
            return (lambda: LabelScorer(labels.items)), "accuracy", True
        case Values():
            return ValueScorer, "rmse", False
