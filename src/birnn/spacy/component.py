"""The component, and the factory that makes it."""

# Annotations are evaluated at once here: spaCy reads those of a factory when it validates a config.

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import srsly
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span, SpanGroup, Token
from spacy.training import Example
from spacy.util import filter_spans, minibatch, raise_error

from birnn.bundle.io import save
from birnn.errors import BundleError, UsageError, log_notice, nearest
from birnn.runtime import Predictor
from birnn.runtime.annotation import Annotation
from birnn.spacy.attributes import ANNOTATES, ATTRIBUTES, annotated_by, text_of
from birnn.spacy.parts import Part, TextPart, TokenPart

SCORE = "birnn_score"
"""Extension of tokens and spans: the probability of the tag or of the entity."""

LABELS = "birnn_labels"
"""Extension of documents: the labels that the model gives, of those in ``doc.cats``."""

ErrorHandler = Callable[[str, Any, list[Doc], Exception], None]
READS = ("auto", "tokens", "text")
MOST_BYTES_NAMED = 60  # characters of a foreign file's name in a message


class BiRNNComponent:
    """A model at work on spaCy's documents.

    The model is loaded when it is first needed, so that a pipeline that was saved with its model
    never looks for the folder that it came from.

    Args:
        name: Its name in the pipeline.
        model: The folder of a bundle, or its ``hf://`` address; None where `from_disk` or
            `from_bytes` brings it.
        annotates: ``ents`` (a tagger whose tags mark spans), ``tag``, ``pos`` or ``morph`` (any
            other tagger), ``cats`` (a classifier of texts), or ``auto``: by the model; ``pos`` of
            tags that all are universal parts of speech.
        reads: ``tokens``: spaCy's tokens as they are, without those of white space; ``text``: the
            text, split as the model was trained; ``auto``: tokens, but the text of a model of
            symbols.
        spans_key: Name of the group of ``doc.spans`` that gets all entities, with their scores.
        overwrite: Whether entities that the Doc has already give way to those that they overlap;
            if not, they stay, and the others are in ``doc.spans`` alone.

    Raises:
        UsageError: An argument that does not exist.

    Example:
        >>> import numpy as np
        >>> import spacy
        >>> from birnn.bundle import Bundle, Encoder, Label, Spec, Words
        >>> spec = Spec(inputs=Words(size=2, dim=2), encoder=Encoder(), head=Label(size=2))
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"words": ("<unk>", "so"), "labels": ("bad", "good")}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Bundle(spec, vocabularies, tensors), Path(folder) / "mood")
        ...     nlp = spacy.blank("en")
        ...     _ = nlp.add_pipe("birnn", config={"model": f"{folder}/mood"})
        ...     nlp("so good").cats
        {'bad': 0.5, 'good': 0.5}
    """

    def __init__(
        self,
        name: str = "birnn",
        *,
        model: str | None = None,
        annotates: str = "auto",
        reads: str = "auto",
        spans_key: str = "birnn",
        overwrite: bool = False,
    ) -> None:
        for what, value, known in (("annotates", annotates, ANNOTATES), ("reads", reads, READS)):
            if value not in known:
                raise UsageError(f"{what} is {value!r}: {nearest(str(value), known)}")
        self.name = name
        self.model = model
        self.spans_key = spans_key
        self.overwrite = overwrite
        self._annotates = annotates
        self._reads = reads
        self._predictor: Predictor | None = None
        self._on_error: ErrorHandler | None = None
        self._told = self._told_of_key = False
        for owner, extension in ((Token, SCORE), (Span, SCORE), (Doc, LABELS)):
            if not owner.has_extension(extension):
                owner.set_extension(extension, default=None)

    # ------------------------------------------------------------------ the model

    @property
    def predictor(self) -> Predictor:
        """The model, loaded when it is first asked for.

        Raises:
            BundleError: There is none, or it cannot be loaded.
            UsageError: A model that cannot annotate what it should.
        """
        if self._predictor is None:
            if self.model is None:
                raise BundleError(
                    f"the component {self.name!r} has no model. "
                    'Give one: nlp.add_pipe("birnn", config={"model": "ner/"}).'
                )
            self._use(Predictor.load(self.model))
        assert self._predictor is not None
        return self._predictor

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the model, once it is loaded."""
        return () if self._predictor is None else self._predictor.labels

    @property
    def annotates(self) -> str:
        """What is annotated: ``ents``, ``tag``, ``pos``, ``morph`` or ``cats``."""
        return annotated_by(self.predictor, self._annotates)

    def initialize(self, get_examples: Any = None, *, nlp: Language | None = None) -> None:
        """Load the model now; it is not trained here.

        Args:
            get_examples: What spaCy hands in; unused.
            nlp: The pipeline; unused.

        Raises:
            BundleError: It cannot be loaded.
        """
        del get_examples, nlp
        _ = self.predictor

    def _use(self, predictor: Predictor) -> None:
        annotated_by(predictor, self._annotates)  # refuses what does not fit
        if predictor.spec.inputs.kind == "vectors":
            raise UsageError("the model reads vectors, a Doc holds words. Give another model.")
        self._predictor = predictor

    # ------------------------------------------------------------------ at work

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one document."""
        return next(iter(self.pipe([doc])), doc)

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate documents in batches.

        Args:
            stream: The documents.
            batch_size: How many are answered together.
        """
        for docs in minibatch(stream, size=batch_size):  # type: ignore[no-untyped-call]
            try:
                self._annotate(docs)
            except Exception as error:
                handle = self._on_error or raise_error
                handle(self.name, self, docs, error)
            else:
                yield from docs

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """Set what a batch that fails is handed to; by default its error is raised.

        Args:
            error_handler: Takes the name, this component, the documents and the error.
        """
        self._on_error = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """What a batch that fails is handed to."""
        return self._on_error or raise_error

    def score(self, examples: Iterable[Example], **options: Any) -> dict[str, Any]:
        """Scores of annotated examples, as `spacy.scorer.Scorer` has them.

        Args:
            examples: Documents and how they should be.
            options: Of the scorer.
        """
        del options
        what = self.annotates
        if what == "ents":
            return Scorer.score_spans(
                examples, "ents", has_annotation=lambda doc: doc.has_annotation("ENT_IOB")
            )
        if what == "cats":
            labels, several = list(self.labels), self.predictor.spec.head.independent
            return Scorer.score_cats(examples, "cats", labels=labels, multi_label=several)
        return Scorer.score_token_attr(examples, what, getter=text_of)

    def _annotate(self, docs: Sequence[Doc]) -> None:
        predictor, what = self.predictor, self.annotates
        parts = [(doc, part) for doc in docs for part in self._parts(doc)]
        given = [part.given for _, part in parts]
        # Of several labels those below their thresholds, too.
        top = len(self.labels) if what == "cats" else None
        found = list(predictor.stream_annotations(given, top=top, tell=self._tell))
        by_doc: dict[int, list[tuple[Part, Annotation]]] = {id(doc): [] for doc in docs}
        for (doc, part), annotation in zip(parts, found, strict=True):
            by_doc[id(doc)].append((part, annotation))
        for doc in docs:
            own = by_doc[id(doc)]
            if what == "ents":
                self._set_entities(doc, own)
            elif what == "cats":
                for _, annotation in own:
                    doc.cats |= {each.label: each.score for each in annotation.labels}
                    answer = annotation.answer
                    doc._.set(LABELS, [answer] if isinstance(answer, str) else list(answer))
            else:
                _set_tags(own, ATTRIBUTES[what])

    @property
    def _as_text(self) -> bool:
        of_symbols = self.predictor.spec.inputs.kind == "symbols"
        return self._reads == "text" or (self._reads == "auto" and of_symbols)

    def _parts(self, doc: Doc) -> Iterator[Part]:
        """What the model reads of a document: for tags its sentences, where it knows of any."""
        spec = self.predictor.spec
        in_sentences = spec.head.per_step and doc.has_annotation("SENT_START")
        read = TextPart if self._as_text else TokenPart
        for span in doc.sents if in_sentences else [doc[:]]:
            yield read(span)

    def _set_entities(self, doc: Doc, own: Sequence[tuple[Part, Annotation]]) -> None:
        found: dict[tuple[int, int], Span] = {}
        for part, annotation in own:
            for entity in annotation.entities:
                start, stop = part.tokens_of(entity)
                span = Span(doc, start, stop, label=entity.label)
                span._.set(SCORE, entity.score)
                found[start, stop] = span
        # Those of whole tokens may overlap, where they ended inside of one.
        entities = sorted(filter_spans(found.values()), key=lambda span: span.start)
        scores = [span._.get(SCORE) for span in entities]
        key = self.spans_key
        before = doc.spans[key].attrs.get("component") if key in doc.spans else self.name
        if before != self.name and not self._told_of_key:
            self._told_of_key = True
            owner = "that were there" if before is None else f"of the component {before!r}"
            log_notice(
                f"the component {self.name!r} replaces doc.spans[{key!r}] {owner}. Give one of "
                "them another spans_key."
            )
        doc.spans[key] = SpanGroup(
            doc,
            name=key,
            spans=entities,
            attrs={"scores": scores, "component": self.name},
        )
        first, second = (entities, doc.ents) if self.overwrite else (doc.ents, entities)
        taken = {token.i for span in first for token in span}
        doc.ents = [*first, *(s for s in second if not any(token.i in taken for token in s))]

    def _tell(self, line: str) -> None:
        """Log a notice, such as that most words are unknown: once, and not for every batch."""
        if not self._told and not self._as_text:
            self._told = True
            log_notice(line)

    # ------------------------------------------------------------------ at rest

    def to_disk(self, path: str | Path, *, exclude: Collection[str] = ()) -> None:
        """Write the model as a bundle, which birnn's own commands read, too.

        Args:
            path: Its folder.
            exclude: What spaCy leaves out; nothing of this component.

        Raises:
            OutputError: The folder exists and is no bundle, or cannot be written.
        """
        del exclude
        save(self.predictor.bundle, path)

    def from_disk(self, path: str | Path, *, exclude: Collection[str] = ()) -> Self:
        """Read the model that `to_disk` wrote.

        Args:
            path: Its folder.
            exclude: As for `to_disk`.

        Raises:
            BundleError: The folder holds no whole bundle.
        """
        del exclude
        self._use(Predictor.load(path))
        return self

    def to_bytes(self, *, exclude: Collection[str] = ()) -> bytes:
        """The files of the bundle as bytes.

        Args:
            exclude: As for `to_disk`.
        """
        del exclude
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "model"
            save(self.predictor.bundle, bundle)
            files = {path.name: path.read_bytes() for path in sorted(bundle.iterdir())}
        content: bytes = srsly.msgpack_dumps(files)
        return content

    def from_bytes(self, bytes_data: bytes, *, exclude: Collection[str] = ()) -> Self:
        """Take the model from what `to_bytes` gave.

        Args:
            bytes_data: The bytes.
            exclude: As for `to_disk`.

        Raises:
            BundleError: They hold no whole bundle.
        """
        del exclude
        files = srsly.msgpack_loads(bytes_data)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                if Path(name).name != name:
                    raise BundleError(f"a bundle has no file {name[:MOST_BYTES_NAMED]!r}.")
                (Path(folder) / name).write_bytes(content)
            self._use(Predictor.load(folder))
        return self


def _set_tags(
    own: Sequence[tuple[Part, Annotation]], set_one: Callable[[Token, str], None]
) -> None:
    for part, annotation in own:
        for token, tag, score in part.tagged(annotation):
            set_one(token, tag)
            token._.set(SCORE, score)


@Language.factory(
    "birnn",
    assigns=["doc.ents", "doc.spans", "doc.cats", "token.tag", "token.pos", "token.morph"],
    default_config={
        "model": None,
        "annotates": "auto",
        "reads": "auto",
        "spans_key": "birnn",
        "overwrite": False,
    },
)
def make_component(
    nlp: Language,
    name: str,
    model: str | None,
    annotates: str,
    reads: str,
    spans_key: str,
    overwrite: bool,
) -> BiRNNComponent:
    """The factory ``birnn``; its settings are the arguments of `BiRNNComponent`."""
    del nlp
    return BiRNNComponent(
        name,
        model=model,
        annotates=annotates,
        reads=reads,
        spans_key=spans_key,
        overwrite=overwrite,
    )
