"""A trained model at work, with no torch: predict, stream, evaluate."""

# N rows of all sequences, B sequences, L labels, W width of an input row

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from birnn.data.alphabet import split_symbols
from birnn.data.objects import examples as labelled_examples
from birnn.data.options import ReadOptions, ReadRequest
from birnn.errors import DataError, Tell, UsageError, log_notice
from birnn.inputs import Steps
from birnn.runtime.annotation import Annotator
from birnn.runtime.batches import WINDOW
from birnn.runtime.evaluation import Evaluation
from birnn.runtime.heads import Answering
from birnn.runtime.search import Hypothesis, Search
from birnn.runtime.streaming import Online
from birnn.tasks.annotated import Scores


class Predictor(Annotator):
    """A model from a bundle, ready to answer.

    Thread-safe. It can be pickled and copied, without its folder.

    Args:
        bundle: The model.

    Example:
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=Tags(size=2)
        ... )
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
        >>> Predictor(Bundle(spec, vocabularies, tensors)).predict(["ACA", ""])
        [['coil', 'coil', 'coil'], []]
    """

    def predict(
        self, sequences: Iterable[Any], *, search: Search | None = None, tell: Tell = log_notice
    ) -> list[Any]:
        """Answers for sequences, in their order.

        Args:
            sequences: Lists of tokens; of words also plain texts, split as `tokens` says; for
                symbols also plain strings; for vectors arrays (steps, channels). Length 0 is legal.
                Of a data frame or a dict of columns the column of texts or tokens is read, of a
                dict or a `birnn.data.Example` the sequence.
            search: How targets are searched for, by a model that writes sequences; by default a
                beam of 5.
            tell: Takes each notice, one line; by default the logger ``birnn`` does.

        Returns:
            For each sequence its tags (a list of strings), its label (a string), its values
            (a list of numbers), the symbols of its best target (a list of strings) or the best
            word for each of its gaps (a list of strings).

        Raises:
            DataError: A sequence that the model cannot read; the message names it, and the step.
            UsageError: A search, and a model that does not search.
        """
        return list(self.stream(sequences, search=search, tell=tell))

    def predict_nbest(
        self,
        sequences: Iterable[Any],
        *,
        search: Search | None = None,
        attention: bool = False,
    ) -> list[list[Hypothesis]]:
        """The best targets of each sequence, with scores, by a model that writes sequences.

        Args:
            sequences: As for `predict`.
            search: How they are searched for, and how many are given.
            attention: Whether each comes with its attention.

        Returns:
            For each sequence at most ``search.nbest`` distinct targets: those that ended first,
            the best score first.

        Raises:
            UsageError: A model of another task.
            DataError: A sequence that the model cannot read.

        Example:
            >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols
            >>> from birnn.tasks import TargetSequence
            >>> head = TargetSequence(size=3, dim=2, hidden_size=4)
            >>> spec = Spec(
            ...     inputs=Symbols(size=3, dim=2), encoder=Encoder(hidden_size=2), head=head
            ... )
            >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
            >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "targets": ("<s>", "AA1", "K")}
            >>> predictor = Predictor(Bundle(spec, vocabularies, tensors))
            >>> [nbest] = predictor.predict_nbest(["CA"], search=Search(nbest=2, length_penalty=0))
            >>> [(found.symbols, round(found.score, 3)) for found in nbest]
            [((), -1.099), (('AA1',), -2.197)]
        """
        return list(self.stream_nbest(sequences, search=search, attention=attention))

    def score_targets(
        self,
        sequences: Iterable[Any],
        targets: Iterable[Any],
        *,
        search: Search | None = None,
        attention: bool = False,
    ) -> list[Hypothesis]:
        """Log-probabilities of given targets, by a model that writes sequences.

        Args:
            sequences: As for `predict`.
            targets: The target of each: a list of symbols, or a text that is split as training
                split its targets.
            search: Its ``length_penalty`` is that of the scores.
            attention: Whether each comes with its attention.

        Returns:
            Each target with its scores, to the bit those that a search finds for it.

        Raises:
            UsageError: A model of another task.
            DataError: A sequence that the model cannot read, a symbol that it cannot write, or
                another number of targets.
        """
        way = self.read_options().target_split
        given = [
            split_symbols(target, way) if isinstance(target, str) and way else target
            for target in targets
        ]
        answering = self._head.given_targets(given, search, attention=attention)
        inputs = list(self._validated(sequences))
        if len(given) != len(inputs):
            raise DataError(f"there are {len(inputs)} sequences and {len(given)} targets")
        return self._runner.run(inputs, answering)

    def predict_proba(self, sequences: Iterable[Any], *, tell: Tell = log_notice) -> Any:
        """Probabilities of the labels, in the order of `labels`.

        Args:
            sequences: As for `predict`.
            tell: As for `predict`.

        Returns:
            For a tagger a list of arrays (T, L): softmax, or with a CRF the marginals over all
            allowed tag sequences. For a classifier one array (B, L). Rows sum to 1.

        Raises:
            UsageError: The model is a regressor.
            DataError: A sequence that the model cannot read.
        """
        answering = self._head.probabilities(with_answers=False)
        given = self._validated(sequences, tell=tell)
        found = list(self._runner.stream(given, answering, tell=tell))
        if self.spec.head.per_step:
            return found
        return np.array(found, np.float32).reshape(len(found), len(self.labels))

    def scores(self, sequences: Iterable[Any]) -> list[npt.NDArray[Any]]:
        """Scores before they are decoded, which exported models are compared by.

        Args:
            sequences: As for `predict`.

        Returns:
            For each sequence the scores (T, L) of a tagger (the emissions of a CRF), the logits
            (L,) of a classifier, or the values (K,) of a regressor, in the units of its targets.

        Raises:
            DataError: A sequence that the model cannot read.
        """
        return self._runner.run(list(self._validated(sequences)), self._head.scores())

    def decode(self, scores: Sequence[npt.NDArray[Any]]) -> list[Any]:
        """Answers for scores that `scores`, or an exported model, has given.

        Args:
            scores: Of each sequence what `scores` gives: (T, L) of a tagger, without padding;
                (L,) of a classifier; (K,) of a regressor, in the units of its targets, which are
                its answers as they stand. Where these have an offset, `birnn.export.with_offset`
                adds it to what a Keras model or a JAX program gives.

        Returns:
            Answers, in the form of `predict`.

        Example:
            >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
            >>> spec = Spec(inputs=Symbols(size=2, dim=1), encoder=Encoder(), head=Tags(size=2))
            >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
            >>> vocabularies = {"symbols": ("<unk>", "A"), "labels": ("coil", "helix")}
            >>> predictor = Predictor(Bundle(spec, vocabularies, tensors))
            >>> predictor.decode([np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)])
            [['helix', 'coil']]
        """
        return self._head.decode(scores)

    def stream(
        self,
        sequences: Iterable[Any],
        *,
        window: int = WINDOW,
        wait: bool = True,
        search: Search | None = None,
        tell: Tell = log_notice,
    ) -> Iterator[Any]:
        """As `predict`, answer by answer; memory does not grow with the number of sequences.

        Args:
            sequences: As for `predict`; read ahead by at most ``window`` sequences.
            window: Sequences that are sorted by length and run together; 1 answers each at once.
            wait: Whether to wait until a window is full. If not, sequences are answered as they
                arrive, read in a thread of their own.
            search: As for `predict`.
            tell: As for `predict`.

        Raises:
            UsageError: A window below 1; a search, and a model that does not search.
            DataError: A sequence that the model cannot read; those before it are answered.
        """
        return self._stream(sequences, self._head.answers(search), window, wait, tell)

    def stream_nbest(
        self,
        sequences: Iterable[Any],
        *,
        search: Search | None = None,
        attention: bool = False,
        window: int = WINDOW,
        wait: bool = True,
    ) -> Iterator[list[Hypothesis]]:
        """As `predict_nbest`, source by source.

        Args:
            sequences: As for `predict`; read ahead by at most ``window`` sequences.
            search: As for `predict_nbest`.
            attention: As for `predict_nbest`.
            window: As for `stream`.
            wait: As for `stream`.

        Raises:
            UsageError: A window below 1; a model of another task.
            DataError: A sequence that the model cannot read; those before it are answered.
        """
        answering = self._head.hypotheses(search, attention=attention)
        return self._stream(sequences, answering, window, wait)

    def stream_proba(
        self, sequences: Iterable[Any], *, window: int = WINDOW, wait: bool = True
    ) -> Iterator[tuple[Any, Any]]:
        """As `stream`, each answer with the probabilities that `predict_proba` gives.

        With a CRF the answer is the best tag sequence as a whole: its tags need not be the most
        probable ones of their steps.

        Args:
            sequences: As for `predict`; read ahead by at most ``window`` sequences.
            window: As for `stream`.
            wait: As for `stream`.

        Returns:
            For each sequence its answer and its probabilities: (T, L) for a tagger, (L,) for a
            classifier, in the order of `labels`.

        Raises:
            UsageError: The model is a regressor, or a window below 1.
            DataError: A sequence that the model cannot read; those before it are answered.
        """
        return self._stream(sequences, self._head.probabilities(with_answers=True), window, wait)

    def online(self) -> Online:
        """A streaming session, which answers at each step of a sequence as it arrives.

        Raises:
            DirectionError: The encoder has two directions.
            UsageError: The tags are decoded by a CRF, which needs the whole sequence.

        Example:
            >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
            >>> encoder = Encoder(hidden_size=2, bidirectional=False)
            >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=encoder, head=Tags(size=2))
            >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
            >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
            >>> session = Predictor(Bundle(spec, vocabularies, tensors)).online()
            >>> [session.step(symbol) for symbol in "ACA"]
            ['coil', 'coil', 'coil']
        """
        return Online(self.spec, self._runner.codec, self._runner.embed, self._runner.network)

    def evaluate(
        self,
        examples: str | Path | Iterable[Any],
        *,
        search: Search | None = None,
        tell: Tell = log_notice,
        **reading: Any,
    ) -> dict[str, Any]:
        """Measures of the model on labelled data.

        Args:
            examples: A file, or examples with targets: `birnn.data.Example` objects, pairs
                (sequence, target), ``(X, y)``, dicts, a data frame, a split of a data set.
            search: As for `predict`.
            tell: Takes each notice about the file, one line; by default the logger ``birnn`` does.
            reading: How the file is read, the arguments of `birnn.data.ReadOptions`; what is not
                given is as in training, where the model says so.

        Returns:
            The measures of `birnn.metrics` for the task, and ``sequences``,
            ``empty_sequences``, ``tokens``, ``seconds`` (of prediction), ``tokens_per_second``,
            for labels and tags also ``unknown_labels``: gold labels that the model never saw,
            each with its count (of spans, those of types that it never saw); they count as wrong.
            Spans in letters of another scheme than the model's (U-PER for B-PER) are compared as
            spans, with a notice.

        Raises:
            DataError: A file that cannot be read, no example, or one without a target or with a
                target of another kind.
        """
        found = self.evaluation(examples, search=search, tell=tell, **reading)
        for _ in found.windows():
            pass
        return found.result()

    def evaluation(
        self,
        examples: str | Path | Iterable[Any],
        *,
        search: Search | None = None,
        tell: Tell = log_notice,
        **reading: Any,
    ) -> Evaluation:
        """As `evaluate`, with the answers themselves; arguments and errors are the same.

        Example:
            >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
            >>> spec = Spec(inputs=Symbols(size=2, dim=1), encoder=Encoder(), head=Tags(size=2))
            >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
            >>> vocabularies = {"symbols": ("<unk>", "A"), "labels": ("coil", "helix")}
            >>> found = Predictor(Bundle(spec, vocabularies, tensors)).evaluation(
            ...     [("AA", ["coil", "helix"])]
            ... )
            >>> [(each.gold, each.counted) for window in found.windows() for each in window]
            [(('coil', 'helix'), ['coil', 'coil'])]
            >>> found.result()["accuracy"]
            0.5
        """
        options = self.read_options(ReadOptions.of(reading))
        if isinstance(examples, str | Path):
            examples = self.read(examples, options, labelled=True, tell=tell)
        else:
            head, alphabet = self.spec.head, self._runner.codec.alphabet
            request = ReadRequest(
                head.target, not head.self_supervised, options=options, alphabet=alphabet, tell=tell
            )
            examples = labelled_examples(examples, request)
        return Evaluation(
            examples,
            self.spec.head,
            self.labels,
            self._runner,
            self._head.answers(search),
            self._validated,
            tell,
        )

    def scored(self, sequences: list[Steps], *, search: Search | None = None) -> list[Scores]:
        """Answers to validated sequences, and how sure the model is of them.

        Args:
            sequences: What `validated` gave.
            search: As for `predict`.
        """
        if search is None:
            return self._runner.run(sequences, self._head.annotations(None))
        found = self._head.hypotheses(search, attention=False)
        return [Scores(list(n[0].symbols), n) for n in self._runner.run(sequences, found)]

    def _stream(
        self,
        sequences: Any,
        answering: Answering,
        window: int,
        wait: bool,
        tell: Tell = log_notice,
    ) -> Iterator[Any]:
        if window < 1:
            raise UsageError(f"window is {window}, it must be a whole number from 1 on")
        given = self._validated(sequences, tell=tell)
        return self._runner.stream(given, answering, window, wait, tell)
