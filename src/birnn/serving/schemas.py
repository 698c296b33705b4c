"""Bodies of requests, validated, and the JSON schemas of all that is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import to_json

from birnn.errors import nearest
from birnn.runtime.deciding import Measure
from birnn.serving.limits import Limits

# Of a number in a series: far from where float32 ends, so that a model computes with it.
LARGEST = 1e18
MOST_OF_A_PLACE = 100  # characters of where a body is wrong: a name may be as long as the body

_STATUSES = {
    400: "a host that this server does not answer for",
    404: "no such model",
    408: "the body took too long",
    413: "the body is too large",
    415: "the body is no application/json",
    422: "the body is not what is described here, or the model cannot read it",
    429: "too much waits already: try again",
    500: "the model or the server failed",
    503: "waited too long for its turn: try again",
}


def _whole(given: Any) -> Any:
    """1.0 is a whole number of JSON, as 1 is; `true` and "1" are none."""
    whole = isinstance(given, float) and given.is_integer()
    return int(given) if whole else given


class Question(BaseModel):
    """Base of the bodies of requests; `questions` makes those of an app."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: Annotated[
        str,
        Field(description="name of the model; by default the first", min_length=1, max_length=1000),
    ] = None  # type: ignore[assignment]

    def given(self) -> tuple[str, Any]:
        """The field that holds what is asked, and its value."""
        [name] = self.model_fields_set - {"model", "top"}
        return name, getattr(self, name)


def questions(
    limits: Limits, *, tokens: bool, channels: Collection[int], ranks: bool
) -> tuple[type[Question], type[Question]]:
    """The bodies of ``/predict`` and of ``/explain``.

    Args:
        limits: What they may hold.
        tokens: Whether one of the models reads tokens.
        channels: How many numbers a step has, of each model that reads vectors.
        ranks: Whether one of the models ranks its answers.

    Example:
        >>> predict, explain = questions(Limits(), tokens=True, channels=(), ranks=True)
        >>> predict.model_validate_json('{"text": "so good", "top": 2}').given()
        ('text', 'so good')
        >>> sorted(explain.model_json_schema()["properties"])
        ['model', 'text', 'tokens']
    """
    one: dict[str, Any] = {}
    several: dict[str, Any] = {}
    kinds: list[Any] = []
    if tokens:
        text = Annotated[str, StringConstraints(max_length=limits.characters)]
        token = Annotated[str, StringConstraints(min_length=1, max_length=limits.characters)]
        kinds.append(Annotated[list[token], Field(max_length=limits.tokens)])
        one["text"] = _field(text, f"a text of at most {limits.tokens:,} tokens")
        one["tokens"] = _field(kinds[-1], "the tokens of one sequence")
        told = f"texts of at most {limits.tokens:,} tokens each"
        several["texts"] = _field(list[text], told, limits.texts)
    if channels:
        number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
        least, most = min(channels), max(channels)
        step = Annotated[list[number], Field(min_length=least, max_length=most)]
        kinds.append(Annotated[list[step], Field(max_length=limits.tokens)])
        one["series"] = _field(kinds[-1], "the steps of one series, numbers each")
    sequence: Any = kinds[0] if len(kinds) == 1 else kinds[0] | kinds[1]
    told = "sequences: lists of tokens, or series"
    several["sequences"] = _field(list[sequence], told, limits.texts)
    top = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]
    options = {"top": _field(top, "how many of the best answers are given")} if ranks else {}
    return _body("PredictQuestion", one | several, options), _body("ExplainQuestion", one, {})


def _field(kind: Any, told: str, most: int | None = None) -> tuple[Any, Any]:
    """A field that may be absent, and not null."""
    return Annotated[kind, Field(description=told, max_length=most)], None


def _body(name: str, forms: Mapping[str, Any], options: Mapping[str, Any]) -> type[Question]:
    """A body that has one of these fields, and may have the others."""
    names = " or ".join(f'"{form}"' for form in forms)

    def one_of(given: Any) -> Any:
        if len(given.model_fields_set & forms.keys()) != 1:
            raise ValueError(f"give one of {names}")
        return given

    def described(schema: dict[str, Any]) -> None:
        for one in schema["properties"].values():
            one.pop("default", None)  # none of them may be null
        schema["oneOf"] = [{"required": [form]} for form in forms]

    validators: dict[str, Any] = {"one_of": model_validator(mode="after")(one_of)}
    made: Any = create_model(
        name,
        __base__=Question,
        __validators__=validators,
        **forms,
        **options,
    )
    made.model_config = made.model_config | {"json_schema_extra": described}
    made.model_rebuild(force=True)
    return made


def fault(error: ValidationError, question: type[Question]) -> str:
    """What is wrong with a body, in one line.

    Args:
        error: What validation found.
        question: The body that was asked for.

    Example:
        >>> predict, _ = questions(Limits(), tokens=True, channels=(), ranks=True)
        >>> for body in ('{"text": 3}', '{"txt": "a"}', "[", "{}"):
        ...     try:
        ...         predict.model_validate_json(body)
        ...     except ValidationError as error:
        ...         print(fault(error, predict))
        text: input should be a valid string
        txt: no such field: did you mean text?
        invalid JSON: EOF while parsing a list at line 1 column 1
        give one of "text" or "tokens" or "texts" or "sequences"
    """
    first, *others = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(map(str, first["loc"]))
    where = where if len(where) <= MOST_OF_A_PLACE else f"{where[:MOST_OF_A_PLACE]}..."
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = f"no such field: {nearest(where, question.model_fields)}"
    what = what if what.startswith("JSON") else what[:1].lower() + what[1:]
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {what}{more}" if where else f"{what}{more}"


def as_json(given: Any) -> bytes:
    """JSON in UTF-8; numbers that are not finite become null.

    Example:
        >>> as_json({"n": float("nan"), "word": "\u00e9"}).decode()
        '{"n":null,"word":"\u00e9"}'
    """
    return to_json(given, inf_nan_mode="null")


def _object(required: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **others},
        "required": list(required),
        "additionalProperties": False,
    }


_NUMBER = {"type": "number"}
_MAYBE = {"type": ["number", "null"]}
_NAME = {"type": "string"}
_RECORD = {"type": "object"}
_DECISION = {"forward": _NUMBER, "backward": _NUMBER, "both": _NUMBER, "balance": _NUMBER}
_WORD = _object(
    {
        "text": _NAME,
        "start": {"type": ["integer", "null"]},
        "end": {"type": ["integer", "null"]},
        **dict.fromkeys(_DECISION, _MAYBE),
    }
)

ERROR = _object({"detail": _NAME})
PREDICTED = {
    "oneOf": [
        _object({"model": _NAME, "answer": _RECORD}),
        _object({"model": _NAME, "answers": {"type": "array", "items": _RECORD}}),
    ]
}
EXPLAINED = _object(
    {
        "model": _NAME,
        "answer": _RECORD,
        "measure": {"enum": list(get_args(Measure))},
        "words": {"type": "array", "items": _WORD},
        "whole": {"oneOf": [_object(_DECISION), {"type": "null"}]},
        "own_means": {"type": "boolean"},
    }
)


def _content(schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def described(
    answer: Any, *statuses: int, kind: str = "application/json", body: type[Question] | None = None
) -> dict[str, Any]:
    """Keyword arguments of a FastAPI route that describe it in the OpenAPI document.

    Args:
        answer: JSON schema of its answer.
        statuses: Statuses of its errors.
        kind: Media type of its answer.
        body: Of its requests.
    """
    found: dict[str, Any] = {
        "responses": {
            200: {"description": "the answer", **_content(answer, kind)},
            **{s: {"description": _STATUSES[s], **_content(ERROR)} for s in (400, *statuses)},
        }
    }
    if body is not None:
        schema = body.model_json_schema()
        found["openapi_extra"] = {"requestBody": {"required": True, **_content(schema)}}
    return found
