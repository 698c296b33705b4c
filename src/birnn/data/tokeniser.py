r"""The words of a text: the tokeniser, and whether a text is tokenised already.

A text is cleaned (`clean`) and split at white space; each chunk is split further by one regular
expression. Chunks are independent of each other.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from birnn.data.offsets import composed, visible
from birnn.errors import Tell

SplitMode = Literal["auto", "tokens", "text", "auto-tokens"]
Tokens = tuple[str, ...]

# \w leaves out vowel signs and accents that stand as characters of their own, so words of Hindi,
# Thai, Hebrew or Arabic would fall apart at each of them
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff"
    "\ufe00-\ufe0d\ufe20-\ufe2f"
)
# scripts written without spaces between words: each character is a token
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PICTURE = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
_TONE = "[\U0001f3fb-\U0001f3ff]"

_DOMAINS = (
    "com|org|net|edu|gov|mil|info|io|ai|me|tv|ly|eu|uk|us|ca|au|nz|de|fr|es|it|nl|ch|at|se|in|jp"
    "|cn|ru|br"
)
_ENDINGS = (
    "txt|pdf|html?|xml|xs[dl]|csv|tsv|json|docx?|xlsx?|pptx?|zip|gz|exe|py|js|jpe?g|png|gif|svg"
    "|mp[34]|bak|mdb|ad[pe]|od[ct]"
)
_ABBREVIATIONS = (
    "(?i:mr|mrs|ms|dr|prof|jr|sr|st|vs|etc)|Messrs|Mx|Co|Corp|Inc|Ltd|Gen|Col|Sgt|Capt|Lt|Cmdr|Maj"
    "|Rev|Hon|Gov|Sen|Rep|Pres|Supt|Jan|Feb|Aug|Sept?|Oct|Nov|Dec|Figs?|Eq|Sec|Ave|Blvd|Rd|Mt|Ft"
    "|approx|dept|est|cf|vol|pp|eds|Mme|Mlle|bzw|usw|ca|Nr|Str|bspw|evtl|ggf|Hr|Sra|Srta|Dra|Uds?"
)
_ELISIONS = "[ldjmtscn]|qu|jusqu|lorsqu|puisqu|quoiqu|dell|nell|sull|all|dall|un|gl|quest|quell"


@functools.cache
def _pattern(ascii_only: bool) -> re.Pattern[str]:
    """The pattern of one token. Compiled when first asked for: who gives tokens never needs it."""
    letter = "[A-Za-z0-9_]" if ascii_only else f"(?:(?![{_SINGLE}])[\\w{_MARKS}])"
    number = r"\d+(?:[.,:]\d+)*"
    part = rf"(?:{number}(?:{letter}+)?|{letter}+)"
    # (?i:...) stands where case does not matter: over the classes of all scripts it compiles slowly
    return re.compile(
        r"(?P<joiner>[\u200c\u200d]+)"  # joins nothing, at the start of a token
        # addresses; the marks that end a sentence are not theirs
        r"|(?i:https?://|ftp://|www\.)(?:\([^\s()<>\"]{0,500}\)|[^\s<>\"()])*(?<![.,;:!?'\]}»”’])"
        r"|[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
        rf"|(?i:(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_DOMAINS}))(?!{letter}|[-.]{letter})"
        r"(?:/(?:[^\s<>\"]*[^\s<>\"'.,;:!?)\]}»”’])?)?"
        rf"|(?:[\w-]{{1,63}}\.){{1,8}}(?i:{_ENDINGS})(?!{letter})"
        rf"|(?<![\w.])\.(?i:{_ENDINGS})(?!{letter})"
        rf"|(?<!{letter})[@#]{letter}+"  # names and tags
        # emoji: flags, keycaps, and pictures with their tones, joined
        r"|[\U0001f1e6-\U0001f1ff]{2}|\U0001f3f4[\U000e0020-\U000e007f]+|[0-9#*]\u20e3"
        rf"|{_PICTURE}{_TONE}?(?:\u200d(?:{_PICTURE}|[\u2190-\u21ff]){_TONE}?)*"
        # emoticons
        rf"|(?<!{letter})[<>]?[:;=]['’]?-?(?:[)(\]\[|\\/*@}}{{]+|[DPpOo3]+(?!{letter}))"
        r"|</?3(?!\d)|[-^][_.]+[-^]"
        r"|-[LR][RSC]B-|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6});"
        # abbreviations: U.S., e.g., Ph.D., p.m, J., Mr.
        rf"|(?<!{letter})(?:[^\W\d_]\.){{2,}}(?:[^\W\d_](?!{letter}))?(?!{letter})"
        rf"|(?<!{letter})(?:[^\W\d_]\.[^\W\d_]|Ph\.D\.?)(?!{letter})"
        rf"|(?<!{letter})(?:{_ABBREVIATIONS}|[A-HJ-Z](?!\.\.))\.(?!{letter})"
        rf"|(?<![\w.,)])[-+](?={number})(?!-){part}(?:[-‐‑/]{part})*"  # -5, +3.5
        rf"|(?<![\w.])\.\d+(?!{letter})"  # .5
        r"|[Cc]\+\+|[CF]\#(?!\w)"
        rf"|(?<!{letter})w/o?(?!{letter}|[-'’])|[^\W\d_]{{1,2}}&[^\W\d_]{{1,2}}(?!{letter})"  # AT&T
        # a single symbol of a script without spaces
        rf"|[{_SINGLE}][\u3099\u309a{_MARKS}]*"
        rf"|(?<!{letter})(?i:{_ELISIONS})['’](?!{letter})"  # l' standing on its own
        # words and numbers: don't, well-known, and/or, 3.14, 12:30pm, 1996-97; non- before a space
        rf"|{part}(?:[-‐‑/'’]{part})*(?:-(?!\S)|(?<=[a-z]in)['’](?!\S))?"
        # 's, 'til, 'n' and '70s standing on their own; 't of 'tis
        rf"|(?<!{letter})['’](?:[nN]['’]|[tT](?=(?i:is|was|were)(?!{letter}))"
        rf"|(?:(?i:s|d|m|t|re|ve|ll|em|n|til|cause|bout|ye)|\d\ds?)(?!{letter}))"
        r"|[!?]+|(?P<mark>\S)(?P=mark)*"  # ?!, ... and -- are one token each
    )


# not, is or has, would or had, am, are, have, will: split off their word, as in the Penn
# Treebank and in Universal Dependencies
_clitic = re.compile(r"(?i)(.*[^-‐‑/'’.,;:!?\])}»”])(n['’]t|['’](?:s|d|m|re|ve|ll))", re.DOTALL)
_MERGED = {"cannot": 3, "gonna": 3, "wanna": 3, "gotta": 3, "lemme": 3, "gimme": 3}
# l'eau, qu'il, dell'anno; but D'Angelo and O'Brien, c'mon, m'lady
_elided = re.compile(rf"((?:{_ELISIONS})['’])(.+)", re.IGNORECASE | re.DOTALL)
_WHOLE = {"n't", "c'mon", "m'lady", "d'you", "d'ya", "d'oh", "s'more", "s'mores", "t'other"}


def clean(text: str) -> str:
    r"""A text in NFC, without invisible characters.

    Dropped are U+200B, U+00AD, U+FEFF, U+FE0E and U+FE0F, U+2060 to U+2064 and the marks of
    direction. The joiners U+200C and U+200D stay: words and emoji are written with them.

    Example:
        >>> clean("cafe\u0301 co\u00adop") == "caf\u00e9 coop"
        True
    """
    if text.isascii():
        return text
    return composed(visible(text))


def canonical(token: str) -> str:
    r"""A token as models know it: cleaned, or unchanged where nothing would be left.

    Example:
        >>> canonical("cafe\u0301") == "caf\u00e9", canonical("\u200b") == "\u200b"
        (True, True)
    """
    return token if token.isascii() else clean(token) or token


def tokenise(text: str) -> Tokens:
    """Words, numbers and punctuation of a running text, in order.

    Clitics are split off as in the Penn Treebank and in Universal Dependencies (``do n't``,
    ``it 's``, ``can not``). Addresses, names with @, tags with #, hyphenated words, abbreviations,
    numbers and emoji are one token each; each punctuation mark is a token, repeated marks of one
    kind are one. Characters of scripts without spaces (Chinese, Japanese kana) stand singly. Tokens
    never span white space.

    Args:
        text: Any text; an empty one has no tokens. It is cleaned first, see `clean`.

    Example:
        >>> tokenise("Don't stop: it's 3.5 miles...")
        ('Do', "n't", 'stop', ':', 'it', "'s", '3.5', 'miles', '...')
        >>> tokenise("@ann: see https://t.co/x, Mr. Well-known!")
        ('@ann', ':', 'see', 'https://t.co/x', ',', 'Mr.', 'Well-known', '!')
    """
    tokens: list[str] = []
    for chunk in clean(text).split():
        tokens.extend(_chunk(chunk).tokens)
    return _ended(tokens)


def _ended(tokens: list[str]) -> Tokens:
    """Split the full stop off a single letter at the end of a text: "vitamin C ."."""
    if len(tokens) > 1 and len(last := tokens[-1]) == 2 and last[1] == "." and last[0].isalpha():
        tokens[-1:] = last
    return tuple(tokens)


Sign = Literal["", "mark", "weak mark", "attached", "elided", "contracted"]


class _Chunk(NamedTuple):
    tokens: Tokens
    sign: Sign


CACHED = 64  # characters of a chunk; longer ones seldom recur
LONGEST_WORD = (
    256  # characters; a longer one is not searched for clitics, each of which takes a call
)


def _chunk(chunk: str) -> _Chunk:
    return _cached_chunk_of(chunk) if len(chunk) <= CACHED else _chunk_of(chunk)


def _chunk_of(chunk: str) -> _Chunk:
    """The tokens of a chunk, and what it shows about the text around it."""
    plain = chunk.isascii()
    if plain and chunk.isalnum() and chunk.lower() not in _MERGED:
        return _Chunk((chunk,), "")  # as the pattern would give, in a tenth of the time
    tokens: list[str] = []
    for match in _pattern(plain).finditer(chunk):
        if match.lastgroup != "joiner":
            tokens.extend(_clitics(match.group()))
    return _Chunk(tuple(tokens), _sign(chunk, tokens))


_cached_chunk_of = functools.lru_cache(1 << 16)(_chunk_of)


def _clitics(word: str) -> list[str]:
    if len(word) > LONGEST_WORD:
        return [word]
    if "'" not in word and "’" not in word:
        at = _MERGED.get(word.lower(), 0) if 5 <= len(word) <= 6 else 0
        return [word[:at], word[at:]] if at else [word]
    if word[-1] in "'’" or "://" in word or word.lower().replace("’", "'") in _WHOLE:
        return [word]
    if match := _clitic.fullmatch(word):
        return [*_clitics(match[1]), match[2]]
    match = _elided.fullmatch(word)
    if match and match[2][0].isalpha() and (match[1][0].islower() or match[2][0].islower()):
        return [match[1], *_clitics(match[2])]
    return [word]


# What stands alone in tokenised text and seldom in running text; ! ? : ; do so in French, too.
_ALONE = {*",.()[]\"“”‘’'。，、।۔،", "``", "''"} | {
    f"{mark}{clitic}" for mark in "'’" for clitic in ("s", "m", "d", "ll", "re", "ve")
}
_ALONE |= {"n't", "n’t"}
_ALONE_TOO = {*"!?:;«»！？؟", "?!", "!!", "??"}
# What is attached to a word in running text.
_BEFORE = {*"([{\"“‘«'`¿¡"}
_AFTER = {*",.;:!?)]}\"”’»'…।۔؟،", "..."}
_INSIDE = {*"。，、！？；：「」（）"}


def _sign(chunk: str, tokens: list[str]) -> Sign:
    """What a chunk shows about the text around it."""
    if len(tokens) == 1:
        return "mark" if chunk in _ALONE else "weak mark" if chunk in _ALONE_TOO else ""
    if not any(map(str.isalnum, chunk)):
        return ""
    last = tokens[-1] if tokens else ""
    if tokens[0] in _BEFORE or last in _AFTER or last[:1] in "!?" or _INSIDE & set(tokens):
        return "attached"
    if _elided.match(chunk) and tokens[0][-1] in "'’":
        return "elided"
    return "contracted" if _clitic.fullmatch(chunk) or chunk.lower() in _MERGED else ""


class Parted(NamedTuple):
    """The tokens of a text, and how they were found."""

    tokens: Tokens
    way: Literal["", "tokens", "text"]  # at white space, by the tokeniser, "" where both are alike
    seen: bool  # whether the text shows which it is; where not, the way is a guess


def part(text: str, split: SplitMode = "auto") -> Parted:
    """The tokens of a text that may be tokenised already.

    A text looks tokenised if more full stops, commas, brackets, quotes or clitics stand alone in it
    than are attached to words.

    Args:
        text: Any text.
        split: ``tokens`` at white space, ``text`` by the tokeniser, ``auto`` as the text looks;
            where it shows neither, by the tokeniser, or with ``auto-tokens`` at white space.

    Example:
        >>> part("e-mail me @ once , w/o it").tokens, part("wait (please)").tokens
        (('e-mail', 'me', '@', 'once', ',', 'w/o', 'it'), ('wait', '(', 'please', ')'))
        >>> part("C++/CLI rocks", "tokens").tokens
        ('C++/CLI', 'rocks')
    """
    if split == "text":
        return Parted(tokenise(text), "text", True)
    chunks = clean(text).split()
    if split == "tokens":
        return Parted(tuple(chunks), "tokens", True)
    found = list(map(_chunk, chunks))
    running = _ended([token for chunk in found for token in chunk.tokens])
    if running == tuple(chunks):
        return Parted(running, "", True)
    like, clear = _looks(found)
    if like == "tokens" or (like == "" and split == "auto-tokens"):
        return Parted(tuple(chunks), "tokens", clear)
    return Parted(running, "text", clear)


def looks(text: str) -> Literal["", "tokens", "text"]:
    """Whether a text shows that it is tokenised, or that it is not; "" where neither.

    Example:
        >>> looks("a fine film ."), looks("a fine film."), looks("a fine film")
        ('tokens', 'text', '')
    """
    return _looks(list(map(_chunk, clean(text).split())))[0]


def _looks(chunks: Sequence[_Chunk]) -> tuple[Literal["", "tokens", "text"], bool]:
    """The answer of `looks`, and whether nothing contradicts it."""
    signs = Counter(chunk.sign for chunk in chunks)
    alone, attached = signs["mark"] + signs["weak mark"], signs["attached"]
    if signs["mark"] and alone > attached:
        return "tokens", not attached
    if attached or signs["elided"]:
        return "text", not signs["mark"]
    if signs["weak mark"]:
        return "tokens", False
    return ("text", True) if signs["contracted"] else ("", False)


class Splitter:
    """Splits the texts of one file or call, with one notice for each way that was guessed.

    Args:
        split: As for `part`.
        tell: Takes each notice, one line.
        remedies: What to do if a tokenised text was split by the tokeniser, and the other way
            round.

    Example:
        >>> split = Splitter(tell=print)
        >>> split("hello , (me) and you .", "a.txt:1")
        a.txt:1: looks tokenised: split at white space alone. If it is running text: --text
        ('hello', ',', '(me)', 'and', 'you', '.')
    """

    def __init__(
        self,
        split: SplitMode = "auto",
        tell: Tell | None = None,
        remedies: tuple[str, str] = ("--tokens", "--text"),
    ) -> None:
        self.split = split
        self.tell = tell
        self._remedies = remedies
        self._noticed: set[str] = set()

    def __call__(self, text: str, where: str) -> Tokens:
        """The tokens of a text, which is called ``where`` in notices."""
        tokens, way, seen = part(text, self.split)
        if way and self.tell and self.split.startswith("auto") and way not in self._noticed:
            self._notice(way, seen, where, self.tell)
        return tokens

    def _notice(self, way: str, seen: bool, where: str, tell: Tell) -> None:
        in_tokens, running = self._remedies
        what = ""
        if way == "tokens" and self.split == "auto":
            what = f"looks tokenised: split at white space alone. If it is running text: {running}"
        elif way == "text" and (not seen or self._noticed):
            what = f"split by the tokeniser. If it is in its tokens already: {in_tokens}"
        if what:
            self._noticed.add(way)
            tell(f"{where}: {what}")
