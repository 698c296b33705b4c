"""The JSON files of a bundle: read strictly and within bounds, written readable, with a digest.

Refused are duplicate keys, NaN, numbers of thousands of digits, and hundreds of levels.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from birnn.bundle.checks import sniff_format

MOST_DIGITS = 4300  # Python's own default limit
MOST_LEVELS = 100


class _NotStrict(ValueError):
    """Valid JSON that no bundle contains."""


def read_whole(path: Path, most: int, found: list[str]) -> bytes:
    """The bytes of a file of at most ``most``; faults are added to ``found``."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                found.append(
                    f"{path.name} has {size:,} bytes, the largest that is read has {most:,}: no "
                    "model needs more, and it would have to be held in memory whole"
                )
                return b""
            return file.read(size)
    except OSError as error:
        found.append(f"{path.name} cannot be read: {error.strerror}")
        return b""


def parse(content: bytes, name: str, found: list[str]) -> dict[str, Any]:
    """A JSON object from a file's bytes; faults are added to ``found``."""
    what = sniff_format(content[:8])
    if what is not None:
        found.append(f"{name} is {what}, not JSON: refused, it could run code")
        return {}
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_constant=_constant,
        )
        if isinstance(value, dict):
            _check_levels(value)
            return value
        found.append(f"{name} is not a JSON object")
    except UnicodeDecodeError:
        found.append(f"{name} is not UTF-8")
    except json.JSONDecodeError as error:
        found.append(f"{name} is not whole JSON: line {error.lineno}: {error.msg}")
    except RecursionError:
        found.append(f"{name} is nested too deeply")
    except _NotStrict as fault:
        found.append(f"{name} {fault}")
    return {}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotStrict(f"has the key {twice[:100]!r} twice in one object")
    return value


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise _NotStrict(f"has a number of {len(text):,} digits, at most {MOST_DIGITS:,} are read")
    return int(text)


def _constant(text: str) -> Any:
    raise _NotStrict(f"has {text}, which JSON does not have")


def _check_levels(value: Any) -> None:
    level, below = 0, [value]
    while below:
        level += 1
        if level > MOST_LEVELS:
            raise _NotStrict(f"is nested too deeply: more than {MOST_LEVELS} levels")
        held = [v.values() if isinstance(v, dict) else v for v in below]
        below = [item for items in held for item in items if isinstance(item, dict | list)]


def written(value: Any) -> bytes:
    """Readable JSON; characters that UTF-8 has no form for (lone surrogates) are escaped."""
    try:
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode()


def plain(value: Any) -> Any:
    """A value converted to JSON types; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def digest_of(content: bytes) -> str:
    """SHA-256 of a file's bytes, as ``sha256sum`` prints it."""
    return hashlib.sha256(content).hexdigest()


def digest_of_value(value: Any) -> str:
    """SHA-256 of a JSON value, independent of spaces and the order of keys.

    It is the digest of the value in ASCII, keys sorted, without spaces.

    Example:
        >>> digest_of_value({"b": 1, "a": 2}) == digest_of(b'{"a":2,"b":1}')
        True
    """
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return digest_of(canonical.encode())
