"""The tagger: a label for every step."""

# N rows of all sequences, L labels

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from birnn.data.examples import Example
from birnn.data.scheme_detection import in_letters_of, other_letters
from birnn.data.schemes import SchemeName, marks, spans, transitions
from birnn.engine import crf
from birnn.errors import BundleError, DataError, Tell, escaped
from birnn.inputs.vocabulary import Vocabulary
from birnn.metrics import TagScorer
from birnn.ragged import Ragged
from birnn.reference.crf import Chain
from birnn.reference.softmax import softmax
from birnn.reference.stack import Stack
from birnn.schema import Shape, Size
from birnn.tasks.annotated import (
    AnswerParts,
    Scores,
    SpanScorer,
    named_probabilities,
    probabilities_of,
)
from birnn.tasks.classifier import label_limitation
from birnn.tasks.errors import AnswerError, span_errors, step_errors
from birnn.tasks.head import Array, FittedHead, HeadLayer, Lengths, Tensors
from birnn.tasks.scored import (
    Decoder,
    HiddenSettings,
    Scored,
    count_labels,
    hidden_of,
    labels_by_step,
)
from birnn.tasks.tag_schemes import tag_scheme, tags_of, with_legal_tags, with_letters_of

LONGEST_LABEL = 100  # characters of a label in a message
# Scores of a CRF: of pairs of neighbours, of first labels, of last ones.
CRF_PARTS = ("transitions", "start", "end")


class TagSettings(HiddenSettings):
    """Settings of the tagger's head."""

    decoder: Literal["auto", "softmax", "crf"] = Field(
        default="auto", description="auto: a CRF where the tags mark spans, softmax otherwise"
    )
    scheme: Literal["auto", SchemeName] = Field(
        default="auto",
        description="how tags mark spans, auto: as they show; none, iob1, iob2, iobes, bilou, "
        "bmes, bmewo, and each with -suffix where the mark stands last",
    )


class Tags(Scored):
    """A label for every step, each on its own (softmax) or as a sequence (CRF)."""

    task: ClassVar = "tagger"
    target: ClassVar = "tags"
    gives: ClassVar = "one label for every step"
    key: ClassVar = "tags"
    file: ClassVar = "data.conllu"
    hub_task: ClassVar = "token-classification"
    settings: ClassVar = TagSettings
    defaults: ClassVar = {
        "words": {
            "dropout": {
                "words": 0.2,
                "rare_words": 0.5,
                "traits": 0.2,
                "spelling": 0.05,
                "characters": 0.1,
                "inputs": 0.5,
                "layers": 0.4,
                "output": 0.5,
            },
        },
        "symbols": {
            "inputs": {"symbol_dim": 32},
            "encoder": {"hidden_size": 128, "num_layers": 2},
            "dropout": {"inputs": 0.1, "layers": 0.3, "output": 0.3},
            "training": {"ema": 0.99},
        },
        "vectors": {
            "dropout": {"inputs": 0.1, "layers": 0.3, "output": 0.3},
        },
    }
    per_step: ClassVar = True
    kept_in_float32: ClassVar = {"crf.": "scores of the CRF: added, not multiplied"}
    answer_comment: ClassVar = "# a list of labels for each sequence"

    kind: Literal["tags"] = "tags"
    size: Size = Field(description="labels")
    decoder: Literal["softmax", "crf"] = "softmax"
    scheme: SchemeName = Field(
        default="none", description="how the labels mark spans; forbids impossible sequences"
    )

    @model_validator(mode="after")
    def _scheme_needs_labels(self) -> Self:
        if self.scheme != "none" and self.size < 2:
            raise ValueError("a tag scheme needs at least two labels")
        return self

    # ------------------------------------------------------------------ as data

    def tensors(self, encoder: Stack) -> dict[str, Shape]:
        """Names and shapes behind an encoder; transitions are [from, to]."""
        shapes = self.layer_tensors(encoder.output_size)
        if self.decoder == "crf":
            sizes = (self.size, self.size), (self.size,), (self.size,)
            shapes |= {f"crf.{name}": shape for name, shape in zip(CRF_PARTS, sizes, strict=True)}
        return shapes

    def vocabulary_faults(self, vocabularies: Mapping[str, Sequence[str]]) -> list[str]:
        """A fault if no label marks a span by the scheme."""
        labels = vocabularies["labels"]
        if self.scheme == "none" or any(marks(label, self.scheme) for label in labels):
            return []
        shown = ", ".join(repr(label[:LONGEST_LABEL]) for label in labels[:3])
        return [f"the scheme is {self.scheme}, and no label marks a span so: {shown}"]

    def constraints(self, labels: Sequence[str]) -> tuple[Array, Array, Array] | None:
        """As the scheme of spans has it, which rules out impossible sequences (O I-PER in IOB2)."""
        return None if self.scheme == "none" else transitions(labels, self.scheme)

    # ------------------------------------------------------------------ training

    @classmethod
    def fit(
        cls,
        train: Sequence[Example],
        dev: Sequence[Example],
        settings: TagSettings,
        encoder: Stack,
        notices: list[str],
    ) -> FittedHead:
        """The head for the scheme of the tags, detected or set."""
        del encoder
        scheme = tag_scheme(train, dev, settings.scheme, notices)
        train, dev = with_legal_tags(train, scheme, notices), with_letters_of(scheme, dev, notices)
        labels = count_labels(chain.from_iterable(map(tags_of, train)))
        decoder = settings.decoder
        if decoder == "auto":
            decoder = "softmax" if scheme == "none" else "crf"
        head = cls(size=len(labels), decoder=decoder, scheme=scheme, **hidden_of(settings))
        return FittedHead(head, train, dev, labels)

    def check_target(self, example: Example, where: str) -> tuple[str, ...]:
        """The tags of an example, one for each step."""
        tags = example.target
        if not isinstance(tags, tuple | list):
            raise DataError(f"{where}: its target is {tags!r}, a tagger needs tags")
        if len(tags) != len(example):
            raise DataError(
                f"{where}: {len(tags)} tags for {len(example)} steps. Give every step one tag."
            )
        return tuple(tags)

    def encode(self, examples: Sequence[Example], labels: Vocabulary | None) -> Array:
        """Numbers of the tags of all steps, (N,)."""
        assert labels is not None
        return labels.ids(
            tag for example in examples for tag in self.check_target(example, example.where)
        )

    @property
    def selection(self) -> str:
        """F1 of spans where tags mark some, else accuracy."""
        return "accuracy" if self.scheme == "none" else "f1"

    # ------------------------------------------------------------------ answers

    def decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """The best tag of each step, or with a CRF the best allowed sequence of tags."""
        faults = self.vocabulary_faults({"labels": labels})
        if faults:
            raise BundleError(f"{faults[0]}. Take the bundle from its source again.")
        if self.decoder == "crf":
            return self._crf_decoding(labels, tensors)

        def answers(scores_NL: Array, lengths: Lengths) -> list[Any]:
            return self.answers_of(scores_NL.argmax(axis=1), lengths, labels)

        def probabilities(scores_NL: Array, lengths: Lengths) -> list[Any]:
            return Ragged(softmax(scores_NL), lengths).to_list()

        return Decoder(answers, probabilities, spans=self._span_scores(labels, None))

    def _crf_decoding(self, labels: Sequence[str], tensors: Tensors) -> Decoder:
        """The best allowed tag sequence, and each tag's probability in all of them."""
        chain_scores = self.chain(labels, tensors)

        def answers(emissions: Array, lengths: Lengths) -> list[Any]:
            paths = crf.viterbi(Ragged(emissions, lengths), chain_scores)
            return self.answers_of(paths.tags.values, lengths, labels)

        def probabilities(emissions: Array, lengths: Lengths) -> list[Any]:
            marginals = crf.marginals(Ragged(emissions, lengths), chain_scores)
            return Ragged(marginals.astype(np.float32), lengths).to_list()

        return Decoder(answers, probabilities, spans=self._span_scores(labels, chain_scores))

    def _span_scores(self, labels: Sequence[str], chain_scores: Chain | None) -> SpanScorer | None:
        """The function that scores the spans that tags mark; None where they mark none."""
        return None if self.scheme == "none" else SpanScorer(labels, self.scheme, chain_scores)

    def parts(self, scores: Scores, labels: Sequence[str], top: int | None) -> AnswerParts:
        """The tags with their probabilities, and the spans that they mark."""
        del top
        tags, chances = scores.answer, probabilities_of(scores.answer, scores.probabilities, labels)
        record = {self.key: tags, "probabilities": [round(p, 6) for p in chances]}
        return AnswerParts(record, list(zip(tags, chances, strict=True)), scores.spans)

    def chain(self, labels: Sequence[str], tensors: Tensors) -> Chain:
        """The scores of the CRF, with what the scheme of the labels rules out at minus infinity."""
        scores = (tensors[f"head.crf.{name}"] for name in CRF_PARTS)
        masks = self.constraints(labels)
        names = ("allowed", "allowed_start", "allowed_end")
        return crf.chain_of(
            *scores, **({} if masks is None else dict(zip(names, masks, strict=True)))
        )

    def answers_of(self, decoded: Array, lengths: Lengths, labels: Sequence[str]) -> list[Any]:
        """A list of tags for each sequence."""
        return labels_by_step(decoded, lengths, labels)

    def scorer(self, labels: Sequence[str]) -> TagScorer:
        """An empty scorer of tags."""
        return TagScorer(labels, self.scheme)

    def golds(self, labels: Sequence[str], tell: Tell) -> Callable[[Example, int], Any]:
        """A function from an example and its number to its tags in the letters of the scheme.

        Example:
            >>> head = Tags(size=2, scheme="iob2")
            >>> head.golds(["O", "B-X"], print)(Example(("a",), ("U-X",), "gold:1"), 0)
            gold:1: spans are marked as BILOU, the model's as IOB2: they are compared as spans
            ('B-X',)
        """
        known = frozenset(labels)
        checked = super().golds(labels, tell)
        noticed = False

        def gold(example: Example, number: int) -> Any:
            nonlocal noticed
            tags = checked(example, number)
            if known.issuperset(tags):
                return tags
            other = None if noticed else other_letters(self.scheme, tags)
            if other is not None:
                noticed = True
                tell(
                    f"{example.where or f'example {number}'}: spans are marked as {other.upper()}, "
                    f"the model's as {self.scheme.upper()}: they are compared as spans"
                )
            return in_letters_of(self.scheme, tags)

        return gold

    def faults(self, gold: Sequence[str], counted: Sequence[str]) -> Array:
        """Which tags are wrong; where tags mark spans, how many spans one alone has."""
        if self.scheme == "none":
            return np.array([g != a for g, a in zip(gold, counted, strict=True)], np.float64)
        wrong = set(spans(gold, self.scheme)) ^ set(spans(counted, self.scheme))
        return np.array([float(len(wrong))])

    @property
    def paired_by(self) -> Literal["questions", "counts", "numbers"]:
        """Tags, or numbers of wrong spans."""
        return "questions" if self.scheme == "none" else "counts"

    def errors(
        self, example: Example, gold: Sequence[str], scores: Scores, labels: Sequence[str]
    ) -> list[AnswerError]:
        """Each wrong tag, or each wrong span, with the tokens around it."""
        if self.scheme != "none":
            sure = probabilities_of(scores.answer, scores.probabilities, labels)
            scored = scores.spans or ()
            return list(span_errors(example, gold, scores.answer, self.scheme, scored, sure))
        steps = range(len(gold))
        answers = zip(steps, gold, scores.answer, scores.probabilities, strict=True)
        return step_errors(example, "tag", answers, labels)

    @property
    def marks_spans(self) -> bool:
        """Whether a scheme says how its tags mark spans."""
        return self.scheme != "none"

    @property
    def streaming_settings(self) -> tuple[str, ...]:
        """A softmax instead of a CRF, which needs the whole sequence."""
        return ("head.decoder=softmax",) if self.decoder == "crf" else ()

    # ------------------------------------------------------------------ in words

    def outline(self, encoder: Stack) -> str:
        """The head in one line, from the rows of an encoder on."""
        scheme = "" if self.scheme == "none" else f", {self.scheme}"
        hidden = self.hidden_outline()
        return f"{encoder.output_size}{hidden} → {self.size} labels ({self.decoder}{scheme})"

    def stages(self, encoder: Stack) -> list[HeadLayer]:
        """Hidden layers, a linear layer, and the CRF if there is one."""
        del encoder
        boxes = [(self.size, "labels")]
        stages = self.hidden_stages()
        stages.append(HeadLayer("linear, a label for every step", ("linear.",), boxes))
        if self.decoder == "crf":
            stages.append(HeadLayer("CRF, the best sequence of labels", ("crf.",), boxes))
        return stages

    def limitation(self) -> str:
        """A limitation of its answers."""
        return label_limitation(self.size)

    def lines(
        self,
        example: Example,
        answer: Sequence[str],
        probabilities: Any,
        labels: Sequence[str],
        tensors: Tensors,
    ) -> str:
        """A line for each step, token and tag, and an empty one after them."""
        del tensors
        tokens = example.inputs if isinstance(example.inputs, tuple) else range(len(answer))
        rows = [
            f"{escaped(str(token))}\t{escaped(tag)}"
            for token, tag in zip(tokens, answer, strict=True)
        ]
        if probabilities is not None:
            each = probabilities_of(answer, probabilities, labels)
            rows = [f"{row}\t{p:.4f}" for row, p in zip(rows, each, strict=True)]
        return "".join(f"{row}\n" for row in rows) + "\n"

    def probability_record(
        self, answer: Sequence[str], probabilities: Any, labels: Sequence[str], *, every: bool
    ) -> dict[str, Any]:
        """The probability of each tag, or of every label at each step."""
        if every:
            return {"probabilities": [named_probabilities(row, labels) for row in probabilities]}
        each = probabilities_of(answer, probabilities, labels)
        return {"probabilities": [round(p, 6) for p in each]}
