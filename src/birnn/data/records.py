"""Sequences as records of named values: which keys are read; JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from birnn.data.conversion import SEVERAL, example_of, is_list, is_missing, is_several
from birnn.data.doccano import doccano_examples, looks_like_doccano
from birnn.data.examples import Example, TargetKind
from birnn.data.headers import (
    INDEX,
    LABEL,
    LABELS,
    PLAIN,
    TARGET,
    called,
    lexicons,
    listed,
    plain_name,
)
from birnn.data.json_text import json_lines
from birnn.data.label_sets import is_truth
from birnn.data.options import ReadRequest, Unlabelled
from birnn.data.prodigy import looks_like_prodigy, prodigy_examples
from birnn.data.source import Source
from birnn.data.timeseries import check_vectors
from birnn.data.writing import WriteRequest, json_line
from birnn.errors import DataError

SHOWN = 12  # keys of a record that a message names

# Keys of lists of tokens; those in the singular are of rows that were grouped.
OF_LISTS = ("words", "forms", "sentence", "word", "token", "form")
# Keys of targets, the likeliest first; the first is what birnn writes.
TARGET_KEYS: dict[TargetKind, tuple[str, ...]] = {
    "tags": (
        *("tags", "ner tags", "pos tags", "chunk tags"),
        *("upos", "xpos", "ner", "labels", "label", "tag"),
    ),
    "label": LABEL,
    "labels": LABELS,
    "values": ("values", "value", "targets", "target", *LABEL),
    "sequence": ("target", *SEVERAL, *TARGET),
    "gaps": (),
}
# Annotation tools that write JSON lines: what their records look like, and what reads them.
_OF_TOOLS = {
    "prodigy": (looks_like_prodigy, prodigy_examples),
    "doccano": (looks_like_doccano, doccano_examples),
}
LEARNT = {
    "tags": "tags are",
    "label": "label is",
    "labels": "labels are",
    "values": "target is",
    "sequence": "target is",
}


def read_jsonl(source: Source, request: ReadRequest) -> Iterator[Example]:
    r"""A JSON object on each line.

    Sequence: ``tokens`` (strings), ``vectors`` (T rows of D numbers), ``text``, or ``source``.
    Target: ``tags``, ``label``, ``labels`` (a list, maybe empty, or several keys of 0 and 1),
    ``values`` (a number or a list of K), or, where it is a sequence, ``target`` (a list of symbols,
    or a string), ``targets`` or ``references`` (a list of these, or beside ``target`` the other
    ones). Other usual names of columns are known, too; the first record decides.

    Raises:
        FormatError: Not JSON, a key that is missing, a value of a wrong kind.

    Example:
        >>> text = '{"tokens": ["no", "way"], "tags": ["DET", "NOUN"]}\n'
        >>> [example] = read_jsonl(Source.from_text(text), ReadRequest("tags"))
        >>> example.inputs, example.target
        (('no', 'way'), ('DET', 'NOUN'))
    """
    records = json_lines(source)
    first = next(records, None)
    if first is None:
        return
    records = chain([first], records)
    if request.options.format is None:
        for name, (looks, examples) in _OF_TOOLS.items():
            if looks(first[1], request):
                source.notice(f"read as {name}; --format says otherwise", first[0])
                yield from examples(source, records, request)
                return
    keys: Keys | None = None
    channels = index = 0
    unlabelled = Unlabelled(source, request)
    for number, record in records:
        try:
            if keys is None:
                keys = keys_of(record, request)
                request.found["text_column"] = keys.inputs
                if keys.target is not None:
                    request.found["label_column"] = ",".join(keys.truths) or keys.target
                if keys.notices:
                    guessed = f"{'; '.join(keys.notices)}. Options: --text-column, --label-column"
                    source.notice(guessed, number)
            target, _ = keys.targets(record, request)
            if target is not None and _is_blank(label := record.get(target), target, request):
                shown = json.dumps(label) if target in record else "missing"
                unlabelled.skip(f"{target} is {shown}", number)
                continue
            example = keys.example(record, request, source.where(number))
            if isinstance(inputs := example.inputs, np.ndarray):
                channels = channels or inputs.shape[1]
                # An empty list of vectors shows no number of channels.
                if not len(inputs):
                    inputs = np.zeros((0, channels))
                    example = replace(example, inputs=inputs)
                check_vectors(inputs, index, channels, request.options.missing)
        except DataError as error:
            raise source.fault(error, number) from None
        yield example
        index += 1
    unlabelled.report()


def _is_blank(label: Any, key: str, request: ReadRequest) -> bool:
    """Whether a record has no target; target sequences and sets of labels may be empty."""
    if request.target == "sequence":
        return is_missing(label) or (is_several(key) and is_list(label) and not len(label))
    if request.target == "labels":
        return is_missing(label)
    return is_missing(label) or (isinstance(label, str) and not label.strip())


@dataclass(frozen=True, slots=True)
class Keys:
    """Which keys of a record are read."""

    inputs: str
    target: str | None  # None where it is not read
    id: str | None
    notices: tuple[str, ...] = ()  # what was guessed, in words
    truths: tuple[str, ...] = ()  # keys that say of one label each whether it holds; one is target

    def targets(
        self, record: Mapping[Any, Any], request: ReadRequest
    ) -> tuple[str | None, str | None]:
        """The keys of a record's target and of further ones, None where there is none.

        A target sequence may stand under another key than in the first record: one target has the
        one name, several the other.
        """
        if self.target is None or request.target != "sequence":
            return self.target, None
        several = [key for key in record if is_several(str(key)) and not is_missing(record[key])]
        usual = [key for key in (self.target, TARGET[0]) if key in record]
        target = (usual or several or [self.target])[0]
        return target, next((key for key in several if key != target), None)

    def example(self, record: Mapping[Any, Any], request: ReadRequest, where: str = "") -> Example:
        """The example that a record holds.

        Raises:
            DataError: A key that is missing, a value of a wrong kind.
        """
        key, further = self.targets(record, request)
        names = (self.inputs, key or self.inputs)
        for name in (*names, *self.truths):
            if name not in record:
                raise DataError(_no_key(name, record))
        target = None if key is None else record[key]
        if self.truths and not is_missing(target):
            cells = [record[name] for name in self.truths]
            target = request.label_sets.of_truths(cells, self.truths, where)
        return example_of(
            record[self.inputs],
            target,
            request,
            where,
            names=names,
            called=None if self.id is None else record.get(self.id),
            others=((), "") if further is None else (record[further], further),
        )


def keys_of(record: Mapping[Any, Any], request: ReadRequest) -> Keys:
    """Which keys of a record are read, as its names say.

    Raises:
        DataError: None that is known, or several that might be meant.

    Example:
        >>> keys_of({"id": 7, "review": "so good", "stars": 4}, ReadRequest("label"))
        Keys(inputs='review', target='stars', id='id', notices=("the text is 'review'", \
"the label is 'stars'"), truths=())
    """
    names = {str(key): plain_name(str(key)) for key in record}
    notices: list[str] = []
    truths: tuple[str, ...] = ()
    lists = request.target == "tags" and request.labelled
    inputs = _set_key("text_column", names, request)
    if inputs is None:
        inputs = next((key for key in ("tokens", "vectors") if key in record), None)
    if inputs is None:
        texts = lexicons(request.target)[0]
        found = _ranked(names, OF_LISTS if lists else texts)
        found = [key for key in found if not lists or is_list(record[key])]
        if not found:
            wanted = "tokens" if lists else "source" if request.target == "sequence" else "text"
            raise DataError(_no_key(wanted, record))
        inputs = found[0]
        if lists or names[inputs] not in PLAIN or len(found) > 1:
            notices.append(f"the {called(request.target)[0]} is {inputs!r}")
    target = None
    # Gaps have no key: their words stand in the text.
    if request.labelled and (lexicon := TARGET_KEYS[request.target]):
        truths = _truths(record, names, request)
        target = truths[0] if truths else _set_key("label_column", names, request)
        if target is None and lexicon[0] in record:
            target = lexicon[0]
        if target is None:
            found = [key for key in _ranked(names, lexicon) if key != inputs]
            if lists:
                found = [key for key in names if key in found or names[key].endswith(" tags")]
                found = [key for key in found if is_list(record[key])]
            if lists and len(found) > 1:
                both = " and ".join(map(repr, found))
                raise DataError(f"{both} might be the tags. Choose: --label-column.")
            if not found and request.target == "labels":
                found = list(_truths(record, names, request, guess=True))
            if not found:
                raise DataError(_no_key(lexicon[0], record))
            target = found[0]
            if request.target == "labels" and is_truth(record[target]):
                truths = _truths(record, names, request, guess=True)
            if truths:
                notices.append(f"the labels are {listed(truths)}")
            elif not (request.target == "sequence" and is_several(target)):
                notices.append(f"the {LEARNT[request.target]} {target!r}")
    ids = [key for key, name in names.items() if name in INDEX and key not in (inputs, target)]
    ids.sort(key=lambda key: names[key] != "id")
    unread = [key for key in names if key not in (inputs, *ids[:1])]
    if not request.labelled and unread:
        notices.append(f"not read: {listed(unread[:SHOWN])}")
    return Keys(inputs, target, ids[0] if ids else None, tuple(notices), truths)


def _truths(
    record: Mapping[Any, Any],
    names: Mapping[str, str],
    request: ReadRequest,
    *,
    guess: bool = False,
) -> tuple[str, ...]:
    """The keys that say of one label each whether it holds: those set, or all of 0 and 1."""
    if request.target != "labels":
        return ()
    if guess:
        found = tuple(key for key in names if names[key] not in INDEX and is_truth(record[key]))
        return found if len(found) > 1 else ()
    wanted = request.options.label_column
    if wanted is None or wanted in names or "," not in wanted:
        return ()
    keys = tuple(map(str.strip, wanted.split(",")))
    if request.options.of_model("label_column") and not all(key in names for key in keys):
        return ()
    return keys


def _set_key(option: str, names: Mapping[str, str], request: ReadRequest) -> str | None:
    """The key that an option names; None where it does not, or the model's is not here."""
    wanted = getattr(request.options, option)
    if wanted is None or wanted in names:
        return None if wanted is None else str(wanted)
    for key, name in names.items():
        if name == plain_name(wanted):
            return key
    if request.options.of_model(option):
        return None
    raise DataError(_no_key(wanted, names))


def _ranked(names: Mapping[str, str], lexicon: Sequence[str]) -> list[str]:
    known = [key for key, name in names.items() if name in lexicon]
    return sorted(known, key=lambda key: lexicon.index(names[key]))


def _no_key(name: str, record: Mapping[Any, Any]) -> str:
    what = "text" if name in ("text", "tokens", "source") else "label"
    has = ", ".join(map(str, list(record)[:SHOWN])) or "nothing"
    return f"no {name}, it has {has}. Name the key: --{what}-column."


def write_jsonl(examples: Iterable[Example], request: WriteRequest) -> Iterator[str]:
    r"""An object on each line, with the keys that `read_jsonl` looks for first.

    Example:
        >>> "".join(write_jsonl([Example(("no",), ("DET",))], WriteRequest("tags", "jsonl")))
        '{"tokens": ["no"], "tags": ["DET"]}\n'
    """
    key = (*TARGET_KEYS[request.target], "text")[0]
    for example in examples:
        record: dict[str, Any] = {} if example.id is None else {"id": example.id}
        if isinstance(example.inputs, np.ndarray):
            record["vectors"] = example.inputs.tolist()
        elif request.target == "sequence":
            record["source"] = list(example.inputs)
        elif request.target == "tags" or example.text is None:
            record["tokens"] = list(example.inputs)
        else:
            record["text"] = example.text
        target: Any = example.target
        if target is not None:
            record[key] = target if isinstance(target, str) else list(target)
        if example.references:
            record["references"] = [list(each) for each in example.references]
        yield json_line(record)
