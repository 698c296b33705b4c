"""An argument that names a file or is a text itself, and what annotations of texts look like."""

from __future__ import annotations

import os
import os.path
from collections.abc import Callable
from typing import TYPE_CHECKING

from birnn.cli.output import STANDARD_INPUT
from birnn.errors import DataError, UsageError, escaped, print_notice

if TYPE_CHECKING:
    from birnn.data import Example
    from birnn.runtime import Annotation
    from birnn.tasks import Head

# Backgrounds of entities, by the number of their label; black letters are read on all of them.
COLOURS = ("#8fd3a7", "#f2c879", "#9cc5f0", "#e8a3b8", "#c9b3ec", "#d9d26f", "#86d6d6", "#d8b59a")


def is_text(given: str) -> bool:
    """Whether an argument is a text, and not the name of a file that is there.

    Args:
        given: The argument.

    Raises:
        DataError: A single word that looks like the name of a file, where there is none.
    """
    # What stands in a file is hardly ever meant by its name. `Path` raises where a name is too
    # long, or holds a NUL.
    if given == STANDARD_INPUT or os.path.exists(given):  # noqa: PTH110
        return False
    if given and not any(map(str.isspace, given)):
        _refuse_missing_file(given)
    return True


def _refuse_missing_file(word: str) -> None:
    from birnn.data.formats import FORMATS, ending_of

    endings = {ending for form in FORMATS.values() for ending in form.endings}
    if ending_of(word) in endings or os.sep in word:
        raise DataError(
            f"{word}: no such file. Check the path; or, to have it read as a text, put a space "
            f"before it: ' {word}'."
        )


def annotation_lines(
    head: Head, top: int | None, *, coloured: bool
) -> Callable[[Example, Annotation], str]:
    """What people read of an annotation: the text with its entities, or the best labels.

    Args:
        head: The head of the model.
        top: How many labels were asked for; None where entities were.
        coloured: Whether entities are coloured for a terminal, not put into brackets.

    Raises:
        UsageError: The model gives none of these.
    """
    if top is not None:
        if head.ranks and head.per_step:
            raise UsageError(f"--top of a {head.task} goes with --json.")
        return _best_labels
    if not head.marks_spans:
        raise UsageError(
            f"this {head.task} marks no entities. With --json, --entities gives the offsets of all "
            "tokens; leave it out for the answers alone."
        )
    return _Coloured() if coloured else _bracketed


def _best_labels(_: Example, found: Annotation) -> str:
    pairs = (f"{escaped(each.label)}\t{each.score:.4f}" for each in found.labels)
    return "\t".join(pairs) + "\n"


def _bracketed(_: Example, found: Annotation) -> str:
    return escaped(found.bracketed()) + "\n"


class _Coloured:
    """Writes texts with their entities on a coloured ground, the same for each label."""

    def __init__(self) -> None:
        from birnn.cli.printing import console

        self._console = console()
        self._colours: dict[str, str] = {}

    def __call__(self, _: Example, found: Annotation) -> str:
        from rich.text import Text

        shown, at, text = Text(), 0, found.text or ""
        for entity in found.entities:
            ground = self._colour(entity.label)
            shown.append(escaped(text[at : entity.start]))
            shown.append(f" {escaped(entity.text)} ", f"black on {ground}")
            shown.append(f"{escaped(entity.label)} ", f"bold black on {ground}")
            at = entity.end
        shown.append(escaped(text[at:]))
        with self._console.capture() as written:
            self._console.print(shown, soft_wrap=True)
        return written.get()

    def _colour(self, label: str) -> str:
        return self._colours.setdefault(label, COLOURS[len(self._colours) % len(COLOURS)])


def tell_reading(given: str, *, as_text: bool) -> None:
    """Say how an argument is read that could have been meant the other way.

    Args:
        given: The argument.
        as_text: Whether it is read as a text.
    """
    spaced = any(map(str.isspace, given))
    if as_text and not spaced:
        print_notice(f"{given!r} is no file: it is read as a text")
    elif spaced and not as_text:
        print_notice(
            f"{given!r} is a file, which is read. To have its name read as a text, put a space "
            "before it."
        )
