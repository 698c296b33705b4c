"""Warm start: a trained model that goes on with other examples, new labels and new words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.bundle.documents import digest_of_value
from birnn.bundle.io import Bundle, BundleSource, as_bundle, tensors_digest
from birnn.bundle.quantising import dequantised
from birnn.data import Example, ReadOptions
from birnn.data.scheme_detection import find
from birnn.data.schemes import marks
from birnn.errors import ConfigError, DataError, UsageError, escaped, nearest
from birnn.inputs import LearntInputs, Symbols, Vectors, Vocabulary, restored
from birnn.metrics import named_counts
from birnn.runtime.loaded import reading_of
from birnn.tasks import FittedHead, Tags
from birnn.tasks.tag_schemes import tags_of
from birnn.training.recipe import Recipe, default

FREEZABLE = ("encoder", "inputs")
"""Parts of a model that may stay as they are."""
RATE = 0.5
"""Learning rate of a warm start by default, as a share of the task's: what was learnt is kept."""
SHOWN = 10  # labels that a notice names

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class WarmStart:
    """A model that training starts from.

    What it knew keeps its number and its weights: a label or a word of the new examples that it
    did not know gets a number after all others, and weights as in a fresh model.

    Args:
        bundle: The model.
        name: How it is called where it has to be named.
        freeze: Parts that stay as they are, of `FREEZABLE`.
    """

    bundle: Bundle
    name: str
    freeze: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: BundleSource, freeze: Sequence[str] = ()) -> WarmStart:
        """A model as training takes it.

        Args:
            model: A bundle, its folder, or what `birnn.load` gave.
            freeze: Parts that stay as they are.

        Raises:
            BundleError: A folder that holds no whole bundle.
            UsageError: A part that cannot stay as it is.
        """
        parts = (freeze,) if isinstance(freeze, str) else tuple(freeze)
        for part in parts:
            if part not in FREEZABLE:
                raise UsageError(f"freeze names {part!r}: {nearest(part, FREEZABLE)}")
        name = str(model) if isinstance(model, str | Path) else "a model in memory"
        return cls(as_bundle(model), name, tuple(sorted(set(parts))))

    def check_task(self, task: str | None) -> str:
        """The task of the model, which is the one that is asked for, or left to it.

        Raises:
            UsageError: Another task.
        """
        own = self.bundle.spec.task
        if task not in (None, own):
            raise UsageError(
                f"{self.name} holds a {own}, and a {task} cannot start from it. Leave the task to "
                f"the model, or start from a {task}."
            )
        return own

    def check_out(self, out: str | Path) -> None:
        """Refuse to write the new model in the place of this one.

        Raises:
            UsageError: It is the same folder.
        """
        if Path(self.name).exists() and Path(out).exists() and Path(out).samefile(self.name):
            raise UsageError(
                f"training starts from {self.name}, and is to write there as well. "
                "Give another --out."
            )

    # ------------------------------------------------------------------ before the data is read

    def recipe(self, recipe: Recipe) -> Recipe:
        """A recipe with the model's architecture, and a lower learning rate unless one was set.

        Args:
            recipe: Of the model's task.

        Raises:
            ConfigError: Settings that ask for another architecture; all are named.
        """
        settings = self._architecture(recipe)
        differing = [
            f"{key} is {now}, {self.name} has {own}"
            for key, own in settings.items()
            if key in recipe.chosen and (now := _setting(recipe, key)) not in (own, "auto")
        ]
        if differing:
            raise ConfigError(
                f"{'; '.join(differing)}: the architecture is that of the model that training "
                "starts from. Leave these settings out, or train a new model."
            )
        if "inputs" in self.freeze and recipe.inputs.vectors is not None:
            raise ConfigError(
                "inputs.vectors are for new words, and frozen inputs take none. Leave out one of "
                "them."
            )
        rate = "training.learning_rate"
        if rate not in recipe.chosen:
            usual = default(recipe.task, self.bundle.spec.inputs.kind).training.learning_rate
            settings[rate] = RATE * usual
        return recipe.with_settings(settings)

    def _architecture(self, recipe: Recipe) -> dict[str, Any]:
        """Settings of a recipe that make this model, by their full names."""
        spec = self.bundle.spec
        inputs = {"kind": spec.inputs.kind, **spec.inputs.described_by()}
        encoder = {name: getattr(spec.encoder, name) for name in type(spec.encoder).model_fields}
        of_head = type(spec.head).model_fields
        names = [name for name in type(recipe.head).model_fields if name in of_head]
        parts = (
            ("inputs", inputs),
            ("encoder", encoder),
            ("head", {name: getattr(spec.head, name) for name in names}),
        )
        return {f"{part}.{name}": own for part, found in parts for name, own in found.items()}

    def reading(self, given: ReadOptions) -> ReadOptions:
        """Options of reading: those given, and the others as in the model's training."""
        return reading_of(self.bundle, given)

    # ------------------------------------------------------------------ with the data

    def check_examples(self, train: Sequence[Example]) -> None:
        """Refuse examples of another kind than the model was trained on.

        Raises:
            DataError: Other channels, symbols of several characters, another tag scheme.
        """
        inputs, head = self.bundle.spec.inputs, self.bundle.spec.head
        for example in train:
            where = example.where or "an example"
            if isinstance(inputs, Vectors) and len(example):
                channels = np.shape(example.inputs)[-1]
                if channels != inputs.size:
                    raise DataError(
                        f"{where}: {channels} channels, {self.name} reads {inputs.size}. Give it "
                        "the channels that it was trained on."
                    )
            if isinstance(inputs, Symbols) and (word := self._word(example)):
                raise DataError(
                    f"{where}: {escaped(word)!r} are several characters, and {self.name} reads "
                    "single ones. Start from a model of words."
                )
        if isinstance(head, Tags):
            self._check_scheme(head, train)

    def _word(self, example: Example) -> str | None:
        """A step of several characters, where all symbols of the model are single ones."""
        known = self.bundle.vocabularies["symbols"][1:]
        if any(len(symbol) != 1 for symbol in known):
            return None
        return next((step for step in map(str, example.inputs) if len(step) > 1), None)

    def _check_scheme(self, head: Tags, train: Sequence[Example]) -> None:
        found = find(map(tags_of, train)).scheme
        if found == "none" and head.scheme != "none":
            labels = sorted({tag for example in train for tag in tags_of(example)})
            if any(marks(label, head.scheme) for label in labels):
                return
            named = ", ".join(labels[:SHOWN]) + ("..." if len(labels) > SHOWN else "")
            raise DataError(
                f"{self.name} has tags that mark spans as {head.scheme.upper()}, and no training "
                f"tag does: {named}. Convert them, or start from a model of single tags."
            )
        if found in ("none", head.scheme):
            return
        if head.scheme == "none":
            # Whoever trained it may have taken marks of spans as they are.
            if any(marks(label, found) for label in self.bundle.vocabularies["labels"]):
                return
            own = "as labels of single steps"
        elif {found, head.scheme} in ({"iob1", "iob2"}, {"iob1-suffix", "iob2-suffix"}):
            return  # the letters are the same: tags alone may not tell which is meant
        else:
            own = f"as {head.scheme.upper()}"
        raise DataError(
            f"the training tags mark spans as {found.upper()}, {self.name} has tags {own}. "
            "Convert them, or start from a model of this scheme."
        )

    def grown(
        self, fitted: FittedHead, learnt: LearntInputs, notes: list[str]
    ) -> tuple[FittedHead, LearntInputs]:
        """Head and inputs that know what the model knows, and after it what the examples add.

        Args:
            fitted: The head that fits the examples by themselves.
            learnt: The inputs that fit them.
            notes: Receives notices, a line each.

        Raises:
            DataError: Targets of another size.
        """
        known = restored(self.bundle.vocabularies)
        spec = self.bundle.spec
        if spec.precision != "float32":
            notes.append(f"{self.name} is in {spec.precision}: its weights start dequantised")
        head, labels, initial = spec.head, fitted.labels, fitted.initial
        if labels is not None:
            own, new = known[str(head.vocabulary)], labels
            labels = own.grown(new)
            self._tell_labels(own, new, notes)
            initial = {name: _rows_moved(rows, new, labels) for name, rows in initial.items()}
        head = head.continued(fitted.head, head.size if labels is None else len(labels))
        grown = replace(fitted, head=head, labels=labels, initial=initial)
        if "inputs" in self.freeze:
            kept = {name: known[name] for name in spec.inputs.vocabularies()}
            if kept:
                what = " and ".join(kept)
                notes.append(f"inputs are frozen: {what} that {self.name} does not know stay so")
            return grown, LearntInputs(spec.inputs, kept)
        vocabularies = {name: known[name].grown(new) for name, new in learnt.vocabularies.items()}
        for name in list(vocabularies)[:1]:
            held, all_of = known[name], vocabularies[name]
            notes.append(
                f"{name}: {self.name} knows {len(held) - held.unknown:,}, "
                f"{len(all_of) - len(held):,} of the training data are added"
            )
        inputs = spec.inputs.resized({name: len(each) for name, each in vocabularies.items()})
        first = next(iter(vocabularies), None)
        start = {
            name: rows if first is None else _rows_moved(rows, learnt.vocabularies[first],
                                                         vocabularies[first])
            for name, rows in learnt.initial.items()
        }  # fmt: skip
        return grown, LearntInputs(inputs, vocabularies, start)

    def _tell_labels(self, own: Vocabulary, new: Vocabulary, notes: list[str]) -> None:
        what = str(self.bundle.spec.head.vocabulary)
        assert new.counts is not None
        added = {
            item: int(count)
            for item, count in zip(new.items, new.counts, strict=True)
            if item not in own
        }
        if added:
            notes.append(f"{what} that {self.name} did not know, added: {named_counts(added)}")
        kept = [escaped(item) for item in own.items if item not in new]
        if kept:
            more = f" and {len(kept) - SHOWN:,} more" if len(kept) > SHOWN else ""
            notes.append(
                f"{what} of {self.name} that the training data does not have, kept: "
                f"{', '.join(kept[:SHOWN])}{more}"
            )

    def weights(self, fresh: Tensors) -> dict[str, npt.NDArray[Any]]:
        """Tensors of a grown model: the model's own, and where it has grown those of a fresh one.

        What was known keeps its number, so that its weights are the leading block of each tensor.

        Args:
            fresh: Tensors of the grown model, freshly initialised.
        """
        found, known = {}, dequantised(self.bundle).tensors
        for name, tensor in fresh.items():
            own = known[name]
            found[name] = tensor.copy()
            found[name][tuple(map(slice, own.shape))] = own
        return found

    # ------------------------------------------------------------------ what it was

    def record(self) -> dict[str, Any]:
        """The origin of a model, for its metadata."""
        origin = {"model": self.name, "sha256": tensors_digest(self.bundle)}
        return origin | ({"frozen": list(self.freeze)} if self.freeze else {})

    def digest(self) -> str:
        """Digest of all that a run takes from the model."""
        bundle = self.bundle
        held = {name: list(items) for name, items in bundle.vocabularies.items()}
        spec = bundle.spec.model_dump(mode="json")
        return digest_of_value([spec, held, tensors_digest(bundle)])


def _setting(recipe: Recipe, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(recipe, section), name)


def _rows_moved(rows: npt.NDArray[Any], own: Vocabulary, grown: Vocabulary) -> npt.NDArray[Any]:
    """Rows of the items of one vocabulary, at their numbers in a grown one; zeros elsewhere."""
    moved = np.zeros((len(grown), *rows.shape[1:]), rows.dtype)
    moved[grown.ids(own.items)] = rows
    return moved
