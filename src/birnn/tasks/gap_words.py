"""Settings of a filler, and which words gaps are put in the place of, and filled with."""

from __future__ import annotations

from pydantic import Field

from birnn.data.gaps import GAP
from birnn.data.tokeniser import canonical
from birnn.schema import Size
from birnn.tasks.scored import HiddenSettings


def is_word(token: str) -> bool:
    """Whether a token has a letter or digit, which punctuation has not.

    Example:
        >>> [is_word(token) for token in ("am", "'s", "5", ".", "``", "")]
        [True, True, True, False, False, False]
    """
    return any(character.isalnum() for character in token)


class GapFields(HiddenSettings):
    """What the filler is, in training and in its description."""

    lowercase: bool = Field(default=True, description="answer in lower case")
    share: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="share of the words that each epoch puts gaps in the place of",
    )
    punctuation: bool = Field(
        default=False,
        description="tokens without a letter or digit are masked and answered as words are",
    )
    best: Size = Field(default=5, description="words that are named for a gap with probabilities")

    def word(self, token: str) -> str:
        """A token as an answer names it."""
        return canonical(token.lower()) if self.lowercase else canonical(token)

    def may_fill(self, token: str) -> bool:
        """Whether a token of a text is one that gaps are put in the place of, and filled with.

        Example:
            >>> fields = GapFields()
            >>> [token for token in ("so", ",", "what", "?", GAP) if fields.may_fill(token)]
            ['so', 'what']
        """
        return token != GAP and (self.punctuation or is_word(token))


class GapSettings(GapFields):
    """Settings of the filler's head in training."""

    words: Size = Field(
        default=10_000, description="most frequent words of training that a gap is filled with"
    )
