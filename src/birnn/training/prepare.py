"""From examples to all that a run needs: vocabularies, the model's spec, encoded sets."""

# N rows of all sequences, D channels, K target values

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from birnn.bundle.spec import Spec
from birnn.data import Example
from birnn.errors import ConfigError, DataError, nearest
from birnn.inputs import (
    KINDS,
    Codec,
    Encoded,
    LearntInputs,
    Steps,
    Vocabularies,
    Vocabulary,
    kind_of,
)
from birnn.metrics import named_counts
from birnn.schema import prefixed
from birnn.tasks import TASKS, Head, Scorer
from birnn.training.checks import reject_shifted_targets
from birnn.training.recipe import Recipe
from birnn.training.start import WarmStart

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data and model description of a training run."""

    spec: Spec
    vocabularies: Vocabularies
    codec: Codec[Any]
    train: Encoded
    dev: Encoded
    train_where: Sequence[str]  # where each training example stands, file and line
    dev_examples: Sequence[Example]
    dev_golds: Sequence[Any]  # what answers to the dev set are held against
    initial: dict[str, Tensor]  # tensors that start from the data, by name
    class_weights: Tensor | None
    settings: Any  # of the head
    monitor: str  # the scorer's result that decides
    larger_is_better: bool
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of what is answered with, in the order of their ids; none for values."""
        known = self.vocabularies.get(self.spec.head.vocabulary or "")
        return () if known is None else known.items

    def new_scorer(self) -> Scorer:
        """An empty scorer of what the model answers to the dev set while it is trained."""
        return self.spec.head.training_scorer(self.labels, self.settings)

    @property
    def word_counts(self) -> Tensor | None:
        """How often each word stands in training, (V,); None without words."""
        return self.vocabularies["words"].counts if "words" in self.vocabularies else None


def prepare(
    task: str,
    train: Sequence[Example],
    dev: Sequence[Example],
    recipe: Recipe,
    start: WarmStart | None = None,
) -> Prepared:
    """Find out from the data what the model must be, and encode the data for it.

    Args:
        task: What is learnt.
        train: Labelled examples.
        dev: Labelled examples that decide which weights are kept.
        recipe: The settings.
        start: The model that training starts from, whose architecture the settings have; none by
            default.

    Raises:
        DataError: Nothing to learn from: no example, no label, a single label.
        ConfigError: Settings that do not fit the data.
        DirectionError: Two directions for tags that are the next step's token.
    """
    notes: list[str] = []
    _check_learnable(train, labelled=not TASKS[task].self_supervised)
    if TASKS[task].per_step:
        reject_shifted_targets(train, recipe.encoder)
    if start is not None:
        start.check_examples(train)
    encoder = recipe.encoder.stack(1)
    fitted = TASKS[task].fit(train, dev, recipe.head, encoder, notes)
    if faults := fitted.head.encoder_faults(encoder):
        raise ConfigError("; ".join(faults))
    kind = kind_of(fitted.train, recipe.inputs)
    if kind not in fitted.head.input_kinds:
        kinds = " or ".join(fitted.head.input_kinds)
        raise ConfigError(f"inputs.kind is {kind}, a {task} learns from {kinds}. Leave it out.")
    learnt = KINDS[kind].learn([*fitted.train, *fitted.further], recipe.inputs, notes)
    if start is not None:
        _check_width(learnt, recipe, start)
        fitted, learnt = start.grown(fitted, learnt, notes)
    head, labels = fitted.head, fitted.labels
    inputs, vocabularies, initial = learnt.inputs, learnt.vocabularies, dict(learnt.initial)
    if labels is not None:
        vocabularies = vocabularies | {str(head.vocabulary): labels}
    if head.has_labels and not head.per_step:
        # Pretrained vectors know more than ratios do.
        initial = inputs.class_tensors(fitted.train, vocabularies, recipe.inputs) | initial
    codec = inputs.codec(vocabularies)
    monitor, larger = _monitor(head, () if labels is None else labels.items, recipe)
    gold = head.golds(() if labels is None else labels.items, notes.append)
    prepared = Prepared(
        spec=Spec(inputs=inputs, encoder=recipe.encoder, head=head),
        vocabularies=vocabularies,
        codec=codec,
        train=head.encoded(codec, fitted.train),
        dev=head.encoded(codec, fitted.dev),
        train_where=[example.where or "" for example in train],
        dev_examples=fitted.dev,
        dev_golds=list(map(gold, fitted.dev, range(len(fitted.dev)))),
        initial=prefixed("inputs", initial) | prefixed("head", fitted.initial),
        class_weights=_class_weights(task, labels, recipe),
        settings=recipe.head,
        monitor=monitor,
        larger_is_better=larger,
        notes=notes,
    )
    unknown = head.scorer(prepared.labels)
    for target in prepared.dev_golds:
        unknown.update(target, head.right_answer(target))
    if strange := unknown.result().get("unknown_labels"):
        named = named_counts(strange)
        what = "labels" if head.has_labels else f"{head.vocabulary}"
        notes.append(f"{what} in dev that training never saw, counted as wrong: {named}")
    if kind == "symbols" and (unknown_symbols := _unknown(codec, fitted.dev)):
        named = named_counts(unknown_symbols)
        notes.append(f"symbols in dev that the model does not know, read as unknown: {named}")
    return prepared


def _monitor(head: Head, labels: Sequence[str], recipe: Recipe) -> tuple[str, bool]:
    """The score that chooses the weights, and whether higher is better."""
    directions, wanted = head.scorer(labels).directions, recipe.training.metric
    name = head.selection if wanted is None else wanted
    if name not in directions:
        raise ConfigError(
            f"training.metric is {name!r}, the dev scores of a {head.task} are "
            f"{', '.join(directions)}. Choose one of these."
        )
    return name, directions[name]


def _check_learnable(train: Sequence[Example], *, labelled: bool) -> None:
    if not any(len(example.inputs) for example in train):
        raise DataError("the training data holds no sequence with a step in it")
    for example in train:
        if labelled and example.target is None:
            raise DataError(f"{example.where or 'an example'}: training needs a target here")


def _unknown(codec: Codec[Any], examples: Sequence[Example]) -> Counter[str]:
    """The tokens that a model does not know."""
    counts: Counter[str] = Counter()
    for example in examples:
        places = np.flatnonzero(codec.unknown(cast("Steps", example.inputs)))
        counts.update(str(example.inputs[place]) for place in places)
    return counts


def _class_weights(task: str, labels: Vocabulary | None, recipe: Recipe) -> Tensor | None:
    wanted = recipe.training.class_weights
    if wanted == "none":
        return None
    if labels is None or not TASKS[task].has_labels:
        raise ConfigError(f"training.class_weights: a {task} has no classes")
    if wanted == "balanced":
        assert labels.counts is not None
        count_L = labels.counts.astype(np.float64)
        # A label of the model that training starts from may be none of the data's: it weighs 0.
        there_L = count_L > 0
        share_L = np.where(there_L, there_L.sum() * count_L, np.inf)
        return count_L.sum() / share_L  # type: ignore[no-any-return]
    unknown = [label for label in wanted if label not in labels]
    if unknown:
        hint = nearest(unknown[0], labels.items)
        raise ConfigError(f"training.class_weights: no label {unknown[0]!r}: {hint}")
    weights = np.array([wanted.get(label, 1.0) for label in labels.items])
    if not weights.any():
        raise ConfigError(
            "training.class_weights: every label weighs 0, so nothing would be learnt. "
            "Give one of them a weight above 0."
        )
    return weights


def _check_width(learnt: LearntInputs, recipe: Recipe, start: WarmStart) -> None:
    """Refuse pretrained vectors of another width than the words of the model have."""
    inputs = start.bundle.spec.inputs
    if learnt.inputs.width != inputs.width:
        width = learnt.initial["words.weight"].shape[1]
        raise ConfigError(
            f"{recipe.inputs.vectors}: its vectors are {width} wide, the words of {start.name} "
            f"{inputs.described_by()['word_dim']}. Give others, or none: new words then start at "
            "random."
        )
