"""Tables, means and targets of reports whose timings are known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.cli.printing import markdown
from birnn.studies.bench import SHAPES, WIDE, BenchReport, Case, Shape
from birnn.studies.bench.tables import footnotes, tables, to_dict
from birnn.studies.bench.targets import at_the_peak, geometric_mean, targets
from peers import PEERS

ALL = {name: 1.0 + number for number, name in enumerate(PEERS) if name != "birnn"}
positive = st.floats(1e-3, 1e3)


@given(values=st.lists(positive, min_size=1), factor=positive)
def test_a_geometric_mean_scales_and_turns_round(values: list[float], factor: float) -> None:
    mean = geometric_mean(values)
    assert math.isclose(geometric_mean([factor * value for value in values]), factor * mean)
    assert math.isclose(geometric_mean([1 / value for value in values]), 1 / mean)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)


def test_targets_are_held_against_the_ratios(make: Callable[..., BenchReport]) -> None:
    ratios = {"torch-packed": 7.0, "torch-padded": 3.0, "onnxruntime": 2.5, "openvino": 1.5}
    told = {target.text: target for target in targets(make(ratios))}
    packed = told["forward, torch packed, geometric mean"]
    assert packed.got == pytest.approx(7.0)
    assert packed.met
    faster = told["forward, the faster of ONNX Runtime and OpenVINO, geometric mean"]
    assert faster.got == pytest.approx(1.5)
    assert not faster.met
    assert told["forward, the faster of ONNX Runtime and OpenVINO, least"].met
    assert not told["forward + backward, torch packed, geometric mean"].met
    assert not told["forward + backward, torch padded, geometric mean"].met
    # Seven shapes in two works each.
    assert told["the faster torch, least of 14 measures"].got == pytest.approx(3.0)


def test_the_wide_shape_is_in_no_mean(make: Callable[..., BenchReport]) -> None:
    report = make({"torch-packed": 7.0})
    for number, timing in enumerate(report.timings):
        if timing.case.shape == WIDE and timing.peer == "torch-packed":
            report.timings[number] = type(timing)(timing.case, timing.work, timing.peer, 1.0)
    means = to_dict(report)["geometric_means"]["forward"]
    assert means == {"torch-packed": pytest.approx(7.0)}


def test_shares_of_the_peak_are_targets_for_large_batches_only(
    make: Callable[..., BenchReport],
) -> None:
    # A peak at which every shape but the one of a single sequence reaches its target.
    least = min(Case(shape).flops("forward") for shape in SHAPES if shape.batch >= 32)
    report = make({"torch-packed": 7.0}, peak=least / 1e-3)
    assert report.share(Case(Shape.parse("1x128x256x25")), "forward") < 0.8  # type: ignore[operator]
    told = [target for target in targets(report) if target.unit == "%"]
    assert [target.met for target in told] == [True, True, True]
    assert told[0].got == pytest.approx(1.0)


def test_large_batches_can_be_faster_by_what_is_left_of_the_peak(
    make: Callable[..., BenchReport],
) -> None:
    # The peak at which every shape takes twice the time that its operations take at least, or more.
    most = max(Case(shape).flops("forward") for shape in SHAPES)
    report = make({"torch-packed": 7.0}, peak=2 * most / 1e-3)
    bound = at_the_peak(report, "forward", "torch-packed")
    shares = [report.share(Case(shape), "forward") for shape in SHAPES if shape.batch >= 32]
    assert max(shares) == pytest.approx(0.5)  # type: ignore[type-var]
    assert bound == pytest.approx(7.0 / math.prod(shares) ** (1 / len(SHAPES)))  # type: ignore[arg-type]
    assert any(f"would be {bound:.1f}x forward" in note for note in footnotes(report))


def test_without_a_peak_nothing_is_told_of_what_is_left(make: Callable[..., BenchReport]) -> None:
    report = make({"torch-packed": 7.0})
    assert at_the_peak(report, "forward", "torch-packed") is None
    assert not any("would be" in note for note in footnotes(report))


def test_without_the_six_shapes_only_torch_has_targets(make: Callable[..., BenchReport]) -> None:
    (target,) = targets(make(ALL, SHAPES[:5]))
    assert target.text == "the faster torch, least of 10 measures"


def test_an_engine_that_was_forced_has_fewer_targets(make: Callable[..., BenchReport]) -> None:
    report = make(ALL, engine="avx2", peak=1e12)
    report.lowered = True
    assert [(target.text, target.got) for target in targets(report)] == [
        ("forward on avx2, ONNX Runtime, geometric mean", pytest.approx(ALL["onnxruntime"])),
        ("the faster torch, least of 14 measures", pytest.approx(ALL["torch-packed"])),
    ]


def test_markdown_has_every_shape_and_peer(make: Callable[..., BenchReport]) -> None:
    report = make(ALL, peak=1e12)
    lines = [
        line for table in tables(report) for line in markdown(table.header, table.rows).splitlines()
    ]
    header = next(line for line in lines if line.startswith("| shape"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "shape",
        "birnn, ms",
        "FMA peak",
        *(PEERS[name].called for name in ALL),
    ]
    first = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    shapes = [str(shape) for shape in SHAPES]
    assert first[: len(shapes) + 3] == ["shape", *shapes, "geometric mean", str(WIDE)]
    assert "| geometric mean |  |  | 2.0x | 3.0x | 4.0x | 5.0x | 6.0x | 7.0x |" in lines


def test_tables_have_a_cell_for_each_column(make: Callable[..., BenchReport]) -> None:
    for table in tables(make(ALL, peak=1e12)):
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_a_report_is_json(make: Callable[..., BenchReport]) -> None:
    report = make(ALL, peak=1e12)
    told = json.loads(json.dumps(to_dict(report), allow_nan=False))
    assert len(told["timings"]) == len(report.timings)
    assert told["fma_peak_gflops"] == 1000


def test_notes_tell_the_peaks(make: Callable[..., BenchReport]) -> None:
    report = make(ALL, peak=1e12)
    report.peak = 1.5e12
    assert any("FMA peak 1000 to 1000 (best 1500) GFLOP/s" in note for note in footnotes(report))


def test_notes_name_what_is_missing_and_what_failed(make: Callable[..., BenchReport]) -> None:
    report = make({"torch-packed": 2.0})
    report.missing.append(PEERS["openvino"])
    report.faults.append("Keras cannot run: ImportError: no")
    notes = footnotes(report)
    assert "Not installed: OpenVINO (pip install openvino)." in notes
    assert "Keras cannot run: ImportError: no." in notes
    assert any("engine avx512" in note and "BIRNN_ISA" in note for note in notes)
