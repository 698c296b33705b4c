"""The filler: the likeliest words for each gap of a text, learnt from raw text."""

# N rows of all sequences, B sequences, T steps of one, G gaps of all sequences, L output words

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from birnn.data.examples import Example
from birnn.data.gaps import GAP, filled, gap_offsets, marked, with_gaps
from birnn.data.offsets import Offsets
from birnn.errors import DataError, UsageError, escaped
from birnn.inputs.encoding import Batch, Encoded
from birnn.inputs.kind import Codec, Split, Steps
from birnn.inputs.vocabulary import Vocabulary
from birnn.inputs.words import WordRows
from birnn.ragged import Ragged
from birnn.reference.softmax import softmax
from birnn.reference.stack import Stack
from birnn.schema import Shape, Size
from birnn.tasks.annotated import AnswerParts, Scores, named_probabilities, ranked
from birnn.tasks.errors import AnswerError, step_errors
from birnn.tasks.gap_drawing import Truths, asked_words, drawn
from birnn.tasks.gap_scores import GapScorer, ScoredGaps
from birnn.tasks.gap_words import GapFields, GapSettings
from birnn.tasks.head import Array, BatchChange, FittedHead, HeadLayer, Lengths, Tensors
from birnn.tasks.scored import (
    Decoder,
    Scored,
    count_labels,
    labels_by_step,
)


class Gaps(Scored, GapFields):
    """A word for each gap, read off the encoder's row there; the other rows have no answer."""

    task: ClassVar = "filler"
    target: ClassVar = "gaps"
    gives: ClassVar = f"the likeliest word for each gap, which is written {GAP}"
    key: ClassVar = "words"
    counts_answers: ClassVar = False  # but how likely the right words were
    file: ClassVar = "data.txt"
    hub_task: ClassVar = "fill-mask"
    settings: ClassVar = GapSettings
    defaults: ClassVar = {
        None: {
            "inputs": {"kind": "words", "character_hidden": 0, "surface_dim": 0},
            "dropout": {"rare_words": 0.5, "inputs": 0.2, "layers": 0.2, "output": 0.3},
            "training": {"rows": 6_000_000, "epochs_range": [3, 60]},
        },
    }
    input_kinds: ClassVar = ("words",)
    self_supervised: ClassVar = True
    ranks: ClassVar = True
    per_step: ClassVar = True
    probabilities_in_json: ClassVar = True
    answer_comment: ClassVar = "# a list of words for each text, one for each gap"

    kind: Literal["gaps"] = "gaps"
    size: Size = Field(description="words that a gap is filled with")

    # ------------------------------------------------------------------ as data

    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes of its layers on the encoder's rows."""
        return self.layer_tensors(encoder.output_size)

    def vocabulary_faults(self, vocabularies: Mapping[str, Sequence[str]]) -> list[str]:
        """A fault if gaps would be filled with gaps."""
        if GAP not in vocabularies["labels"]:
            return []
        return [f"the vocabulary of labels has {GAP}, which stands for a gap and fills none"]

    # ------------------------------------------------------------------ training

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: GapSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head for the most frequent words of training; dev with fixed gaps."""
        del encoder
        head = cls(size=1, **settings.model_dump(include=set(GapFields.model_fields)))
        texts = [replace(e, inputs=head.filled_in(e), target=None) for e in train]
        written = Counter(token for example in texts for token in example.inputs)
        counts: Counter[str] = Counter()
        for token, count in written.items():
            if head.may_fill(token):
                counts[head.word(token)] += count
        if len(counts) < 2:
            only = "".join(f" but {escaped(word)!r}" for word in counts)
            raise DataError(
                f"the training texts hold no word{only}: there is nothing to choose from. "
                "Give texts of several words."
            )
        every = count_labels(counts.elements())
        assert every.counts is not None
        kept = slice(settings.words)
        labels = Vocabulary(every.items[kept], every.counts[kept], unknown=False)
        assert labels.counts is not None
        total, known = counts.total(), int(labels.counts.sum())
        notices.append(
            f"gaps are filled with the {len(labels):,} most frequent of {len(every):,} words, "
            f"{100 * known / total:.1f} % of the text; the others"
            + (" are" if head.punctuation else " and punctuation are")
            + " read, and not learnt"
        )
        asked = [head.question(example, number) for number, example in enumerate(dev)]
        _tell_unknown(asked, labels, head, notices)
        return FittedHead(
            head=head.model_copy(update={"size": len(labels)}),
            train=texts,
            dev=asked,
            labels=labels,
            # As likely as they are frequent, before anything is learnt of what stands around.
            initial={"linear.bias": np.log(labels.counts / known).astype(np.float32)},
            # As often as an epoch shows it.
            further=[Example((GAP,) * max(1, round(settings.share * total)))],
        )

    def question(self, example: Example, number: int) -> Example:
        """A raw text with gaps, always the same ones, whose words are its target.

        Example:
            >>> text = Example(("to", "be", "or", "not", "to", "be"))
            >>> asked = Gaps(size=1).question(text, 0)
            >>> asked.inputs.count(GAP) == len(asked.target) >= 1
            True
            >>> asked == Gaps(size=1).question(asked, 5)
            True
        """
        tokens, given = _tokens(example), example.target
        if given is not None:
            known = tuple(map(self.word, given)) if isinstance(given, tuple | list) else given
            return replace(example, inputs=tokens, target=known)
        own = np.array([token == GAP for token in tokens], np.bool_)
        may = np.array([self.may_fill(token) for token in tokens], np.bool_)
        gaps = asked_words(may, number)
        inputs = tuple(GAP if gap else t for t, gap in zip(tokens, gaps.tolist(), strict=True))
        # Of a gap that the text has itself the word is not known.
        words = tuple(self.word(t) for t, new in zip(tokens, gaps | own, strict=True) if new)
        return replace(example, inputs=inputs, target=words, text=None)

    def filled_in(self, example: Example) -> tuple[str, ...]:
        """The tokens of an example; its gaps are the words that its target has for them.

        Example:
            >>> Gaps(size=1).filled_in(Example(("I", "___", "here"), ("am",)))
            ('I', 'am', 'here')
        """
        tokens = _tokens(example)
        if example.target is None:
            return tokens
        words = iter(self.check_target(example, example.where or "an example"))
        return tuple(next(words) if token == GAP else token for token in tokens)

    def check_target(self, example: Example, where: str) -> tuple[str, ...]:
        """The words of an example's gaps."""
        words, gaps = example.target, int(self.asked([_tokens(example)]).sum())
        if not isinstance(words, tuple | list):
            raise DataError(f"{where}: its target is {words!r}, a filler needs a word for each gap")
        if len(words) != gaps:
            raise DataError(f"{where}: {len(words)} words for {gaps} gaps. Give every gap one.")
        return tuple(words)

    def golds(self, labels: Sequence[str], tell: Any) -> Callable[[Example, int], Any]:
        """A function from an example and its number to the words of its gaps, as answers are."""
        checked = super().golds(labels, tell)

        def gold(example: Example, number: int) -> tuple[str, ...]:
            return tuple(map(self.word, checked(example, number)))

        return gold

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Numbers of the words of all steps, (N,); -1 where there is none to learn."""
        assert labels is not None
        words: list[str] = []
        for example in examples:
            tokens = _tokens(example)
            if example.target is None:
                words += tokens
                continue
            gold = iter(self.check_target(example, example.where))
            words += [next(gold) if token == GAP else "" for token in tokens]
        distinct = set(words)
        number = {word: labels.id(self.word(word)) for word in distinct} | {GAP: -1, "": -1}
        return np.array([number[word] for word in words], np.int64)

    def encoded(self, codec: Codec[Any], examples: Sequence[Example]) -> Encoded:
        """Encode examples with their words; the gaps that they have are asked for."""
        found = super().encoded(codec, examples)
        asked = self.asked([_tokens(example) for example in examples])
        return found.with_targets(found.targets, per_step=True, asked=asked)

    def training_batches(self, codec: Codec[Any]) -> BatchChange:
        """Batches with gaps in the place of words, drawn anew for each.

        The row of the gap takes the place of the word's: its number, characters and features.
        Words that no gap is filled with stay.
        """
        gap = codec.rows([(GAP,)])
        assert isinstance(gap, WordRows)

        def change(batch: Batch, random: np.random.Generator) -> Batch:
            assert batch.targets is not None
            assert isinstance(batch.inputs, WordRows)
            rows = len(batch.inputs)
            gaps = drawn(batch.targets >= 0, batch.lengths, self.share, random)
            inputs = batch.inputs.joined(gap).take(np.where(gaps, rows, np.arange(rows)))
            return Batch(inputs, batch.lengths, batch.targets, asked=gaps)

        return change

    @property
    def selection(self) -> str:
        """Perplexity of the words at gaps."""
        return "perplexity"

    def right_answer(self, gold: Any) -> ScoredGaps:
        """What is scored if all right words are certain."""
        return ScoredGaps(np.zeros(len(gold)), np.zeros(len(gold), np.int64))

    # ------------------------------------------------------------------ answers

    def unsplit(self, text: str) -> str:
        """A text whose marks of gaps are `GAP`, which the tokeniser leaves whole."""
        return marked(text)

    def validated(self, codec: Codec[Any], given: Any, name: str, split: Split) -> Steps:
        """A text or a list of tokens, in which all usual marks of gaps are `GAP`."""
        given = self.unsplit(given) if isinstance(given, str) else given
        steps = codec.validated(given, name, split)
        return with_gaps(map(str, steps))

    def asked(self, sequences: Sequence[Steps]) -> Truths:
        """Which rows are gaps, (N,)."""
        return np.array([token == GAP for tokens in sequences for token in tokens], np.bool_)

    def notices(self, sequences: Sequence[Steps]) -> dict[str, str]:
        """Texts without a gap, and with several."""
        gaps = [list(tokens).count(GAP) for tokens in sequences]
        found = {}
        if gaps and not all(gaps):
            none = gaps.count(0)
            what = f"{none:,} of {len(gaps):,} texts {'has' if none == 1 else 'have'}"
            what = "the text has" if len(gaps) == 1 else what
            found["none"] = f"{what} no gap to fill: the answer is empty. A gap is written {GAP}"
        if any(count > 1 for count in gaps):
            found["several"] = "where a text has several gaps, each is filled for itself"
        return found

    def check_streams(self) -> None:
        """Refuse answers step by step.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "a filler answers for the gaps of a text, not at each step, and what stands after a "
            "gap decides as well: it does not stream. Use predict with whole texts."
        )

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """The likeliest word for each gap, and the probabilities of all."""
        del tensors

        def answers(scores_GL: Array, lengths: Lengths) -> list[Any]:
            return self.answers_of(scores_GL.argmax(axis=1), lengths, labels)

        def probabilities(scores_GL: Array, lengths: Lengths) -> list[Any]:
            return Ragged(softmax(scores_GL), lengths).to_list()

        return Decoder(answers, probabilities, partial(self.judged, labels=labels))

    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """A list of words for each sequence, one for each gap."""
        return labels_by_step(decoded, lengths, labels)

    def judged(
        self, scores: Array, lengths: Lengths, golds: Sequence[Any], labels: Sequence[str]
    ) -> list[ScoredGaps]:
        """For each sequence how likely the right words were, and how many were likelier.

        Args:
            scores: Scores of all words at all gaps, (G, L).
            lengths: Gaps of each sequence, (B,).
            golds: The right words of each.
            labels: The words by number.
        """
        numbers = {label: number for number, label in enumerate(labels)}
        right = [numbers.get(word, -1) for words in golds for word in words]
        return ScoredGaps.of(scores, np.array(right, np.int64), lengths)

    def faults(self, gold: Sequence[str], counted: ScoredGaps) -> Array:
        """Which gaps another word is likelier for; gaps of which no word is known have none."""
        asked = [word != GAP for word in gold]
        return (counted.ranks[asked] > 0).astype(np.float64)

    def errors(
        self, example: Example, gold: Sequence[str], scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """Each gap with a wrong word, with the tokens around it."""
        gaps = [step for step, token in enumerate(_tokens(example)) if token == GAP]
        answers = zip(gaps, gold, scores.answer, scores.probabilities, strict=True)
        return step_errors(example, "word", (each for each in answers if each[1] != GAP), labels)

    def scorer(self, labels: Sequence[str]) -> GapScorer:
        """An empty scorer of gaps."""
        return GapScorer(labels, GAP)

    # ------------------------------------------------------------------ in words

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        return f"{encoder.output_size}{self.hidden_outline()} → {self.size:,} words for each gap"

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """Hidden layers and a linear layer."""
        del encoder
        boxes = [(self.size, "words")]
        linear = HeadLayer("linear, a word for each gap", ("linear.",), boxes)
        return [*self.hidden_stages(), linear]

    def limitation(self) -> str:
        """A limitation of its answers."""
        return (
            f"It fills gaps with one of its {self.size:,} words always, several gaps each for "
            "itself, and what it finds likely is what its training texts say, true or not."
        )

    def lines(
        self,
        example: Example,
        answer: Sequence[str],
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """The text with its gaps filled; with probabilities the best words of each below it."""
        del tensors
        tokens = [str(token) for token in example.inputs]
        line = f"{escaped(filled(example.text, tokens, answer))}\n"
        if probabilities is None:
            return line
        rows = [
            f"gap {number}\t{escaped(word)}\t{p:.4f}\n"
            for number, row in enumerate(probabilities, start=1)
            for word, p in self.likeliest(row, labels)
        ]
        return line + "".join(rows) + "\n"

    def probability_record(
        self, answer: Sequence[str], probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The best words of each gap with their probabilities, or every word's."""
        del answer
        if every:
            return {"probabilities": [named_probabilities(row, labels) for row in probabilities]}
        best = [dict(self.likeliest(row, labels)) for row in probabilities]
        return {"likeliest": [{w: round(p, 6) for w, p in words.items()} for words in best]}

    def token_offsets(self, text: str, tokens: Sequence[str]) -> Offsets:
        """Where the tokens stand in their text, gaps where their marks do."""
        return gap_offsets(text, tokens)

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """The word of each gap, and the best words with their probabilities."""
        best = self if top is None else self.model_copy(update={"best": top})
        chances = best.probability_record(scores.answer, scores.probabilities, labels, every=False)
        return AnswerParts({self.key: scores.answer} | chances)

    def likeliest(self, row_L: Array, labels: Sequence[str]) -> list[tuple[str, float]]:
        """The best words for a gap with their probabilities, the likeliest first."""
        return ranked(row_L, labels, self.best)


def _tokens(example: Example) -> tuple[str, ...]:
    """The tokens of an example, with gaps by their own symbol.

    Raises:
        DataError: Vectors.
    """
    tokens = example.inputs
    if isinstance(tokens, np.ndarray):
        raise DataError(f"{example.where or 'an example'}: vectors. A filler learns from words.")
    return with_gaps(tokens)


def _tell_unknown(
    asked: Sequence[Example], labels: Vocabulary, head: Gaps, notices: list[str]
) -> None:
    """Tell how many of the words that dev asks for no gap is filled with."""
    words = [w for example in asked for w in (example.target or ()) if w != GAP]
    missing = sum(head.word(str(word)) not in labels for word in words)
    if missing:
        notices.append(
            f"{missing:,} of the {len(words):,} words asked for in dev are none that gaps are "
            "filled with: they count as wrong, and not in the perplexity"
        )
