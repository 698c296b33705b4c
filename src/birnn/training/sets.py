"""The examples of a run: read from files, held out where there is no dev file, checked together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from birnn.data import Example, ReadOptions, ReadRequest, read
from birnn.data.alphabet import Alphabet
from birnn.data.objects import examples as labelled_examples
from birnn.data.words import Split, looks, part, tokenise
from birnn.errors import DataError
from birnn.tasks import TARGETS
from birnn.training.checks import require_uniform_inputs
from birnn.training.recipe import Task
from birnn.training.settings import Kind

DEV_SHARE = 10  # without a dev file, one in so many training examples is held out

# As `birnn.data.words.Splitter` says it of one line, so that it is said once of a file.
_BY_TOKENISER = "split by the tokeniser. If it is in its tokens already: --tokens"

# A file, or what `birnn.data.objects` takes for examples.
Source = str | Path | Iterable[Any]


@dataclass(frozen=True, slots=True)
class Sets:
    """The examples of a run, what there is to say of them, and how the files were read."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    notes: list[str] = field(default_factory=list)
    reading: dict[str, Any] = field(default_factory=dict)


def read_sets(
    train: Source,
    dev: Source | None,
    test: Source | None,
    *,
    task: Task,
    reading: ReadOptions,
    seed: int,
    say: Callable[[str], None],
    kind: Literal["auto"] | Kind = "auto",
) -> Sets:
    """Read all files at the start: a fault in the last must not show after an hour of training.

    Args:
        train: File of labelled examples, or the examples themselves: `Example` objects, pairs,
            dicts, a data frame, gone through once.
        dev: Likewise; a seeded tenth of ``train`` where it is ``None``.
        test: Likewise; none where it is ``None``.
        task: ``tagger``, ``classifier`` or ``regressor``.
        reading: What is set about the reading of files.
        seed: Of what is held out.
        say: Takes each notice, one line.
        kind: ``inputs.kind``: where it is symbols, a text is a string of them.

    Raises:
        DataError: A file that does not read, holds no example, or does not fit the others.
    """
    found: dict[str, Any] = {}
    say = _once(say)
    alphabet = Alphabet() if kind == "symbols" else None
    train_examples = _examples("train", train, task, reading, say, alphabet, found)
    if reading.split == "auto" and alphabet is None:
        split = _found_split(name_of(train), train_examples, say)
        if split != "auto":
            found["split"] = split
            train_examples = [_split_again(example, split) for example in train_examples]
    # The other files are read as the first, as far as they have its columns.
    kept = found | reading.kept()
    reading = reading.over(kept)
    labels = frozenset(e.target for e in train_examples if isinstance(e.target, str))
    if dev is None:
        train_examples, dev_examples = hold_out(train_examples, seed)
        say(
            f"no dev file: {len(dev_examples)} of the training examples, drawn with seed {seed}, "
            "are held out"
        )
    else:
        dev_examples = _examples("dev", dev, task, reading, say, alphabet, labels=labels)
    test_examples = (
        _examples("test", test, task, reading, say, alphabet, labels=labels)
        if test is not None
        else []
    )
    require_uniform_inputs(train_examples, dev_examples, test_examples)
    empty = sum(len(example) == 0 for example in (*train_examples, *dev_examples))
    notes = [f"{empty} examples of length 0 are kept"] if empty else []
    return Sets(train_examples, dev_examples, test_examples, notes, kept)


def hold_out(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """A seeded tenth of the examples, at least one, and the rest.

    Raises:
        DataError: Fewer than two examples.
    """
    if len(examples) < 2:
        raise DataError(f"{len(examples)} training example(s): a dev set cannot be held out")
    count = max(1, len(examples) // DEV_SHARE)
    order = np.random.default_rng(seed).permutation(len(examples))
    held = set(order[:count].tolist())
    rest = [example for i, example in enumerate(examples) if i not in held]
    return rest, [examples[i] for i in sorted(held)]


def _examples(
    name: str,
    source: Source,
    task: Task,
    reading: ReadOptions,
    say: Callable[[str], None],
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
                TARGETS[task],
                reading,
                alphabet=alphabet,
                labels=labels,
                tell=say,
                found=found,
            )
        )
    request = ReadRequest(TARGETS[task], options=reading, alphabet=alphabet, tell=say)
    examples = list(labelled_examples(source, request, tell=say, name=name))
    if not examples:
        raise DataError(f"{name}: no example in it. Give at least one.")
    return examples


def _found_split(name: str, examples: list[Example], say: Callable[[str], None]) -> Split:
    """How the texts of training are split: what most of them look like."""
    texts = [example.text for example in examples if example.text and _is_split(example)]
    found = Counter(map(looks, texts))
    tokens, running = found["tokens"], found["text"]
    if not tokens and not running:
        if any(part(text).way for text in texts):
            say(f"{name}: {_BY_TOKENISER}")
        return "auto"
    if running >= tokens:
        if tokens:
            say(
                f"{name}: {tokens:,} of {len(texts):,} texts look tokenised, {running:,} do not: "
                "all are split by the tokeniser. If they are in their tokens: --tokens"
            )
        return "text"
    but = f", except {running:,} of {len(texts):,} that do not look it" if running else ""
    say(f"{name}: looks tokenised: split at white space alone{but}. If it is running text: --text")
    return "auto-tokens"


def _is_split(example: Example) -> bool:
    """Whether the inputs are the words of the text, and not what a caller made of it."""
    return example.text is not None and example.inputs == tokenise(example.text)


def _split_again(example: Example, split: Split) -> Example:
    if example.text is None or split == "text" or not _is_split(example):
        return example
    return replace(example, inputs=part(example.text, split).tokens)


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """The same, silent where it has been told of a file already, of whichever line."""
    told: set[str] = set()

    def say_once(line: str) -> None:
        of_file = re.sub(r":\d+: ", ": ", line, count=1)
        if of_file not in told:
            told.add(of_file)
            say(line)

    return say_once


def name_of(source: Source) -> str:
    """How a source is called where it has to be named."""
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, Sized) and not isinstance(source, Mapping):
        return f"{len(source)} examples"
    return f"examples of a {type(source).__name__}"
