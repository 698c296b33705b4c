"""The examples of a run: read from files, held out where there is no dev file, checked together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from birnn.data import Example, ReadOptions, ReadRequest, TargetKind, read
from birnn.data.alphabet import Alphabet
from birnn.data.frames import is_xy, splits_of, train_and_dev
from birnn.data.objects import examples as labelled_examples
from birnn.data.options import SPLITS
from birnn.data.pairs import each_target, grouped
from birnn.data.tokeniser import SplitMode, looks, part, tokenise
from birnn.errors import DataError, Tell
from birnn.inputs import KINDS, KindName
from birnn.tasks import TASKS
from birnn.training.checks import require_uniform_inputs

DEV_SHARE = 10  # without a dev file, one in so many training examples is held out

# As `birnn.data.tokeniser.Splitter` says it of one line, so that it is said once of a file.
_BY_TOKENISER = "split by the tokeniser. If it is in its tokens already: --tokens"

# A file, or what `birnn.data.objects` takes for examples.
DataSource = str | Path | Iterable[Any]


@dataclass(frozen=True, slots=True)
class Sets:
    """The examples of a run, what there is to say of them, and how the files were read.

    Args:
        train: Labelled examples.
        dev: What decides which weights are kept.
        test: Scored once at the end.
        notes: What is worth telling of them.
        reading: Options of reading that a bundle keeps.
        names: How the source of a set is called, where it has one.
        held_out: Whether ``dev`` was a part of ``train``.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example] = ()
    notes: Sequence[str] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    held_out: bool = False

    def name_of(self, role: Literal["train", "dev"]) -> str:
        """How a set is called where it has to be named."""
        if role == "dev" and self.held_out:
            return "held out from train"
        return self.names.get(role) or name_of(getattr(self, role))


@dataclass(frozen=True, slots=True)
class DataSources:
    """Where the examples of a run come from, and how the files among it are read.

    Args:
        train: File of labelled examples, or the examples themselves: `Example` objects, pairs,
            ``(X, y)``, dicts, a data frame, a data set of Hugging Face or its splits; gone through
            once.
        dev: Likewise; a seeded tenth of ``train`` where it is ``None``.
        test: Likewise; none where it is ``None``.
        reading: What is set about the reading of files.
    """

    train: DataSource
    dev: DataSource | None = None
    test: DataSource | None = None
    reading: ReadOptions = ReadOptions()  # noqa: RUF009 - it is frozen

    def read(
        self,
        task: str,
        *,
        seed: int = 1,
        kind: Literal["auto"] | KindName = "auto",
        tell: Tell,
    ) -> Sets:
        """Read all at the start: a fault in the last file must not show after an hour of training.

        Args:
            task: A name in `birnn.tasks.TASKS`: ``tagger``, ``seq2seq`` ...
            seed: Of what is held out.
            kind: ``inputs.kind``: where it is symbols, a text is a string of them.
            tell: Takes each notice, one line.

        Raises:
            DataError: A file that does not read, holds no example, or does not fit the others.
        """
        found: dict[str, Any] = {}
        tell = _once(tell)
        reading = self.reading
        alphabet = None if kind == "auto" else KINDS[kind].alphabet
        given, given_dev = self.train, self.dev
        if splits_of(given):
            given, found_dev, line = train_and_dev(given)
            given_dev = found_dev if given_dev is None else given_dev
            tell(line)
        names = {"train": name_of(given)}
        train = _examples("train", given, task, reading, tell, alphabet, found)
        target: TargetKind = TASKS[task].target
        paired = target == "sequence"
        if reading.split == "auto" and alphabet is None and not paired:
            split = _found_split(names["train"], train, tell)
            if split != "auto":
                found["split"] = split
                train = [_split_again(example, split) for example in train]
        # The other files are read as the first, as far as they have its columns.
        kept = reading.kept(of_model=True) | found | reading.kept()
        if not paired:
            kept = {name: value for name, value in kept.items() if name not in SPLITS}
        reading = reading.over(kept)
        labels = frozenset(e.target for e in train if isinstance(e.target, str))
        test: list[Example] = []
        if given_dev is None:
            train, dev = hold_out(train, seed, by_source=paired)
            tell(
                f"no dev file: {len(dev)} of the training examples, drawn with seed {seed}, "
                "are held out"
            )
        else:
            names["dev"] = name_of(given_dev)
            dev = _examples("dev", given_dev, task, reading, tell, alphabet, labels=labels)
        if self.test is not None:
            test = _examples("test", self.test, task, reading, tell, alphabet, labels=labels)
        # Training learns each target of a source; an answer is right if it is one of them.
        train = list(each_target(train))
        dev = list(grouped(dev, target, lambda line: tell(f"dev: {line}")))
        test = list(grouped(test, target, lambda line: tell(f"test: {line}")))
        require_uniform_inputs(train, dev, test)
        empty = sum(len(example) == 0 for example in (*train, *dev))
        notes = [f"{empty} examples of length 0 are kept"] if empty else []
        if paired and (empty := sum(example.target == () for example in (*train, *dev))):
            notes.append(f"{empty} empty targets are kept")
        return Sets(train, dev, test, notes, kept, names, held_out=given_dev is None)


def hold_out(
    examples: Sequence[Example], seed: int, *, by_source: bool = False
) -> tuple[list[Example], list[Example]]:
    """A seeded tenth of the examples, at least one, and the rest.

    Args:
        examples: The examples.
        seed: Which tenth.
        by_source: Keep examples of one sequence together: what a model was trained on would
            choose its weights otherwise.

    Raises:
        DataError: Fewer than two examples.
    """
    sources: dict[Any, int] = {}
    keys = (
        (e.inputs if by_source and isinstance(e.inputs, tuple) else i)
        for i, e in enumerate(examples)
    )
    group = [sources.setdefault(key, len(sources)) for key in keys]
    if len(sources) < 2:
        raise DataError(
            f"the training data is {len(sources)} example{'' if len(sources) == 1 else 's'}, of "
            "which no dev set can be held out. Give more, or a dev set. (Of a file with a token on "
            "each line, an empty line ends an example.)"
        )
    count = max(1, len(sources) // DEV_SHARE)
    held = set(np.random.default_rng(seed).permutation(len(sources))[:count].tolist())
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example, of in zip(examples, group, strict=True):
        parts[of in held].append(example)
    return parts


def _examples(
    name: str,
    source: DataSource,
    task: str,
    reading: ReadOptions,
    tell: Tell,
    alphabet: Alphabet | None,
    found: dict[str, Any] | None = None,
    labels: frozenset[str] = frozenset(),
) -> list[Example]:
    if reading.split == "auto" and found is not None:
        # Nothing is guessed of single texts here: `_found_split` looks at all of them.
        reading = reading.model_copy(update={"split": "text"})
    if isinstance(source, str | Path):
        return list(
            read(
                source,
                TASKS[task].target,
                reading,
                labelled=not TASKS[task].self_supervised,
                alphabet=alphabet,
                labels=labels,
                tell=tell,
                found=found,
            )
        )
    head = TASKS[task]
    request = ReadRequest(
        head.target,
        not head.self_supervised,
        options=reading,
        found={} if found is None else found,
        alphabet=alphabet,
        tell=tell,
    )
    examples = list(labelled_examples(source, request, name=name))
    if not examples:
        raise DataError(f"{name}: no example in it. Give at least one.")
    return examples


def _found_split(name: str, examples: list[Example], tell: Tell) -> SplitMode:
    """How the texts of training are split: what most of them look like."""
    texts = [example.text for example in examples if example.text and _is_split(example)]
    found = Counter(map(looks, texts))
    tokens, running = found["tokens"], found["text"]
    if not tokens and not running:
        if any(part(text).way for text in texts):
            tell(f"{name}: {_BY_TOKENISER}")
        return "auto"
    if running >= tokens:
        if tokens:
            tell(
                f"{name}: {tokens:,} of {len(texts):,} texts look tokenised, {running:,} do not: "
                "all are split by the tokeniser. If they are in their tokens: --tokens"
            )
        return "text"
    but = f", except {running:,} of {len(texts):,} that do not look it" if running else ""
    tell(f"{name}: looks tokenised: split at white space alone{but}. If it is running text: --text")
    return "auto-tokens"


def _is_split(example: Example) -> bool:
    """Whether the inputs are the words of the text, and not what a caller made of it."""
    # Tags that were made of a text's spans are those of its tokens.
    if example.text is None or example.offsets is not None:
        return False
    return example.inputs == tokenise(example.text)


def _split_again(example: Example, split: SplitMode) -> Example:
    if example.text is None or split == "text" or not _is_split(example):
        return example
    return replace(example, inputs=part(example.text, split).tokens)


def _once(tell: Tell) -> Tell:
    """The same, silent where it has been told of a file already, of whichever line."""
    seen: set[str] = set()

    def tell_once(line: str) -> None:
        of_file = re.sub(r":\d+: ", ": ", line, count=1)
        if of_file not in seen:
            seen.add(of_file)
            tell(line)

    return tell_once


def name_of(source: DataSource) -> str:
    """How a source is called where it has to be named."""
    if isinstance(source, str | Path):
        return str(source)
    if is_xy(source, pairs=True):
        source = source[1]  # type: ignore[index]
    if isinstance(source, Sized) and not isinstance(source, Mapping):
        return f"{len(source)} examples"
    return f"examples of a {type(source).__name__}"
