"""A model from a bundle: what it is, and how it reads sequences and files."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from birnn.bundle.checks import LONGEST_FAULT
from birnn.bundle.io import Bundle, load
from birnn.bundle.quantising import in_precision
from birnn.bundle.spec import Spec
from birnn.data.examples import Example
from birnn.data.options import ReadOptions
from birnn.data.read import read, text_example
from birnn.errors import BundleError, ConfigError, Tell, log_notice
from birnn.inputs import Steps
from birnn.reference.low_precision import check_precision
from birnn.runtime.batches import BatchRunner
from birnn.runtime.validation import GivenText, validated


class LoadedModel:
    """What a predictor knows before it is asked.

    Args:
        bundle: The model.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._runner = BatchRunner(bundle)
        self._head = self._runner.network.head

    @classmethod
    def load(
        cls, folder: str | Path, *, precision: str | None = None, tell: Tell = log_notice
    ) -> Self:
        """A model from the folder that training wrote, or from the Hugging Face Hub.

        Args:
            folder: The folder, or an address: ``hf://user/name@revision``.
            precision: ``int8`` or ``bf16`` to quantise a float32 model in memory, ``float32`` to
                dequantise one; None for the precision that it has.
            tell: Takes each notice about it, one line; by default the logger ``birnn`` does.

        Raises:
            BundleError: It holds no whole bundle, or the Hub does not give it; or it is quantised,
                and another low precision is asked for.
            MissingExtra: An address, without the extra ``hub``.
            ConfigError: A precision that does not exist.
        """
        wanted = None if precision is None else check_precision(precision)
        bundle = load(folder, tell=tell)
        return cls(in_precision(bundle, wanted, name=str(folder), tell=tell))

    def __reduce__(self) -> tuple[Any, ...]:
        # By its bundle: packed weights belong to this process, and the folder may be gone.
        return type(self), (self._bundle,)

    def __repr__(self) -> str:
        spec, name = self.spec, type(self).__name__
        size = f"{spec.parameter_count():,} parameters, {spec.precision}"
        return f"{name}({spec.task}, {spec.inputs.kind}, {size})"

    @property
    def bundle(self) -> Bundle:
        """The model as data."""
        return self._bundle

    @property
    def spec(self) -> Spec:
        """What the model is."""
        return self._bundle.spec

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or target symbols it answers with, by id; empty for a regressor.

        Number 0 of target symbols is the boundary symbol, which is part of no answer.
        """
        return self._bundle.vocabularies.get(self.spec.head.vocabulary or "", ())

    @property
    def metadata(self) -> dict[str, Any]:
        """How it was trained."""
        return copy.deepcopy(dict(self._bundle.metadata))

    @property
    def metrics(self) -> dict[str, Any]:
        """What it reached when it was trained."""
        return copy.deepcopy(dict(self._bundle.metrics))

    @property
    def runner(self) -> BatchRunner:
        """Its codec and its network, and batches through them."""
        return self._runner

    def validated(self, sequences: Any) -> Iterator[Steps]:
        """Sequences as `predict` takes them, validated and split into steps, one by one.

        Args:
            sequences: As for `predict`.

        Raises:
            DataError: A sequence that the model cannot read.
        """
        return self._validated(sequences)

    def read_options(self, given: ReadOptions = ReadOptions()) -> ReadOptions:  # noqa: B008
        """Options of reading for this model: those given, and the others as in training.

        Raises:
            BundleError: The options that the bundle kept are not valid.
        """
        return reading_of(self._bundle, given)

    def read(
        self,
        path: str | Path,
        options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
        *,
        labelled: bool = False,
        tell: Tell = log_notice,
    ) -> Iterator[Example]:
        """The sequences of a file as this model reads them, one by one.

        Args:
            path: The file, or ``-`` for standard input.
            options: Options of reading; those not given are as in training.
            labelled: Whether targets are read; if not, the file need not have them.
            tell: Takes each notice about the file, one line; by default the logger ``birnn`` does.

        Raises:
            FormatError: A file that cannot be read.
            UsageError: A format that does not exist or does not fit the model.
        """
        return read(
            path,
            self.spec.head.target,
            self.read_options(options),
            labelled=labelled and not self.spec.head.self_supervised,
            alphabet=self._runner.codec.alphabet,
            labels=self.labels,
            tell=tell,
        )

    def example(
        self,
        text: str,
        options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
        *,
        tell: Tell = log_notice,
    ) -> Example:
        """One text as this model reads it, with the text as it is.

        Args:
            text: The text; line breaks are white space.
            options: Options of reading; those not given are as in training.
            tell: Takes each notice, one line; by default the logger ``birnn`` does.

        Raises:
            FormatError: A text of more tokens than the options allow.
        """
        return text_example(
            text,
            self.spec.head.target,
            self.read_options(options),
            alphabet=self._runner.codec.alphabet,
            tell=tell,
        )

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text as this model reads it: the steps that it answers for.

        Split at white space if the text looks tokenised, else by the tokeniser; if neither is
        clear, or training set ``split``, as in training. `birnn.data.tokenise` and ``str.split``
        do one or the other for any text.

        Args:
            text: What `predict` takes as one sequence.

        Raises:
            DataError: The model reads vectors.
        """
        return [str(token) for token in next(self._validated([text]))]

    def _validated(
        self,
        sequences: Any,
        first: int = 0,
        texts: deque[GivenText] | None = None,
        tell: Tell = log_notice,
    ) -> Iterator[Steps]:
        return validated(
            self.spec,
            self._runner.codec,
            sequences,
            first=first,
            split=self._reading.split,
            source_split=self._reading.source_split,
            tell=tell,
            options=self.read_options,
            missing=self._reading.missing,
            texts=texts,
        )

    @cached_property
    def _reading(self) -> ReadOptions:
        return self.read_options()


def reading_of(bundle: Bundle, given: ReadOptions) -> ReadOptions:
    """Options of reading for a model: those given, and the others as in its training.

    Raises:
        BundleError: The options that the bundle kept are not valid.
    """
    metadata = bundle.metadata
    # Bundles of birnn 0.1 kept the field alone.
    kept = metadata.get("reading") or {"field": metadata.get("field")}
    try:
        return given.over(kept if isinstance(kept, dict) else {})
    except ConfigError as error:
        fault = str(error)[:LONGEST_FAULT]
        raise BundleError(f"the bundle says how its files were read: {fault}") from None
