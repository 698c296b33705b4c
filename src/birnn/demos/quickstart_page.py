"""The page of the quickstart."""

from __future__ import annotations

from pathlib import Path

from birnn import report
from birnn.demos.demo import Shown
from birnn.demos.demo_page import LIMIT, contest_parts, footer, learning
from birnn.report.parts import Code, Part, Section, Text
from birnn.studies.compare.contest import Member


def sentence(words: Shown) -> str:
    """A test sentence with evidence on the right, that only two directions tag well if any."""
    number, _ = _telling(words)
    return " ".join(str(token) for token in words.contest.inputs[number])


def _telling(words: Shown) -> Member:
    """The first answer with evidence on the right on which the ways part, or the first of all."""
    return min(words.contest.groups["right"], key=lambda member: not _parted(words, member))


def _parted(words: Shown, member: Member) -> bool:
    """Whether two directions are right and one is not."""
    return words.contest.right("both", member) and not words.contest.right("forward", member)


def write(path: Path, words: Shown, pairs: Shown, *, bundle: Path, seconds: float) -> Path:
    """Write the page of the quickstart.

    Args:
        path: Where.
        words: The demo `senses`.
        pairs: The demo `brackets`.
        bundle: Folder of the tagger that was kept.
        seconds: Time that training and testing took.

    Raises:
        OutputError: The file cannot be written.
    """
    both = (words, pairs)
    return report.write(
        path,
        "What the second direction buys",
        [
            *(Section(shown.demo.facts.title, _parts(shown)) for shown in both),
            Section("How they learned", [learning(shown.contest) for shown in both]),
            Section("All numbers", [*(shown.contest.table() for shown in both), Text(LIMIT)]),
            Section("Go on", _next(words, bundle)),
        ],
        lead="Pairs of taggers with the same settings, trained on the same sequences. One of each "
        "pair reads from left to right, the other in both directions. Where what is to come "
        "matters, they part.",
        footer=footer(4, seconds),
    )


def _parts(shown: Shown) -> list[Part]:
    facts = shown.demo.facts
    return [Text(facts.about), *contest_parts(shown), Text(facts.one_direction)]


def _next(words: Shown, bundle: Path) -> list[Part]:
    parted = _parted(words, _telling(words))
    picked = ", picked because two directions tag it right and one does not" if parted else ""
    return [
        Text(
            f"The tagger of senses with two directions is in {bundle}: a folder with a model card, "
            f"that needs no PyTorch to run. The sentence below is one of the test set{picked}."
        ),
        Code(
            f'echo "{sentence(words)}" | birnn predict {bundle}\n'
            f'birnn explain {bundle} "{sentence(words)}" --out explained.html\n'
            "birnn train tagger --train train.conllu --dev dev.conllu --out pos/"
        ),
    ]
