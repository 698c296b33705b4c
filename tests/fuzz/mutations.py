"""Damaged copies of a file, drawn from a seed, and the limits that reading one has to keep.

A fuzz test reads a hundred of them in `make test` and 10,000 in `make fuzz`:

```
for number, damaged in enumerate(mutations(content, 300, seed=1)):
    with limits(f"mutation {number}"):
        ...
```
"""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 5.0
MEMORY = 500_000_000  # bytes, more than there were before
FEW, MANY = 100, 10_000

# Numbers out of every range, and what is written where a number belongs.
NUMBERS = (
    *(b"-1", b"0", b"1e999", b"-0.0", b"NaN", b"Infinity", b"nan", b"null", b"true", b"1.5"),
    *(b"4294967296", b"18446744073709551616", b"9" * 5000, b"1" * 400),
)

# The same in JSON; made anew each time, since some can be changed.
VALUES: tuple[Callable[[], Any], ...] = (
    *(partial(int, n) for n in (-1, 0, 1, 2, 10**9, 2**31, 2**63, 10**4000)),
    *(partial(float, x) for x in (-0.5, 1e300, 1e-320)),
    *(partial(str, t) for t in ("", "0", "words", "lstm", "\0", "\u202e", "../..", "9" * 5000)),
    *(
        lambda: None,
        lambda: True,
        list,
        dict,
        lambda: [[[]]],
        lambda: [0] * 1000,
        lambda: {"a": {}},
    ),
)

# What else files break readers with: marks of other encodings and formats,
# what ends or opens a string, a line, a list, a terminal's command.
PIECES = (
    *(
        b"\0",
        b"\0" * 64,
        b"\xff",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc3",
        b"\x1b[2J",
    ),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b",", b";", b":", b'"', b"'", b"\\", b"#", b"@"),
    *NUMBERS,
    *(b"{", b"}", b"[", b"]", b"[" * 3000, b'{"a":' * 3000, b"../", b"/etc/passwd", b"<script>"),
    *(b"\x80\x04\x95", b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY", b"\\ud800", b"\xe2\x80\xae"),
)


def mutations(content: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """So many damaged copies of a file; the same seed gives the same ones.

    Args:
        content: The whole file.
        count: How many copies.
        seed: Of the draws.
    """
    draw = random.Random(seed)
    for _ in range(count):
        damaged = content
        # Mostly one wound, sometimes a few: a second one hides behind the first.
        for _ in range(1 if draw.random() < 0.7 else draw.randint(2, 5)):
            damaged = draw.choice(WOUNDS)(draw, damaged)
        yield damaged


def value_mutations(value: Any, count: int, *, seed: int) -> Iterator[Any]:
    """So many changed copies of a JSON value: other values, keys that go, keys that come.

    They reach what lies behind a parser, where bytes seldom do.
    """
    draw = random.Random(seed)
    for _ in range(count):
        changed = json.loads(json.dumps(value))
        for _ in range(1 if draw.random() < 0.7 else draw.randint(2, 5)):
            holder, key = draw.choice(_places(changed))
            match draw.randrange(8):
                case 0 if isinstance(holder, dict):
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[draw.choice(("", "size", "kind", "x" * 300, "\x1b[2J", "\ud800"))] = 1
                case 2 if isinstance(holder[key], list) and holder[key]:
                    holder[key] = holder[key] * draw.choice((2, 500))
                case 3:
                    other, place = draw.choice(_places(changed))
                    holder[key] = json.loads(json.dumps(other[place]))
                case _:
                    holder[key] = draw.choice(VALUES)()
        yield changed


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its key or number there."""
    held = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    deeper = [_places(part[key]) for part, key in held if isinstance(part[key], dict | list)]
    return held + [place for places in deeper for place in places] or [([0], 0)]


@contextmanager
def limits(what: str, *, seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Fails where the block takes longer, or more memory than was in use before it.

    Args:
        what: Named in the failure.
        seconds: How long it may take, of processor time: the machine is shared. A block that
            waits for something may do so for twelve times as long.
        memory: Bytes that it may add at its peak.
    """
    before = _reset_peak()

    def end(signum: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{what} took more than {seconds} s")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, 12))
    former = [signal.signal(number, end) for _, number, _ in timers]
    try:
        for timer, _, times in timers:
            signal.setitimer(timer, seconds * times)
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
        for (_, number, _), handler in zip(timers, former, strict=True):
            signal.signal(number, handler)
    taken = _status("VmHWM") - before
    assert taken <= memory, f"{what} took {taken / 1e6:.0f} MB"


def _reset_peak() -> int:
    """Bytes in use; the peak that the system keeps begins here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def _span(draw: random.Random, content: bytes, longest: int = 64) -> slice:
    start = draw.randint(0, len(content))
    return slice(start, min(len(content), start + draw.randint(1, longest)))


def _flip_bit(draw: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _set_bytes(draw: random.Random, content: bytes) -> bytes:
    at = _span(draw, content, 8)
    return content[: at.start] + draw.randbytes(at.stop - at.start) + content[at.stop :]


def _zero(draw: random.Random, content: bytes) -> bytes:
    at = _span(draw, content, 512)
    return content[: at.start] + bytes(at.stop - at.start) + content[at.stop :]


def _cut_out(draw: random.Random, content: bytes) -> bytes:
    at = _span(draw, content)
    return content[: at.start] + content[at.stop :]


def _cut_short(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randint(0, len(content))]


def _repeat(draw: random.Random, content: bytes) -> bytes:
    at = _span(draw, content)
    return content[: at.stop] + content[at] * draw.choice((1, 1, 2, 100)) + content[at.stop :]


def _move(draw: random.Random, content: bytes) -> bytes:
    at = _span(draw, content)
    rest = content[: at.start] + content[at.stop :]
    place = draw.randint(0, len(rest))
    return rest[:place] + content[at] + rest[place:]


def _insert(draw: random.Random, content: bytes) -> bytes:
    at = draw.randint(0, len(content))
    return content[:at] + draw.choice(PIECES) + content[at:]


def _other_number(draw: random.Random, content: bytes) -> bytes:
    """A run of digits becomes another number."""
    found = list(re.finditer(rb"\d+", content[:1_000_000]))
    if not found:
        return _insert(draw, content)
    at = draw.choice(found)
    number = draw.choice(
        (*PIECES[22:36], b"%d" % draw.randint(0, 300), b"%d" % -draw.randint(0, 9))
    )
    return content[: at.start()] + number + content[at.end() :]


WOUNDS = (
    _flip_bit,
    _set_bytes,
    _zero,
    _cut_out,
    _cut_short,
    _repeat,
    _move,
    _insert,
    _other_number,
)
