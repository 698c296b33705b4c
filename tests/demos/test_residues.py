"""The chains against their law, read back by a parser, and the ceiling against enumeration."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.data import Example, read
from birnn.demos import residues
from birnn.demos.demo import ALL, LATER, SO_FAR, SplitName
from birnn.demos.residues import (
    COIL,
    FAVOUR_HELIX,
    FAVOUR_STRAND,
    HELIX,
    HELIX_CAP,
    LINKERS,
    RUN_LENGTHS,
    RUNS,
    STRAND,
    STRAND_CAP,
)
from birnn.errors import ConfigError

SPLITS: tuple[SplitName, ...] = ("train", "test")
CAPPED = {HELIX_CAP: HELIX, STRAND_CAP: STRAND, "": COIL}
RUN = re.compile(f"([{''.join(FAVOUR_HELIX + FAVOUR_STRAND)}]+)([{HELIX_CAP}{STRAND_CAP}]?)")


@pytest.mark.parametrize("split", SPLITS)
def test_tags_follow_from_the_residue_after_each_run(split: SplitName) -> None:
    for case in residues.generate(200, 1, split=split):
        text = "".join(case.example.inputs)
        tags, later, kind = [COIL] * len(text), [False] * len(text), ""
        for run in RUN.finditer(text):
            start, end = run.span(1)
            tags[start:end] = CAPPED[run[2]] * (end - start)
            later[start:end] = [True] * (end - start)
            kind += CAPPED[run[2]]
            assert RUN_LENGTHS[0] <= end - start <= RUN_LENGTHS[1]
            assert text[run.end()] in LINKERS
        assert case.example.target == tuple(tags)
        assert case.decided_later == tuple(later)
        assert case.kind == kind
        assert text[0] in LINKERS


def test_every_residue_has_one_part() -> None:
    parts = (*FAVOUR_HELIX, *FAVOUR_STRAND, *LINKERS, HELIX_CAP, STRAND_CAP)
    assert sorted(parts) == sorted("ACDEFGHIKLMNPQRSTVWY")


def test_runs_lean_as_far_as_they_should() -> None:
    leaning: dict[str, list[bool]] = defaultdict(list)
    for case in residues.generate(2000, 2):
        assert case.example.target is not None
        steps = zip(case.example.inputs, case.example.target, case.decided_later, strict=True)
        for residue, tag, later in steps:
            if later:
                leaning[str(tag)].append(residue in FAVOUR_HELIX)
    for tag, (chance, _) in RUNS.items():
        error = np.sqrt(chance * (1 - chance) / len(leaning[tag]))
        assert np.mean(leaning[tag]) == pytest.approx(chance, abs=4 * error)


def test_ceiling_is_what_the_best_rule_on_what_was_read_reaches() -> None:
    # every run with its probability, as a pattern of residues that favour one or the other
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    lengths = range(RUN_LENGTHS[0], RUN_LENGTHS[1] + 1)
    for tag, (chance, _) in RUNS.items():
        for length in lengths:
            for pattern in product("he", repeat=length):
                helical = pattern.count("h")
                probability = chance**helical * (1 - chance) ** (length - helical)
                for step in range(length):
                    seen = "".join(pattern[: step + 1])
                    votes[seen][tag] += probability / len(lengths) / len(RUNS)  # type: ignore[assignment]
    right = sum(max(counts.values()) for counts in votes.values())
    every = sum(counts.total() for counts in votes.values())
    ceiling = residues.ceiling()
    assert ceiling[LATER] == pytest.approx(right / every)
    assert ceiling[SO_FAR] == 1
    # how much of a chain is runs, as drawn
    cases = residues.generate(3000, 3)
    later = sum(sum(case.decided_later) for case in cases) / sum(len(c.example) for c in cases)
    assert ceiling[ALL] == pytest.approx(1 - later + later * ceiling[LATER], abs=0.003)


def test_no_chain_stands_in_both_splits() -> None:
    train, test = (
        {"".join(case.example.inputs) for case in residues.generate(1000, 0, split=split)}
        for split in SPLITS
    )
    assert len(train) == len(test) == 1000
    assert not train & test


def test_seeds_repeat() -> None:
    assert residues.generate(20, 5) == residues.generate(20, 5)
    assert residues.generate(20, 5) != residues.generate(20, 6)
    assert residues.generate(0, 5) == []


@given(seed=st.integers(0, 1000))
def test_a_chain_is_what_the_reader_of_its_file_format_gives(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [case] = residues.generate(1, seed)
    assert case.example.target is not None
    path = tmp_path_factory.mktemp("chains") / "one.fasta"
    path.write_text(f">one\n{''.join(case.example.inputs)}\n{''.join(case.example.target)}\n")  # type: ignore[arg-type]
    [found] = read(path, "tags")
    assert Example(found.inputs, found.target) == case.example


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="count is -1"):
        residues.generate(-1, 0)
