"""Sequence to sequence: a target of any length, written symbol by symbol by a decoder."""

# M target symbols of all sequences, B sequences, H hidden units of the decoder,
# W width of the encoder's rows, A hidden units of the attention, C width of a combined row

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from birnn.data.alphabet import split_symbols
from birnn.data.examples import Example
from birnn.errors import ConfigError, MissingExtra, Tell, escaped
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import SequenceScorer
from birnn.metrics.sequences import closest_reference
from birnn.reference.bridge import BridgeSpec, check_decoder
from birnn.reference.decoder_spec import AttentionName, DecoderSpec
from birnn.reference.stack import CELL_TITLES, CellName, Stack
from birnn.schema import Shape, Size, prefixed
from birnn.tasks.annotated import AnswerParts, Scores
from birnn.tasks.decoder_settings import (
    DecoderSettings,
    Seq2SeqSettings,
    fitting_attention,
    fitting_size,
)
from birnn.tasks.errors import AnswerError
from birnn.tasks.head import (
    ATTENTION_KEPT,
    Array,
    FittedHead,
    Head,
    HeadLayer,
    Lengths,
    Tensors,
)
from birnn.tasks.target_symbols import (
    BOUNDARY_SYMBOL,
    MOST_EACH,
    MOST_FIXED,
    SEPARATORS,
    count_symbols,
    lengths_notice,
    longest_of,
    nbest_lines,
    nbest_records,
    separator_of,
    symbols_of,
)

# A damaged bundle must not make a model write for hours.
Fixed = Annotated[int, Field(ge=1, le=MOST_FIXED)]
Each = Annotated[float, Field(ge=0, le=MOST_EACH)]


class TargetSequence(Head, DecoderSettings):
    """A target of any length: bridge, attention decoder, and a score for each target symbol.

    With h the decoder's state after its layers read the symbol before:

    ```
    a = tanh(combine [attention(h, encoder's rows); h])
    scores of the next symbol = linear a
    ```

    Source:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and Translate;
        Luong et al. 2015, Effective Approaches to Attention-based Neural Machine Translation.
    """

    task: ClassVar = "seq2seq"
    target: ClassVar = "sequence"
    gives: ClassVar = "a sequence of symbols, of any length, for each sequence"
    key: ClassVar = "target"
    settings: ClassVar = Seq2SeqSettings
    defaults: ClassVar = {
        None: {
            "dropout": {
                "inputs": 0.1,
                "layers": 0.3,
                "output": 0.2,
                "targets": 0.1,
                "decoder": 0.3,
            },
            "training": {
                "batch_sequences": 128,
                "warmup": 0.02,
                "schedule": "cosine",
                "label_smoothing": 0.1,
                "rows": 20_000_000,
                "epochs_range": [10, 100],
            },
        },
        "symbols": {
            "encoder": {"cell": "gru", "hidden_size": 256, "num_layers": 2},
            "head": {"dim": 64, "attention": "auto"},
        },
    }
    answer_comment: ClassVar = "# a list of symbols for each sequence"
    reads_final_states: ClassVar = True
    searches: ClassVar = True
    ranks: ClassVar = True
    vocabulary: ClassVar = "targets"
    kept_in_float32: ClassVar = ATTENTION_KEPT

    kind: Literal["sequence"] = "sequence"
    size: Size = Field(description="target symbols, the boundary symbol included")
    cell: CellName = "lstm"
    hidden_size: Size = Field(description="hidden units of the decoder")
    attention: AttentionName = "general"
    separator: str = Field(default=" ", max_length=10, description="between printed symbols")
    longest: tuple[Fixed, Each] = Field(
        default=(100, 2.0),
        description="most symbols of an answer: so many, and so many for each step of its source",
    )

    # ------------------------------------------------------------------ as data

    def decoder_spec(self, encoder: Stack) -> DecoderSpec:
        """The decoder behind an encoder.

        Raises:
            ConfigError: Its attention does not fit the encoder's rows.
        """
        return self._decoder(encoder.output_size if self.attention != "none" else None)

    @property
    def decoder_stack(self) -> Stack:
        """The decoder's layers."""
        return self._decoder(None).stack

    @property
    def combined_size(self) -> int:
        """Width of the rows that the last layer reads."""
        return self._decoder(None).combined_size

    def _decoder(self, memory_size: int | None) -> DecoderSpec:
        attention = "none" if memory_size is None else self.attention
        return DecoderSpec(
            self.size,
            self.dim,
            self.hidden_size,
            memory_size,
            cell=self.cell,
            num_layers=self.num_layers,
            attention=attention,
            attention_size=self.attention_size if attention == "additive" else None,
            input_feeding=self.input_feeding,
            tied=self.tied,
        )

    def bridge_spec(self, encoder: Stack) -> BridgeSpec:
        """Rules of the bridge behind an encoder.

        Raises:
            ConfigError: There is none for these two.
        """
        return BridgeSpec(encoder, self.decoder_stack, self.bridge)

    def encoder_faults(self, encoder: Stack) -> list[str]:
        """Sizes, depths and cells for which the bridge or the attention has no rule."""
        faults = []
        for rule in (self.bridge_spec, self.decoder_spec):
            try:
                rule(encoder)
            except ConfigError as error:
                faults.append(str(error).rstrip("."))
        return faults

    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes behind an encoder."""
        bridge = prefixed("bridge", self.bridge_spec(encoder).shapes())
        return bridge | self.decoder_spec(encoder).shapes()

    def vocabulary_faults(self, vocabularies: Mapping[str, Sequence[str]]) -> list[str]:
        """A fault if number 0 is not the boundary symbol."""
        first = vocabularies["targets"][0]
        if first == BOUNDARY_SYMBOL:
            return []
        return [f"the vocabulary of targets must begin with {BOUNDARY_SYMBOL}, got {first[:100]!r}"]

    def continued(self, fitted: Head, size: int) -> Self:
        """The same decoder, whose answers may be as long as both trainings have them."""
        assert isinstance(fitted, TargetSequence)
        longest = tuple(map(max, self.longest, fitted.longest))
        return self.model_copy(update={"size": size, "longest": longest})

    def longest_answers(self, lengths: Lengths) -> Lengths:
        """The most symbols of an answer to sources of these lengths, (B,).

        Example:
            >>> head = TargetSequence(size=3, hidden_size=2, longest=(10, 1.5))
            >>> head.longest_answers(np.array([0, 4])).tolist()
            [10, 16]
        """
        fixed, each = self.longest
        most: Lengths = fixed + np.floor(each * lengths).astype(np.int64)
        return most

    # ------------------------------------------------------------------ training

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Refuse a decoder of two directions with the reason."""
        asked = given.get("bidirectional"), given.get("directions")
        if asked[0] not in (None, False) or "both" in str(asked[1]):
            check_decoder(Stack("lstm", 1, 1))

    @classmethod
    def settings_of_reading(cls, reading: Mapping[str, Any]) -> Mapping[str, Any]:
        """Symbols are printed as the targets of the files are written.

        Example:
            >>> TargetSequence.settings_of_reading({"target_split": "spaces"})
            {'head.separator': ' '}
        """
        way = reading.get("target_split")
        return {} if way is None else {"head.separator": SEPARATORS.get(way, way)}

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: Seq2SeqSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head for the symbols of the training targets."""
        targets = [symbols_of(example, example.where or "an example") for example in train]
        vocabulary = count_symbols(train, targets)
        longest = longest_of(train, targets)
        notices.append(lengths_notice(train, targets, longest))
        hidden_size = settings.hidden_size or fitting_size(
            settings.bridge, settings.attention, encoder
        )
        attention = fitting_attention(settings, hidden_size, encoder)
        if settings.attention == "auto" and attention != "dot":
            notices.append(
                f"attention is {attention}: dot needs a decoder as wide as the encoder's rows, and "
                f"it has {hidden_size} units for rows of {encoder.output_size}"
            )
        chosen = settings.model_dump(include=set(DecoderSettings.model_fields))
        head = cls(
            size=len(vocabulary),
            cell=encoder.cell if settings.cell == "auto" else settings.cell,
            hidden_size=hidden_size,
            attention=attention,
            separator=separator_of(vocabulary.items[1:])
            if settings.separator == "auto"
            else settings.separator,
            longest=longest,
            **chosen,
        )
        return FittedHead(head, train, dev, vocabulary)

    def check_target(self, example: Example, where: str) -> tuple[str, ...]:
        """The target symbols of an example, as many as there are."""
        return symbols_of(example, where)

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Numbers of the target symbols of all sequences, (M,), without the boundary symbol."""
        assert labels is not None
        return labels.ids(
            symbol for example in examples for symbol in self.check_target(example, example.where)
        )

    def target_lengths(self, examples: Sequence[Example]) -> Lengths:
        """Lengths of the targets, (B,)."""
        return np.array([len(example.target or ()) for example in examples], np.int64)

    def settings_behind(self, encoder: Stack) -> dict[str, Any]:
        """The decoder's size, which bridges without a projection and dot attention ask for."""
        fitting = fitting_size(self.bridge, self.attention, encoder)
        fixed = self.bridge in ("project", "none") and self.attention != "dot"
        return {"hidden_size": self.hidden_size if fixed else fitting}

    @property
    def selection(self) -> str:
        """The share of wrong target symbols; lower is better."""
        return "token_error_rate"

    # ------------------------------------------------------------------ answers

    def symbols_of(self, text: str) -> list[str]:
        """The symbols of a target that is written as `lines` writes it.

        Example:
            >>> TargetSequence(size=3, hidden_size=2).symbols_of("HH AH0")
            ['HH', 'AH0']
            >>> TargetSequence(size=3, hidden_size=2, separator="").symbols_of("ab")
            ['a', 'b']
        """
        ways = {separator: way for way, separator in SEPARATORS.items()}
        return list(split_symbols(text, ways.get(self.separator, self.separator)))

    def scorer(self, labels: Sequence[str]) -> SequenceScorer:
        """An empty scorer of sequences."""
        return SequenceScorer(labels[1:], separator=self.separator)

    def overlap(self, scorer: SequenceScorer, tell: Tell) -> dict[str, float]:
        """BLEU and chrF, where sacrebleu is installed."""
        try:
            return scorer.overlap()
        except MissingExtra as error:
            tell(f"no BLEU and no chrF: {error}")
            return {}

    def faults(self, gold: Any, counted: Sequence[str]) -> Array:
        """The fewest edits from one of its right answers."""
        return np.array([float(closest_reference(gold, counted)[0])])

    @property
    def paired_by(self) -> Literal["questions", "counts", "numbers"]:
        """Edits."""
        return "counts"

    def errors(
        self, example: Example, gold: Any, scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """The target and the closest right one as texts, whose size is the number of edits."""
        [error] = super().errors(example, gold, scores, labels)
        edits, closest = closest_reference(gold, scores.answer)
        best = scores.probabilities
        return [
            replace(
                error,
                gold=self.separator.join(closest),
                predicted=self.separator.join(scores.answer),
                probability=math.exp(best[0].log_probability) if best else None,
                size=float(edits),
            )
        ]

    def right_answer(self, gold: Any) -> Any:
        """The first of its right answers."""
        return gold[0]

    def golds(self, labels: Sequence[str], tell: Tell) -> Callable[[Example, int], Any]:
        """A function from an example and its number to all its right answers."""
        checked = super().golds(labels, tell)

        def gold(example: Example, number: int) -> Any:
            return checked(example, number), *example.references

        return gold

    # ------------------------------------------------------------------ in words

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        layers = f"{self.num_layers} × " if self.num_layers > 1 else ""
        attention = "" if self.attention == "none" else f", {self.attention} attention"
        fed = ", input feeding" if self.input_feeding else ""
        tied = ", tied" if self.tied else ""
        return (
            f"{encoder.output_size} → bridge {self.bridge} → {layers}{CELL_TITLES[self.cell]} → "
            f"{self.hidden_size}{attention}{fed} → {self.size - 1} target symbols{tied}"
        )

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """The bridge, the decoder's input and layers, its attention, and the scores."""
        hidden, combined = self.hidden_size, self.combined_size
        layers = f"{self.num_layers} layers of " if self.num_layers > 1 else ""
        stages = []
        if self.bridge != "none":
            boxes = [(hidden, "state")] * self.num_layers
            name = f"bridge, {self.bridge}: the decoder's first states"
            stages.append(HeadLayer(name, ("bridge.",), boxes))
        stages += [
            HeadLayer("the symbol before", ("embedding.",), self._inputs()),
            HeadLayer(
                f"decoder, {layers}{CELL_TITLES[self.cell]}, left to right",
                ("decoder.",),
                [(hidden, "units")],
            ),
        ]
        if self.attention != "none":
            boxes = [(encoder.output_size, "weighted mean of the encoder's rows")]
            stages.append(HeadLayer(f"{self.attention} attention", ("attention.",), boxes))
        name = "linear, the next symbol" + (" (by the symbols' vectors)" if self.tied else "")
        return [
            *stages,
            HeadLayer("combined, tanh", ("combine.",), [(combined, "units")]),
            HeadLayer(name, ("linear.",), [(self.size, "symbols and the end")]),
        ]

    def _inputs(self) -> list[tuple[int, str]]:
        symbol = (self.dim, "symbol")
        return [symbol, (self.combined_size, "combined")] if self.input_feeding else [symbol]

    def limitation(self) -> str:
        """A limitation of its answers."""
        fixed, each = self.longest
        return (
            "It writes symbols of its training targets alone, at most "
            f"{fixed} + {each:g} for each step of the source, and may leave out or repeat parts of "
            "what it read."
        )

    def lines(
        self,
        example: Example,
        answer: Sequence[str],
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """One line: the symbols with the separator between them.

        Where ``probabilities`` are the n best targets, a line for each: source, rank, score and
        target, between tabs, and `CUT` after one that did not end.
        """
        del labels, tensors
        if probabilities is None:
            return f"{escaped(self.separator.join(answer))}\n"
        return nbest_lines(example, probabilities, self.separator)

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """The best target with its score, and the n best where they were asked for."""
        record = {self.key: scores.answer}
        every = top is not None
        record |= self.probability_record(scores.answer, scores.probabilities, labels, every=every)
        return AnswerParts(record)

    def probability_record(
        self, answer: Sequence[str], probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The score of the target, or of each of the n best."""
        del answer, labels
        nbest = nbest_records(probabilities)
        own = {name: nbest[0][name] for name in ("score", "log_probability", "ended")}
        return own | {"nbest": nbest} if every else own
