"""What a server takes at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from birnn.errors import ConfigError
from birnn.schema import Frozen

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Limits(Frozen):
    """What a server takes at most; beyond it a request is refused with a status that says so.

    Example:
        >>> Limits(texts=8).texts
        8
    """

    body_bytes: Count = Field(default=1 << 20, description="bytes of the body of a request")
    held_bytes: Count = Field(
        default=1 << 26, description="bytes of the bodies of all requests under way"
    )
    texts: Count = Field(default=256, description="texts of a request")
    characters: Count = Field(default=20_000, description="characters of a text")
    tokens: Count = Field(default=5_000, description="tokens or steps of a text")
    explained_tokens: Count = Field(default=256, description="tokens of a text to explain")
    queue: Count = Field(default=1024, description="texts that wait to be answered")
    batch_texts: Count = Field(default=64, description="texts that are answered together")
    batch_characters: Count = Field(
        default=1 << 15, description="characters that are answered together; of vectors numbers"
    )
    wait_seconds: Seconds = Field(
        default=10, description="seconds that a request waits in the queue"
    )
    body_seconds: Seconds = Field(default=10, description="seconds that a body takes to come")
    header_seconds: Seconds = Field(default=10, description="seconds that a header takes to come")
    idle_seconds: Seconds = Field(default=30, description="seconds a connection is kept unused")
    connections: Count = Field(default=4096, description="open connections")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Limits:
        """Limits of which some are given.

        Raises:
            ConfigError: One that does not fit.

        Example:
            >>> Limits.of({"texts": 2000})
            Traceback (most recent call last):
            ...
            birnn.errors.ConfigError: texts is 2000 and queue 1024: a request of so many texts could
            never wait. Make the queue at least as large.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            [first, *_] = error.errors()
            where = "".join(f"{name}: " for name in first["loc"])
            raise ConfigError(where + first["msg"].removeprefix("Value error, ")) from None

    @model_validator(mode="after")
    def _a_request_fits_the_queue(self) -> Self:
        if self.texts > self.queue:
            raise ValueError(
                f"texts is {self.texts} and queue {self.queue}: a request of so many texts could "
                "never wait. Make the queue at least as large."
            )
        if self.body_bytes > self.held_bytes:
            raise ValueError(
                f"body_bytes is {self.body_bytes} and held_bytes {self.held_bytes}: such a body "
                "could never be held. Make held_bytes at least as large."
            )
        return self
