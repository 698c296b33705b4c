"""A report as tables: for the terminal, as Markdown and as plain data."""

from __future__ import annotations

from typing import Any

from birnn.engine import isa
from birnn.report.parts import Table
from birnn.studies.bench.cases import COMPARED, SHAPES, Case, LayerKind, Work
from birnn.studies.bench.measure import BenchReport
from birnn.studies.bench.peers import OURS, TORCH
from birnn.studies.bench.targets import BIG_BATCH, against, at_the_peak, geometric_mean, targets

HEADS: dict[Work, str] = {"forward": "forward", "forward+backward": "forward + backward"}


def tables(report: BenchReport) -> list[Table]:
    """All tables that the report has something for."""
    made = [_compared(report, work) for work in report.plan.works]
    made += [_beside_torch(report), _agreement(report), _targets(report)]
    return [table for table in made if table.rows]


def to_dict(report: BenchReport) -> dict[str, Any]:
    """The report as plain data, geometric means and targets with it."""
    timings = []
    for timing in report.timings:
        ours = timing.peer == OURS
        timings.append(
            {
                "layer": timing.case.kind.called,
                "shape": str(timing.case.shape),
                "rows": int(timing.case.lengths().sum()),
                "work": timing.work,
                "peer": timing.peer,
                "way": timing.way,
                "milliseconds": 1e3 * timing.seconds,
                "times_birnn": report.ratio(timing.case, timing.work, timing.peer),
                "fma_share": report.share(timing.case, timing.work) if ours else None,
                "fma_peak_gflops": timing.peak and timing.peak / 1e9,
                "difference": timing.difference,
            }
        )
    return {
        "machine": report.machine,
        "engine": report.engine,
        "threads": report.plan.threads,
        "rounds": report.plan.rounds,
        "fma_peak_gflops": report.peak and report.peak / 1e9,
        "versions": {name: peer.version() for name, peer in report.peers.items()},
        "missing": [peer.name for peer in report.missing],
        "faults": report.faults,
        "timings": timings,
        "geometric_means": {
            work: {peer: mean for peer in report.peers if (mean := _mean(report, work, peer))}
            for work in report.plan.works
        },
        "targets": [
            {"target": target.text, "want": target.want, "got": target.got, "met": target.met}
            for target in targets(report)
        ],
    }


def footnotes(report: BenchReport) -> list[str]:
    """What has to be known to read the tables, a paragraph each."""
    machine, plan = report.machine, report.plan
    others = ", ".join(name for name in isa.available() if name != report.engine)
    peaks = _peaks(report)
    peak = f"; FMA peak {peaks} GFLOP/s, measured in every round" if peaks else ""
    reading = (
        "Shapes are batch x inputs x hidden x mean length, lengths log-normal (sigma 0.6). Columns "
        "of peers say how many times as long as birnn they take. torch packed is timed without "
        "packing and unpacking; torch padded answers wrongly in the backward half of ragged "
        "batches. Shares of the FMA peak count real rows only, and are of the median peak of the "
        "same rounds."
    )
    cores, threads = _count(machine["cores"], "core"), _count(plan.threads, "thread")
    rounds = _count(plan.rounds, "interleaved round")
    where = (
        f"{machine['processor']}, {cores}, {threads} each, float32, medians of {rounds}{peak}. "
        f"birnn {machine['birnn']}, engine {report.engine} (BIRNN_ISA in the environment picks "
        f"another one: {others})."
    )
    notes = [reading, where, *_bounds(report)]
    if report.missing:
        how = "; ".join(f"{peer.called} ({peer.how_to_install()})" for peer in report.missing)
        notes.append(f"Not installed: {how}.")
    return [*notes, *(f"{fault}." for fault in report.faults)]


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _peaks(report: BenchReport) -> str:
    """From the least to the greatest of the peaks that shares are of, and the best measure."""
    medians = [timing.peak / 1e9 for timing in report.timings if timing.peak is not None]
    if not medians or report.peak is None:
        return ""
    return f"{min(medians):.0f} to {max(medians):.0f} (best {report.peak / 1e9:.0f})"


def _bounds(report: BenchReport) -> list[str]:
    """How far from torch the large batches could be at all."""
    bounds = [(work, at_the_peak(report, work, "torch-packed")) for work in report.plan.works]
    told = [f"{bound:.1f}x {HEADS[work]}" for work, bound in bounds if bound is not None]
    if not told:
        return []
    note = (
        f"With every batch of {BIG_BATCH} and more at the whole FMA peak, and the other shapes as "
        f"they are, the geometric mean over torch packed would be "
        f"{' and '.join(told)}."
    )
    return [note]


def _compared(report: BenchReport, work: Work) -> Table:
    """The compared layer against every peer, the geometric mean under the shapes it is over."""
    cases = [case for case in report.plan.cases if case.kind == COMPARED]
    peers = [
        peer
        for peer in report.peers
        if any(report.find(case, work, peer) is not None for case in cases)
    ]
    shares = any(report.share(case, work) is not None for case in cases)
    header = ("shape", "birnn, ms", *(["FMA peak"] if shares else []))
    rows = []
    # The mean's row stands between the shapes that it is over and the others.
    inside = [case for case in cases if case.shape in SHAPES] or cases
    for case in [*inside, None, *(case for case in cases if case not in inside)]:
        if case is None:
            if len(inside) > 1:
                means = [_times(_mean(report, work, peer)) for peer in peers]
                rows.append(("geometric mean", "", *([""] if shares else []), *means))
            continue
        ours = report.find(case, work, OURS)
        if ours is None:
            continue
        share = report.share(case, work)
        rows.append(
            (
                str(case.shape),
                milliseconds(ours.seconds),
                *([_share(share)] if shares else []),
                *(_times(report.ratio(case, work, peer)) for peer in peers),
            )
        )
    title = f"{COMPARED.called}, {HEADS[work]}"
    return Table((*header, *(report.peers[peer].called for peer in peers)), rows, title)


def _mean(report: BenchReport, work: Work, peer: str) -> float | None:
    """Geometric mean over the six shapes, or over all where other ones were asked for."""
    cases = [case for case in report.plan.cases if case.kind == COMPARED]
    inside = [case for case in cases if case.shape in SHAPES] or cases
    ratios = [report.ratio(case, work, peer) for case in inside]
    known = [ratio for ratio in ratios if ratio is not None]
    return geometric_mean(known) if known and len(known) == len(ratios) else None


def _beside_torch(report: BenchReport) -> Table:
    """Other layers and lengths against the faster of torch's two ways."""
    kinds: list[LayerKind] = []
    for case in report.plan.cases:
        if case.kind != COMPARED and case.kind not in kinds:
            kinds.append(case.kind)
    shapes = dict.fromkeys(case.shape for case in report.plan.cases if case.kind in kinds)
    rows = []
    for shape in shapes:
        cells = []
        for kind in kinds:
            ratios = [against(report, TORCH, Case(shape, kind), work) for work in report.plan.works]
            cells.append(" / ".join(_times(ratio) for ratio in ratios))
        rows.append((str(shape), *cells))
    works = " / ".join(HEADS[work] for work in report.plan.works)
    title = f"times the faster of torch's two ways, {works}"
    return Table(("shape", *(kind.called for kind in kinds)), rows, title)


def _agreement(report: BenchReport) -> Table:
    """How far the peers' answers are from ours."""
    rows = []
    for name, peer in report.peers.items():
        cells = []
        for work in report.plan.works:
            found = [t for t in report.timings if (t.peer, t.work) == (name, work)]
            known = [t.difference for t in found if t.difference is not None]
            cells.append(f"{max(known):.0e}" if known else "")
        ways = sorted({t.way for t in report.timings if t.peer == name and t.way})
        rows.append((peer.called, peer.version(), *cells, "; ".join(ways)))
    heads = {"forward": "output", "forward+backward": "gradient of input"}
    header = ("peer", "version", *(heads[work] for work in report.plan.works), "fastest way")
    return Table(header, rows, "largest difference from birnn, as a share of the largest value")


def _targets(report: BenchReport) -> Table:
    rows = [
        (
            target.text,
            target.show(target.want),
            target.show(target.got),
            "yes" if target.met else "NO",
        )
        for target in targets(report)
    ]
    return Table(("target", "want", "got", "met"), rows, "performance targets")


def _times(ratio: float | None) -> str:
    """A ratio with two figures that mean something.

    Example:
        >>> _times(12.34), _times(3.456), _times(None)
        ('12x', '3.5x', '')
    """
    if ratio is None:
        return ""
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x" if ratio >= 2 else f"{ratio:.2f}x"


def _count(number: int | str, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> _count(1, "round"), _count(2, "round")
        ('1 round', '2 rounds')
    """
    return f"{number} {noun}" if int(number) == 1 else f"{number} {noun}s"


def milliseconds(seconds: float) -> str:
    """Three figures.

    Example:
        >>> milliseconds(0.00123), milliseconds(0.0123), milliseconds(0.123)
        ('1.23', '12.3', '123')
    """
    value = 1e3 * seconds
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
