"""From examples to all that a run needs: vocabularies, the model's spec, encoded sets."""

# N rows of all sequences, D channels, K target values

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.data import Example
from birnn.data.numeric import reals, standard_units
from birnn.data.schemes import SchemeName, unseen
from birnn.errors import ConfigError, DataError
from birnn.inputs import Codec, Encoded, Vocabularies, Vocabulary, Words
from birnn.metrics import named_counts
from birnn.runtime.scoring import Scorer, new_scorer
from birnn.tasks import Head, Label, Tags, Values
from birnn.training.checks import reject_shifted_targets
from birnn.training.inputs import describe_inputs, ratio_table
from birnn.training.recipe import Recipe, Task
from birnn.training.settings import HeadSettings
from birnn.training.tags import tag_scheme, with_legal_tags, with_letters_of

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data and model description of a training run."""

    spec: Spec
    vocabularies: Vocabularies
    codec: Codec
    train: Encoded
    dev: Encoded
    train_where: Sequence[str]  # where each training example stands, file and line
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
        return self.vocabularies["labels"].items if "labels" in self.vocabularies else ()

    @property
    def word_counts(self) -> Tensor | None:
        """How often each word stands in training, (V,); None without words."""
        return self.vocabularies["words"].counts if "words" in self.vocabularies else None


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
        DirectionError: Two directions for tags that are the next step's token.
    """
    notes: list[str] = []
    _check_learnable(task, train)
    reject_shifted_targets(train, recipe.encoder)
    scheme: SchemeName = "none"
    if task == "tagger":
        scheme = tag_scheme(train, dev, recipe.head.scheme, notes)
        train, dev = with_legal_tags(train, scheme, notes), with_letters_of(scheme, dev, notes)
    inputs, vocabularies, initial = describe_inputs(train, recipe.inputs, notes)
    labels = None
    if task != "regressor":
        labels = Vocabulary.count(_labels_of(train), unknown=False)
        vocabularies = vocabularies | {"labels": labels}
    head = _head(task, train, labels, scheme, recipe.head, initial)
    if recipe.inputs.class_ratios and isinstance(inputs, Words) and isinstance(head, Label):
        words = vocabularies["words"]
        assert labels is not None
        # Pretrained vectors know more than ratios do.
        initial.setdefault("inputs.words.weight", ratio_table(train, inputs, words, labels))
    spec = Spec(inputs=inputs, encoder=recipe.encoder, head=head)
    codec = Codec(inputs, vocabularies, head.offset if isinstance(head, Values) else ())
    strange = _unseen_labels(labels, dev, scheme)
    if strange:
        named = named_counts(strange)
        notes.append(f"labels in dev that training never saw, counted as wrong: {named}")
    monitor, larger = _selection(head)
    return Prepared(
        spec=spec,
        vocabularies=vocabularies,
        codec=codec,
        train=codec.encode(train),
        dev=codec.encode(dev),
        train_where=[example.where or "" for example in train],
        dev_examples=dev,
        initial=initial,
        class_weights=_class_weights(train, labels, recipe),
        new_scorer=partial(new_scorer, head, labels.items if labels is not None else ()),
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


def _unseen_labels(
    labels: Vocabulary | None, examples: Sequence[Example], scheme: SchemeName
) -> dict[str, int]:
    if labels is None:
        return {}
    counts = Counter(_labels_of(examples))
    return {label: counts[label] for label in unseen(counts, labels.items, scheme)}


def _head(
    task: Task,
    train: Sequence[Example],
    labels: Vocabulary | None,
    scheme: SchemeName,
    settings: HeadSettings,
    initial: dict[str, Tensor],
) -> Head:
    if task == "tagger":
        assert labels is not None
        decoder = settings.decoder
        if decoder == "auto":
            decoder = "softmax" if scheme == "none" else "crf"
        return Tags(size=len(labels), decoder=decoder, scheme=scheme)
    pooling, attention = settings.pooling, settings.attention_size
    if task == "classifier":
        assert labels is not None
        return Label(size=len(labels), pooling=pooling, attention_size=attention)
    targets_BK = reals(np.stack([reals(example.target) for example in train]))
    initial["head.mean"], initial["head.scale"], offset = standard_units(targets_BK)
    return Values(
        size=targets_BK.shape[1], offset=offset, pooling=pooling, attention_size=attention
    )


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
    weights = np.array([wanted.get(label, 1.0) for label in labels.items])
    if not weights.any():
        raise ConfigError(
            "training.class_weights: every label weighs 0, so nothing would be learnt. "
            "Give one of them a weight above 0."
        )
    return weights


def _selection(head: Head) -> tuple[str, bool]:
    """By which result of the dev set weights are chosen, and whether more of it is better."""
    match head:
        case Tags():
            return ("accuracy" if head.scheme == "none" else "f1"), True
        case Label():
            return "accuracy", True
        case Values():
            return "rmse", False
