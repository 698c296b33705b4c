"""`birnn bench` as a user meets it, on shapes that take no time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from birnn.studies.bench.cases import WORKS
from birnn.studies.bench.peers import OURS, TORCH

TINY = (
    *("bench", "--shape", "2x3x4x5", "--rounds", "1", "--threads", "1"),
    *("--peer", "torch-packed", "--peer", "torch-padded"),
)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_has_help_that_fits_a_terminal(call: Any) -> None:
    told = call("bench", "--help")
    assert told.status == 0
    assert told.out.startswith("Usage: birnn bench")
    assert max(map(len, told.out.splitlines())) <= 80
    assert "  bench " in call("--help").out


def test_tables_on_standard_output_progress_on_standard_error(call: Any) -> None:
    told = call(*TINY)
    assert told.status == 0
    for text in ("BiLSTM, forward", "2x3x4x5", "packed", "targets", "BIRNN_ISA"):
        assert text in told.out
    assert len(told.err.splitlines()) == len(WORKS)


def test_json_is_one_object(call: Any) -> None:
    told = json.loads(call(*TINY, "--json").out)
    assert told["threads"] == told["rounds"] == 1
    assert [timing["peer"] for timing in told["timings"]] == [OURS, *TORCH] * len(WORKS)
    assert {timing["shape"] for timing in told["timings"]} == {"2x3x4x5"}


def test_markdown_is_the_table_of_the_readme(call: Any) -> None:
    lines = call(*TINY, "--markdown").out.splitlines()
    assert any(line.startswith("| shape | birnn, ms |") for line in lines)
    assert any(line.startswith("| 2x3x4x5 | ") for line in lines)


@pytest.mark.slow
def test_full_measures_the_other_layers_too(call: Any) -> None:
    told = json.loads(call(*TINY, "--full", "--json").out)
    layers = list(dict.fromkeys(timing["layer"] for timing in told["timings"]))
    assert layers == ["BiLSTM", "BiLSTM, equal lengths", "LSTM, one direction", "BiGRU", "BiRNN"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "2x3x4"], ["2x3x4", "32x128x256x25"]),
        (["--shape", "0x3x4x5"], ["1 or more"]),
        (["--peer", "torch-paked"], ["torch-paked", "torch-packed"]),
        (["--rounds", "0"], ["--rounds", "1"]),
        (["--threads", "0"], ["--threads", "1"]),
        (["--json", "--markdown"], ["--json", "--markdown"]),
    ],
)
def test_wrong_usage(call: Any, arguments: list[str], said: list[str]) -> None:
    told = call("bench", *arguments)
    assert told.status == 2
    assert all(word in told.complaint for word in said)
