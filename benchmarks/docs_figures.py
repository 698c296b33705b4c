"""The figures of docs/, from models that it trains, and the numbers that stand beside them.

    .venv/bin/python benchmarks/docs_figures.py

Writes ``docs/figures/*.svg`` and prints what each shows in words: the pages quote that.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import birnn
from birnn.demos import DEMOS, Size, numbers, run, senses
from birnn.explain.ablation import MeanStates, mean_ablation
from birnn.explain.architecture import architecture
from birnn.explain.attribution import integrated_gradients, occlusion
from birnn.explain.flow import by_distance, context_length, flow
from birnn.explain.states import output_columns, states
from birnn.explain.unrolled import inputs_read, unrolled
from birnn.metrics import confusion_matrix
from birnn.report import figures
from birnn.runtime import trace_target
from birnn.studies.cost import cost

OUT = Path(__file__).resolve().parents[1] / "docs" / "figures"
# Brackets on more sequences than `birnn demo` tests: a position's accuracy to half a percent.
SIZES = {"senses": DEMOS["senses"].size, "brackets": Size(train=500, test=2000, epochs=50)}
WORD = "bank"
SENTENCES = 40  # that means are taken over


def learned(folder: Path, seeds: tuple[int, ...]) -> Iterator[tuple[str, Figure]]:
    """What one and two directions reach, by evidence and by position."""
    for name, size in SIZES.items():
        keep = {"both": folder / "tagger", "forward": folder / "one"} if name == "senses" else None
        contest = run(name, seeds=seeds, size=size, keep=keep, tell=print).contest
        print(*(f"{way}: {contest.spread(way)}" for way in contest.ways), contest.limit(), sep="\n")
        accuracy = {way: contest.by_group(way) for way in contest.ways}
        if name == "senses":
            yield (
                name,
                figures.accuracy_by_group(
                    accuracy, groups="where the evidence stands", bound=contest.bound
                ),
            )
        else:
            lines = {way: list(groups.values()) for way, groups in accuracy.items()}
            yield (
                name,
                figures.accuracy_by_position(lines, bound=list(contest.bound.values())),
            )
            found = contest.comparison
            yield "learning", figures.learning_curves(found.curves, found.losses)


def explained(tagger: Path) -> Iterator[tuple[str, Figure]]:
    """What the tagger of senses knows, looks at and decides by."""
    model = birnn.load(tagger)
    drawn = senses.generate(SENTENCES, seed=1, split="test")
    right = next(
        case
        for case in senses.generate(600, seed=1, split="test")
        if case.kind == "right"
        and case.example.inputs[case.position] == WORD
        and model.predict([case.example.inputs])[0][case.position] == case.tag
    )
    words = list(right.example.inputs)
    print("sentence:", " ".join(words), "->", right.tag)

    yield "unrolled", unrolled(model.spec, words[: right.position + 2])
    found, at = flow(model.bundle, words), right.position
    yield "flow", figures.flow(found.forward, found.backward, found.combined, words)
    norms, read = found.of_state(at), inputs_read(model.spec, len(words), at)
    yield "position", figures.influence_on_position(norms, words, at, read)
    columns = output_columns(model.spec.stack)
    yield "output", figures.output_states(states(model.bundle, words).output, words, columns)

    flows = [flow(model.bundle, list(case.example.inputs)) for case in drawn]
    forward, backward = by_distance(flows, "forward"), by_distance(flows, "backward")
    context = {"forward": context_length(forward), "backward": context_length(backward)}
    print("context, steps:", context)
    yield "distance", figures.influence_by_distance(forward, backward, context)

    means = MeanStates.over(
        model.bundle, [case.example.inputs for case in senses.generate(300, seed=1)]
    )
    # Most of a sense's logit says which word it is of; the difference to the other sense of the
    # same word says which sense. Attributions are linear in the logit, so they may be subtracted.
    other = next(
        label for label in model.labels if label.startswith(f"{WORD}/") and label != right.tag
    )
    question = " − ".join(label.removeprefix(f"{WORD}/") for label in (right.tag, other))
    ablation = mean_ablation(model.bundle, words, means=means)
    one, two = ablation.logits(right.tag), ablation.logits(other)
    logits = {str(key): float((one[key] - two[key])[right.position]) for key in one}
    yield "deciding", figures.deciding_direction(logits, question)

    asked = [(right.tag, 1), (other, -1)]
    found_by = {
        name: [
            sign * explain(model.bundle, words, target=tag, position=right.position).steps
            for tag, sign in asked
        ]
        for name, explain in (("gradients", integrated_gradients), ("occlusion", occlusion))
    }
    gradients, hidden = (sum(parts) for parts in found_by.values())
    yield (
        "attribution",
        figures.attribution(words, gradients, hidden, question),
    )
    yield "architecture", architecture(model.spec)


def confused(one: Path) -> Iterator[tuple[str, Figure]]:
    """Which senses a tagger from left to right takes for which."""
    size = DEMOS["senses"].size
    test = DEMOS["senses"].draw(size, 1)[2]
    scores = birnn.load(one).evaluate([case.example for case in test])
    found = confusion_matrix(scores["confusion"])
    print("confused:", *found.confused[:5])
    yield (
        "confusion",
        figures.confusion_matrix(
            found.labels, found.counts, others=len(found.folded), within=found.within
        ),
    )


def looking(folders: dict[str, Path]) -> Iterator[tuple[str, Figure]]:
    """Where the decoders behind one direction and two look as they write the same answer."""
    models = {way: birnn.load(folder) for way, folder in folders.items()}
    source, right = next(
        (case.example.inputs, case.example.target)
        for case in numbers.generate(400, seed=1, split="test")
        if case.kind == numbers.PLAIN
        and all(
            tuple(model.predict([case.example.inputs])[0]) == case.example.target
            for model in models.values()
        )
    )
    print("list:", "".join(map(str, source)), "->", " ".join(map(str, right)))
    for way, model in models.items():
        found = trace_target(model, source)
        for step in found.steps:
            print(way, step.symbol, f"{step.probability:.3f}", step.runners_up[0])
        said = [*found.target.symbols, "</s>"]
        yield f"attention-{way}", figures.attention_matrix(found.source, said, found.attention)


def drawn(folder: Path, seeds: tuple[int, ...]) -> Iterator[tuple[str, Figure]]:
    """All figures that are no measured times, by name."""
    yield "generation", figures.no_generation()
    yield from learned(folder, seeds)
    yield from explained(folder / "tagger")
    yield from confused(folder / "one")
    folders = {way: folder / f"numbers-{way}" for way in ("forward", "both")}
    run("numbers", seeds=seeds[:1], keep=folders, tell=print)
    yield from looking(folders)


def costing() -> Iterator[tuple[str, Figure]]:
    """What the layer of the page on costs takes."""
    report = cost("lstm", 100, 256, threads=1, rounds=9)
    for table in report.tables():
        print(table.title, table.header, *table.rows, sep="\n")
    yield "cost", figures.cost_bars(report.bars())


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="models of each way of reading")
    parser.add_argument(
        "--costs", action="store_true", help="the figure of costs alone, on an idle machine"
    )
    chosen = parser.parse_args()
    seeds = tuple(range(1, chosen.seeds + 1))
    OUT.mkdir(exist_ok=True)
    # The same bytes in every run; text stays text. White, because a picture does not know whether
    # the page around it is light or dark.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "docs", "savefig.transparent": False}
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in costing() if chosen.costs else drawn(Path(folder), seeds):
            figure.savefig(OUT / f"{name}.svg", facecolor="white", metadata={"Date": None})
            print(f"{name}.svg: {figures.alt_text(figure)}", flush=True)


if __name__ == "__main__":
    main()
