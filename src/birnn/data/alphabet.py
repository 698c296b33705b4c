"""The symbols that a model knows, and how a string is read as a sequence of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from birnn.data.offsets import composed

UNKNOWN = "<unk>"  # the item of a vocabulary that all others are read as

CHARACTERS, SPACES = "characters", "spaces"  # ways to split a text; any other is a separator


def split_symbols(text: str, way: str) -> tuple[str, ...]:
    r"""The symbols of a text: its characters, or what spaces or a separator part.

    White space around the text and around what a separator parts is no part of it, and neither is
    what is empty between two separators. White space within is a character. Characters are the code
    points of the text in NFC, in which letters with accents are one, so that a text is read alike
    however it was typed.

    Args:
        text: Any text; an empty one has no symbols.
        way: ``characters``, ``spaces`` (any white space), or the separator.

    Example:
        >>> split_symbols(" le chat", "characters"), split_symbols("K AE1  T", "spaces")
        (('l', 'e', ' ', 'c', 'h', 'a', 't'), ('K', 'AE1', 'T'))
        >>> split_symbols("new york | ny", "|"), split_symbols("cafe\u0301", "characters")[-1]
        (('new york', 'ny'), 'é')
    """
    text = composed(text)
    if way == CHARACTERS:
        return tuple(text.strip())
    if way == SPACES:
        return tuple(text.split())
    return tuple(symbol for part in text.split(way) if (symbol := part.strip()))


class Alphabet:
    """Reads a string as a sequence of symbols.

    Where all known symbols are single characters, each character of a string is a symbol, white
    space only if it is a known one. Where some are longer, white space separates symbols. A
    lower-case letter is read as its capital if the model knows capitals alone: files of biological
    sequences write masked regions in lower case.

    Example:
        >>> Alphabet("MKV").split("MK V"), Alphabet(["K", "AE1"]).split("K AE1")
        (('M', 'K', 'V'), ('K', 'AE1'))
        >>> Alphabet("MKV").capitals(["m", "K", "x"]), Alphabet("acMKV").capitals(["m"])
        (('M', 'K', 'x'), ('m',))
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self.known = frozenset(symbols) - {UNKNOWN}
        self.single = all(len(symbol) == 1 for symbol in self.known)
        self._capitals = {
            symbol.lower(): symbol
            for symbol in self.known
            if symbol.isupper() and not any(map(str.islower, self.known))
        }

    def split(self, text: str) -> tuple[str, ...]:
        """The symbols of a string."""
        if not self.single:
            return tuple(text.split())
        if any(map(str.isspace, self.known)):
            return tuple(c for c in text if c in self.known or not c.isspace())
        return tuple("".join(text.split()))

    def is_string(self, symbol: str) -> bool:
        """Whether a symbol is in truth a string of single-character symbols, most of them known.

        Example:
            >>> alphabet = Alphabet("MKV")
            >>> alphabet.is_string("MKVX"), alphabet.is_string("M"), alphabet.is_string("<pad>")
            (True, False, False)
        """
        if not self.single or len(symbol) < 2:
            return False
        return 2 * sum(c in self.known for c in self.capitals(symbol)) > len(symbol)

    def capitals(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """Symbols as they are looked up."""
        if self._capitals.keys().isdisjoint(symbols):
            return tuple(symbols)
        return tuple(self._capitals.get(symbol, symbol) for symbol in symbols)

    def lower(self, symbols: Collection[str]) -> bool:
        """Whether some of the symbols are looked up as capitals."""
        return not self._capitals.keys().isdisjoint(symbols)
