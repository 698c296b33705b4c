"""Every exception that birnn raises on purpose.

```
BirnnError
├── UsageError             the call is wrong                      (exit status 2)
│   ├── ConfigError        a setting that does not exist or does not fit
│   ├── DirectionError     two directions asked for what only one can do
│   └── MissingExtra       an optional dependency is not installed
├── DataError              the data is wrong                      (exit status 1)
│   ├── FormatError        a file that does not read as its format: file:line
│   ├── LengthError        lengths that do not fit the rows
│   └── ShapeError         an array of the wrong shape or dtype
├── ConversionError        what another framework cannot hold     (exit status 1)
├── BundleError            a saved model that cannot be used      (exit status 1)
├── OutputError            a place that cannot be written         (exit status 1)
├── EngineError            an engine that cannot do what is asked (exit status 1)
├── TrainingError          training that cannot go on             (exit status 1)
└── Interrupted            the user stopped it                    (exit status 130)
```

Messages say what is wrong, what was got, and what to do about it, in one line; control characters
of file names and labels are escaped.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from signal import SIGTERM
from types import ModuleType

# Control characters, separators of lines and paragraphs, marks of the direction of writing, which
# could manipulate a terminal; and halves of surrogate pairs, which cannot be encoded. Joiners stay:
# emoji and many scripts need them.
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)

MOST_NAMED = 60  # known names that a message lists


def escaped(text: str, *, as_json: bool = False) -> str:
    r"""A text that is safe on one line of a terminal: what is not is written as an escape.

    All messages, notices, and names and labels of bundles are shown through it.

    Args:
        text: The text.
        as_json: Write escapes as JSON has them, not as Python; the text is JSON, which stays the
            same value.

    Example:
        >>> print(escaped("a\x1b[31mb\tc\n\u202ed"))
        a\x1b[31mb\tc\n\u202ed
        >>> print(escaped('{"tag": "\x9b\u202ed"}', as_json=True))
        {"tag": "\u009b\u202ed"}
        >>> escaped("\u00e9 \u4e2d \U0001f600") == "\u00e9 \u4e2d \U0001f600"
        True
    """
    if as_json:
        return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


Tell = Callable[[str], None]  # takes a notice or a line of progress


def no_notice(line: str) -> None:
    """Discard a notice."""
    del line


def log_notice(line: str) -> None:
    """Log a notice as a warning of the logger ``birnn``, which by default is printed."""
    logging.getLogger("birnn").warning(escaped(line))


def print_notice(line: str) -> None:
    """Print a notice on standard error; errors of a closed stream are ignored."""
    with suppress(OSError, ValueError):
        # `print(file=None)` would write to standard output.
        if sys.stderr is not None:
            print(escaped(line), file=sys.stderr, flush=True)


class BirnnError(Exception):
    """Base of all errors that birnn raises on purpose."""

    exit_status = 1

    def __str__(self) -> str:
        return escaped(super().__str__())


class UsageError(BirnnError, ValueError):
    """The call is wrong: an argument or setting that cannot be."""

    exit_status = 2


class ConfigError(UsageError):
    """A setting that does not exist or has a value that does not fit."""


class DirectionError(UsageError):
    """A bidirectional model was asked for what only one direction can do."""

    @classmethod
    def of(
        cls,
        asked: str,
        *,
        instead: str,
        unread: str = "have not come yet when step t is answered",
        layers: Sequence[int] = (),
    ) -> DirectionError:
        """The error with its reason: what the backward half has read by step t.

        Args:
            asked: What was asked for.
            instead: What to use, as it is typed.
            unread: What is wrong with having read the steps after t.
            layers: Which layers have two directions, where not all have.

        Example:
            >>> print(DirectionError.of("streaming", instead="BiRNN(..., bidirectional=False)"))
            streaming needs one direction, this model has two: the backward half's state at step t
            has read steps t+1 to the last, which have not come yet when step t is answered.
            Use BiRNN(..., bidirectional=False).
        """
        where = " and ".join(map(str, layers))
        where = f" in layer{'s' if len(layers) > 1 else ''} {where}" if layers else ""
        return cls(
            f"{asked} needs one direction, this model has two{where}: the backward half's state at "
            f"step t has read steps t+1 to the last, which {unread}. Use {instead}."
        )


class MissingExtra(UsageError, ImportError):
    """An optional dependency is not installed."""


class DataError(BirnnError, ValueError):
    """The data is wrong."""


class FormatError(DataError):
    """A file that does not read as its format; the message starts with ``file:line``."""


class LengthError(DataError):
    """Lengths that do not fit the rows they are said to describe."""


class ShapeError(DataError):
    """An array whose shape or dtype does not fit."""


class ConversionError(BirnnError, ValueError):
    """A model or a setting that has no counterpart in another framework."""


class BundleError(BirnnError):
    """A saved model that cannot be used."""


class OutputError(BirnnError, OSError):
    """A place that cannot be written."""


class EngineError(BirnnError, RuntimeError):
    """An engine that cannot do what is asked of it."""


class TrainingError(BirnnError, ArithmeticError):
    """Training that cannot go on: a loss or weights that are not finite."""


class Interrupted(BirnnError):
    """The user, or a signal that ends the process, stopped it before there was a result."""

    exit_status = 130

    @classmethod
    def by(cls, number: int, words: str = "") -> Interrupted:
        """The error of a signal, with the exit status that a shell gives a process it ends.

        Example:
            >>> stopped = Interrupted.by(15, "before the first epoch was scored")
            >>> str(stopped), stopped.exit_status
            ('terminated before the first epoch was scored', 143)
        """
        error = cls(f"{'terminated' if number == SIGTERM else 'interrupted'} {words}".rstrip())
        error.exit_status = 128 + number
        return error


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency; nowhere else is one imported.

    Args:
        module: Name of the module to import.
        extra: Extra of birnn that installs it.

    Returns:
        The imported module.

    Raises:
        MissingExtra: The module is not installed, or says that it needs another.

    Example:
        >>> require("json", extra="train").__name__
        'json'
        >>> require("nowhere", extra="train")
        Traceback (most recent call last):
        ...
        birnn.errors.MissingExtra: this needs nowhere: pip install 'birnn[train]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None:  # the module itself says what it needs, as jax does of jaxlib
            raise MissingExtra(f"{error.msg.rstrip('.')}: pip install 'birnn[{extra}]'") from None
        if error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtra(f"this needs {module}: pip install 'birnn[{extra}]'") from None


def torch_lacks_memory(error: RuntimeError) -> bool:
    """Whether a `RuntimeError` of torch means that memory was lacking.

    Example:
        >>> torch_lacks_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: ..."))
        True
    """
    texts = ("DefaultCPUAllocator", "Storage size calculation overflowed", "out of memory")
    return any(text in str(error) for text in texts)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known spelling nearest to ``name``, or all of them if they are few.

    Example:
        >>> nearest("hiden_size", ["hidden_size", "num_layers"])
        'did you mean hidden_size?'
        >>> nearest("zzz", ["sum", "mean"])
        'known: mean, sum'
        >>> nearest("SUM", ["sum", "mean"])
        'did you mean sum?'
        >>> nearest("zzzyx", [f"y{number}" for number in range(2_000)])
        'not among the 2,000 known, of which y9 is nearest'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        folded = {each.casefold(): each for each in known}
        found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
        close = [folded[each] for each in found]
    if close:
        return f"did you mean {close[0]}?"
    if len(known) <= MOST_NAMED:
        return f"known: {', '.join(known)}"
    [close_by] = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"not among the {len(known):,} known, of which {close_by} is nearest"
