"""One sequence as a record of named values: a line of ``.jsonl``, or a ``dict``."""

# T steps of a sequence, D channels of a step, K target values of a sequence

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from birnn.data.conversion import inputs_of, is_list, target_of
from birnn.data.examples import Example
from birnn.data.names import INDEX, LABEL, SOURCE, TARGET, TEXT, plain_name
from birnn.data.options import ReadRequest
from birnn.data.source import Source
from birnn.data.timeseries import check_vectors
from birnn.errors import DataError

# Names of tags, the likeliest first; any other that ends in "tags" is known too.
TAGS = ("tags", "ner tags", "pos tags", "chunk tags", "upos", "xpos", "ner", "labels", "label")
VALUES = ("values", "value", "targets", "target", *LABEL)
SKIP = "Give every text one, or leave such rows out: --skip-unlabelled."
LEARNT = {
    "tags": "tags are",
    "label": "label is",
    "values": "target is",
    "sequence": "target is",
}
SHOWN = 12  # keys of a record that a message names


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys of a record are read.

    Args:
        inputs: Of the sequence.
        target: Of what is learnt; None where it is not read.
        id: Of its name.
        told: What was guessed, in words.
    """

    inputs: str
    target: str | None
    id: str | None
    told: tuple[str, ...] = ()


def read_jsonl(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""A JSON object on each line.

    Sequence: ``tokens`` (strings), ``vectors`` (T rows of D numbers), ``text``, or ``source``.
    Target: ``tags``, ``label``, ``values`` (a number or a list of K), or, where it is a sequence,
    ``target`` (a list or a string parted by spaces). Other usual names are known as they are in
    tables; the first record says which.

    Raises:
        FormatError: Not JSON, a key that is missing, a value of a wrong kind.

    Example:
        >>> text = '{"tokens": ["no", "way"], "tags": ["DET", "NOUN"]}\n'
        >>> [example] = read_jsonl(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('no', 'way'), ('DET', 'NOUN'))
    """
    keys: Keys | None = None
    channels: int | None = None
    index = skipped = 0
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        record = _object(source, number, line)
        try:
            if keys is None:
                keys = keys_of(record, request)
                _keep(keys, request)
                if keys.told:
                    source.notice(
                        f"{'; '.join(keys.told)}. Options: --text-column, --label-column", number
                    )
            if keys.target is not None and _unlabelled(record.get(keys.target, "")):
                if not request.options.skip_unlabelled:
                    said = json.dumps(record[keys.target]) if keys.target in record else "missing"
                    raise DataError(f"{keys.target} is {said}. {SKIP}")
                skipped += 1
                continue
            example = example_of(record, keys, request, source.where(number))
        except DataError as error:
            raise source.fault(str(error), number) from None
        inputs = example.inputs
        if isinstance(inputs, np.ndarray):
            # an empty list of vectors says nothing of its channels
            if not len(inputs):
                inputs = np.zeros((0, channels or 0))
            elif channels is None:
                channels = inputs.shape[1]
            check_vectors(source, inputs, index, channels or inputs.shape[1], number)
            example = Example(inputs, example.target, example.where, example.id)
        yield example
        index += 1
    if skipped:
        source.notice(f"{skipped} {'row' if skipped == 1 else 'rows'} without a label left out")


def keys_of(record: Mapping[Any, Any], request: ReadRequest) -> Keys:
    """Which keys of a record are read, as its names say.

    Raises:
        DataError: None that is known, or several that might be meant.

    Example:
        >>> keys_of({"id": 7, "review": "so good", "stars": 4}, ReadRequest("label"))
        Keys(inputs='review', target='stars', id='id', told=("the text is 'review'", \
"the label is 'stars'"))
    """
    names = {str(key): plain_name(str(key)) for key in record}
    inputs, plain = _inputs_key(record, names, request)
    target: str | None = None
    same = True
    if request.labelled:
        target, same = _target_key(record, names, request, inputs)
    told: list[str] = []
    if not plain:
        told.append(f"the text is {inputs!r}")
    if target is not None and not same:
        told.append(f"the {LEARNT[request.target]} {target!r}")
    ids = [key for key, name in names.items() if name in INDEX and key not in (inputs, target)]
    ids.sort(key=lambda key: names[key] != "id")
    used = {inputs, *ids[:1]}
    unread = [key for key in names if key not in used]
    if not request.labelled and unread:
        told.append(f"not read: {', '.join(map(repr, unread[:SHOWN]))}")
    return Keys(inputs, target, ids[0] if ids else None, tuple(told))


def example_of(
    record: Mapping[Any, Any], keys: Keys, request: ReadRequest, where: str = ""
) -> Example:
    """The example that a record holds.

    Raises:
        DataError: A key that is missing, a value of a wrong kind.
    """
    given = _need(record, keys.inputs)
    inputs = inputs_of(given, request, keys.inputs, where)
    target = None
    if keys.target is not None:
        target = target_of(_need(record, keys.target), request, keys.target)
    if request.target == "tags" and target is not None and len(target) != len(inputs):
        raise DataError(f"{len(inputs)} tokens and {len(target)} tags. Give every token one tag.")
    name = record.get(keys.id) if keys.id is not None else None
    return Example(
        inputs,
        target,
        where,
        None if name is None else str(name),
        given if isinstance(given, str) else None,
    )


def _inputs_key(
    record: Mapping[Any, Any], names: Mapping[str, str], request: ReadRequest
) -> tuple[str, bool]:
    """The key of the sequence, and whether it is the one that birnn itself writes."""
    set_key = _set_key("text_column", names, request)
    if set_key is not None:
        return set_key, True
    if "tokens" in record:
        return "tokens", True
    if "vectors" in record:
        return "vectors", True
    if request.target == "tags" and request.labelled:
        lists = [key for key, name in names.items() if name in ("words", "forms", "sentence")]
        lists = [key for key in lists if is_list(record[key])]
        if not lists:
            raise DataError(_missing("tokens", names))
        return lists[0], False
    lexicon = SOURCE if request.target == "sequence" else (*TEXT, "words")
    found = _ranked(names, lexicon)
    if not found:
        raise DataError(_missing("source" if request.target == "sequence" else "text", names))
    plain = names[found[0]] in ("text", "sentence", "source")
    return found[0], plain and len(found) == 1


def _target_key(
    record: Mapping[Any, Any], names: Mapping[str, str], request: ReadRequest, inputs: str
) -> tuple[str, bool]:
    set_key = _set_key("label_column", names, request)
    if set_key is not None:
        return set_key, True
    first, lexicon = {
        "tags": ("tags", TAGS),
        "label": ("label", LABEL),
        "values": ("values", VALUES),
        "sequence": ("target", TARGET),
    }[request.target]
    if first in record:
        return first, True
    found = [key for key in _ranked(names, lexicon) if key != inputs]
    if request.target == "tags":
        found = [key for key in names if key in found or names[key].endswith(" tags")]
        found = [key for key in found if is_list(record[key])]
        if len(found) > 1:
            raise DataError(
                f"{' and '.join(map(repr, found))} might be the tags. Choose: --label-column."
            )
    if not found:
        raise DataError(_missing(first, names))
    return found[0], False


def _set_key(option: str, names: Mapping[str, str], request: ReadRequest) -> str | None:
    """The key that an option names; None where it does not, or the model's is not here."""
    wanted = getattr(request.options, option)
    if wanted is None:
        return None
    if wanted in names:
        return str(wanted)
    for key, name in names.items():
        if name == plain_name(wanted):
            return key
    if request.options.of_model(option):
        return None
    raise DataError(_missing(wanted, names))


def _ranked(names: Mapping[str, str], lexicon: Sequence[str]) -> list[str]:
    known = [key for key, name in names.items() if name in lexicon]
    return sorted(known, key=lambda key: lexicon.index(names[key]))


def _missing(name: str, names: Mapping[str, str]) -> str:
    return (
        f"no {name}, it has {', '.join(list(names)[:SHOWN]) or 'nothing'}. "
        f"Name the key: --{'text' if name in ('text', 'tokens', 'source') else 'label'}-column."
    )


def _keep(keys: Keys, request: ReadRequest) -> None:
    request.found["text_column"] = keys.inputs
    if keys.target is not None:
        request.found["label_column"] = keys.target


def _unlabelled(label: Any) -> bool:
    missing = label is None or (isinstance(label, float) and label != label)
    return missing or (isinstance(label, str) and not label.strip())


def _object(source: Source, line: int, text: str) -> dict[str, Any]:
    try:
        record = json.loads(text, object_pairs_hook=_once_each)
    except RecursionError:
        raise source.fault("not JSON that can be read: it is nested too deeply.", line) from None
    except json.JSONDecodeError as error:
        raise source.fault(f"not JSON: {error}. Write one object on each line.", line) from None
    except DataError as error:
        raise source.fault(str(error), line) from None
    except ValueError:
        raise source.fault(
            "an integer of more digits than Python reads. Write it as a string, or shorter.", line
        ) from None
    if not isinstance(record, dict):
        called = "a list" if isinstance(record, list) else json.dumps(record)[:40]
        raise source.fault(
            f"the line is {called}, an object is needed. Write one on each line, without brackets "
            'around them: {"text": ..., "label": ...}.',
            line,
        )
    # Half of a pair is no character, and nothing could be written of it.
    if "\\ud" in text.lower() and (
        found := _SURROGATE.search(json.dumps(record, ensure_ascii=False))
    ):
        raise source.fault(
            f"\\u{ord(found[0]):04x} is half of a character. Write both halves, or the character.",
            line,
        )
    return record


_SURROGATE = re.compile("[\ud800-\udfff]")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DataError(f"the key {twice!r} stands twice in one object. Leave one of them out.")
    return found


def _need(record: Mapping[Any, Any], key: str) -> Any:
    if key not in record:
        raise DataError(_missing(key, {str(name): "" for name in record}))
    return record[key]
