"""What a model may annotate, by its task and labels, and the attributes that its tags become."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spacy.parts_of_speech import IDS as PARTS_OF_SPEECH  # type: ignore[import-not-found]
from spacy.tokens import Token

from birnn.errors import UsageError
from birnn.runtime import Predictor


def _set_tag(token: Token, tag: str) -> None:
    token.tag_ = tag


def _set_pos(token: Token, tag: str) -> None:
    token.pos_ = tag


def _set_morph(token: Token, tag: str) -> None:
    token.set_morph(tag)  # type: ignore[attr-defined]


# What tags may be set as, and by which function.
ATTRIBUTES: Mapping[str, Callable[[Token, str], None]] = {
    "tag": _set_tag,
    "pos": _set_pos,
    "morph": _set_morph,
}
ANNOTATES = ("auto", "ents", *ATTRIBUTES, "cats")


def annotated_by(predictor: Predictor, wanted: str) -> str:
    """What a model annotates: ``ents``, ``cats`` or one of `ATTRIBUTES`.

    Args:
        predictor: The model.
        wanted: One of `ANNOTATES`.

    Raises:
        UsageError: It cannot annotate what is wanted.
    """
    head, labels = predictor.spec.head, predictor.labels
    name = f"a {head.task}"
    if head.vocabulary != "labels" or head.self_supervised:
        raise UsageError(
            f"the model is {name}, whose answers a Doc has no place for. "
            "Give a tagger or a classifier."
        )
    if not head.per_step:
        possible: tuple[str, ...] = ("cats",)
    elif head.marks_spans:
        possible, name = ("ents", "tag"), f"{name} of spans"
    else:
        universal = set(labels) <= PARTS_OF_SPEECH.keys()
        possible = ("pos", "tag", "morph") if universal else ("tag", "morph")
        name = f"{name} without spans"
    if wanted == "auto":
        return possible[0]
    if wanted not in possible:
        raise UsageError(
            f"annotates is {wanted}, the model is {name}, which gives {' or '.join(possible)}."
        )
    return wanted


def text_of(token: Token, name: str) -> str:
    """A tag of a token as text."""
    return str(token.morph) if name == "morph" else str(getattr(token, f"{name}_"))
