"""A page with every figure and every kind of part, opened in a browser: phone and desk, light
and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from birnn.bundle import Spec
from birnn.bundle.spec import Encoder
from birnn.explain.architecture import stages
from birnn.explain.unrolled import computation_graph
from birnn.inputs import Characters
from birnn.inputs import Words as WordInputs
from birnn.report import (
    Code,
    ColouredWords,
    Notes,
    Picture,
    Section,
    Sentence,
    Sentences,
    Strip,
    Strips,
    Table,
    Text,
    Tiles,
    figures,
    write,
)
from birnn.tasks import Tags
from grids import sampled

# markup, mathematics, a script that matplotlib's font lacks, a word that is too long
WORDS = ["i", "<b>thought</b>", "$5$", "&", "银行", "would", "Donaudampfschifffahrtsgesellschaft"]
STEPS = len(WORDS)
LONG = [f"w{step}" for step in range(300)]
LABELS = ["O", "B-PER", "I-PER", "B-LOC"]


def every_figure() -> Iterator[Figure]:
    """Each function of `birnn.report.figures`; some on a long text too."""
    random = np.random.default_rng(7)

    def norms(steps: int) -> tuple[Any, Any, Any]:
        t, s = np.indices((steps, steps))
        forward = np.where(s <= t, np.exp((s - t) / 4), 0)
        return forward, forward.T, np.hypot(forward, forward.T)

    def saturation(units: int) -> tuple[Any, Any]:
        shut, opened, _ = random.dirichlet((1, 1, 1), units).T
        return shut, opened

    readers = list(figures.READERS)
    scores = {reader: random.uniform(0.8, 1, 5).tolist() for reader in readers}
    groups = {reader: {"left": 0.9, "right": 0.6} for reader in readers}
    yield figures.accuracy_by_group(groups, groups="evidence", bound={"left": 1.0, "right": 0.5})
    yield every_distance_from_the_bound()
    yield figures.accuracy_by_position(scores, positions=["1", "2", "3-9", "10-19", "20+"])
    runs = {reader: [row, row[:3]] for reader, row in scores.items()}
    yield figures.learning_curves(runs, metric="span F1 on dev")
    losses = {reader: [(row / np.arange(1, 6) ** 3).tolist()] for reader, row in
              zip(readers, random.uniform(0.5, 2, (len(readers), 5)), strict=True)}  # fmt: skip
    yield figures.learning_curves(runs, losses)
    yield figures.training_losses(losses)
    yield figures.scores_by_seed(scores)
    adds = random.normal(size=(2, STEPS))
    costs = {"parameters": 365_568.0, "forward and backward, ms": 3.25, "weights, MB": 1.4}
    yield figures.series(adds.T, adds_TC=adds.T, label="a label with a very long name", position=2)
    yield figures.series(np.abs(adds).T, rows=tag_rows(STEPS), gold="x" * STEPS)
    yield figures.series(random.normal(size=(80, 12)), rows=tag_rows(80), marked="x")
    yield figures.series(random.normal(size=(900, 3)), adds_TC=random.normal(size=(900, 3)))
    yield figures.attribution_over_time(*random.normal(size=(2, 40)), "a label with a long name")
    yield figures.attribution_over_time(random.normal(size=900), None, "value 0", of="value")
    yield figures.cost_bars(dict.fromkeys(readers, costs))
    yield figures.flow(*norms(STEPS), WORDS)
    yield figures.flow(*norms(len(LONG)), LONG)
    yield figures.influence_by_distance([1, 0.5, 0.1], [1, 0.2], {"forward": 2, "backward": 1})
    yield figures.deciding_direction(
        {"full": 3, "without forward": -1, "without backward": 2, "without both": 0}, "positive"
    )
    yield figures.deciding_by_position(*adds, WORDS)
    yield figures.attribution(WORDS, *adds, "a label with a very long name")
    yield figures.attribution(LONG, random.normal(size=300), None, "positive")
    yield figures.state_norms(*np.abs(adds), WORDS)
    yield figures.activations(*random.normal(size=(2, STEPS, 8)), WORDS)
    yield figures.activations(*random.normal(size=(2, 300, 64)), LONG)
    yield figures.unit_correlation(random.uniform(-1, 1, (12, 12)))
    yield figures.correlation_histogram(random.uniform(-1, 1, (12, 12)))
    halves = [(0, 16, "forward"), (16, 32, "backward")]
    yield figures.output_states(random.normal(size=(STEPS, 32)), WORDS, halves)
    yield figures.output_states(random.normal(size=(300, 64)), LONG, [(0, 64, "both")])
    names = ("forward", "backward", "combined")
    known = dict(zip(names, (each[2] for each in norms(STEPS)), strict=True))
    read = {"forward": range(3), "backward": range(2, STEPS)}
    yield figures.influence_on_position(known, WORDS, 2, read)
    known = dict(zip(names, (each[200] for each in norms(len(LONG))), strict=True))
    yield figures.influence_on_position(known, LONG, 200)
    yield figures.gate_saturation(
        {half: {gate: saturation(16) for gate in "ifo"} for half in ("forward", "backward")}
    )
    yield figures.attention_weights(WORDS, random.dirichlet(np.ones(STEPS)))
    looked = random.dirichlet(np.full(STEPS, 0.1), 2 * STEPS)
    yield figures.attention_matrix(WORDS, 2 * WORDS, looked, overlooked=[1])
    marginals = random.dirichlet(np.ones(4), STEPS)
    order = np.argsort(-marginals, axis=1)
    yield figures.tag_marginals(WORDS, LABELS, marginals, order[:, 0], order[:, 1])
    inputs = WordInputs(size=900, dim=50, characters=Characters(size=60, dim=12, hidden_size=12))
    head = Tags(size=17, decoder="crf")
    encoder = Encoder(hidden_size=64, num_layers=3, merge="project")
    spec = Spec(inputs=inputs, encoder=encoder, head=head)
    yield figures.blueprint(list(stages(spec)), title="tagger", parameters=spec.parameter_count())
    yield figures.unrolled(*graph_of(spec, WORDS), WORDS, {("forward", 0): "forward"}, str)
    yield figures.unrolled(*graph_of(spec, LONG), LONG, {("output", 2): "projection"}, str)
    yield figures.no_generation()
    yield figures.confusion_matrix(WORDS, random.integers(0, 999, (STEPS, STEPS)))
    yield figures.confusion_matrix(["no", "yes"], [[812, 3], [0, 12_345]])
    many = random.integers(0, 99, (20, 20)) ** 2
    yield figures.confusion_matrix([f"B-LABEL{n}" for n in range(19)], many, others=30, within=7)


def graph_of(spec: Spec, tokens: Sequence[str]) -> tuple[Any, Any]:
    graph = computation_graph(spec, len(tokens))
    return graph.nodes, graph.edges


def tag_rows(steps: int) -> list[figures.TagRow]:
    """Tags that change often, of somebody without a colour and of two readers."""
    names = {"": "correct", "forward": figures.READERS["forward"].name, "both": "two directions"}
    return [
        figures.TagRow(name, reader, ("xxy" * steps)[at : at + steps])
        for at, (reader, name) in enumerate(names.items())
    ]


def every_distance_from_the_bound() -> Figure:
    """Bars whose numbers a bound would go through at one height or another."""
    names = [str(below) for below in range(-2, 13)]
    accuracy = {"forward": {name: 0.5 - int(name) / 100 for name in names}}
    return figures.accuracy_by_group(accuracy, groups="points", bound=dict.fromkeys(names, 0.5))


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [Picture(figure, f"Figure {n}.") for n, figure in enumerate(every_figure(), start=1)]


@pytest.fixture(scope="module")
def page(pictures: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.linspace(-2, 3, STEPS).tolist()
    case = Sentence(WORDS, 2, "x", {"forward": "y", "half": "x", "equal": "x"}, (1,), "a note")
    strip = Strip("(a)bcdefgh", "oioooooooo", {"forward": "o" * 10, "both": "oioooooooo"}, ("i",))
    long = Strip("abcdefgh" * 3, "HEC" * 8, {"forward": "CEH" * 8, "both": "HEC" * 8}, ())
    sections = [
        Section(
            "Words and numbers",
            [
                Text("A paragraph."),
                Tiles([(reader.name, "98.7 %", key) for key, reader in figures.READERS.items()]),
                ColouredWords(WORDS, values, "attribution, logit", 3, ["TAG"] * STEPS, "a note"),
                ColouredWords(LONG, random_values(300), "attribution, logit"),
                Sentences([case]),
                Strips([strip, long]),
                Table(["what", *"abcdefgh"], [["a row", *[365_568] * 8]], "A wide table"),
                Code("birnn explain some/bundle 'a sentence that is rather long' --out r.html"),
                Notes(["No attention: this model has none.", "No CRF."]),
            ],
        ),
        Section("Figures", pictures),
    ]
    path = tmp_path_factory.mktemp("page") / "every-part.html"
    return write(path, "Every kind of part", sections, lead="For the browser.", footer="a test")


def random_values(count: int) -> list[float]:
    return np.random.default_rng(1).normal(size=count).tolist()


@pytest.mark.parametrize(
    ("width", "dark"), sampled([(360, False), (390, True), (1280, False)], [(390, True)])
)
def test_the_page_opens(
    page: Path, pictures: list[Picture], opened: Callable[..., Any], width: int, dark: bool
) -> None:
    seen = opened(page, width=width, dark=dark)
    assert seen.width == width
    seen.check(figures=len(pictures))
    assert [figure.label for figure in seen.figures] == [item.alt for item in pictures]
    assert seen.dark == dark
    red, green, blue = (int(part) for part in seen.paper.strip("rgb()").split(","))
    assert (red + green + blue < 3 * 64) == dark


def test_every_figure_is_on_the_page() -> None:
    drawn = {line.split(".")[1].split("(")[0] for line in _calls(every_figure)}
    offered = {
        name for name in figures.__all__ if getattr(figures, name).__class__.__name__ == "function"
    } - {"capital", "describe", "in_house_style", "alt_text", "named"}
    assert drawn == offered


def _calls(function: Callable[..., Any]) -> list[str]:
    """The lines of a function that call a figure."""
    import inspect

    lines = inspect.getsource(function).splitlines()
    return [line.strip() for line in lines if line.strip().startswith("yield figures.")]


def test_a_page_that_fails_is_noticed(opened: Callable[..., Any], tmp_path: Path) -> None:
    """The browser's findings are not empty because nobody looks."""
    path = tmp_path / "broken.html"
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>t</title><link rel=icon href='data:,'>"
        "<body><main><p style='width: 900px'>wide</p><svg role=img aria-label=x viewBox='0 0 9 9'"
        " width=90 height=90><text x=20 y=5 font-size=3>out</text>"
        "<g><text x=1 y=5 font-size=3>struck</text></g><g><text x=1 y=6 font-size=3>on</text></g>"
        "<path d='M 0 4.2 L 9 4.2' fill=none stroke=black stroke-width=.1></path></svg>"
        "<img src='http://example.org/gone.png'></main>"
        "<script>console.warn('careful'); nowhere.to.be.found</script></body>"
    )
    seen = opened(path)
    assert any("careful" in line for line in seen.console)
    assert any("nowhere is not defined" in line for line in seen.console)
    assert seen.fetched == ("http://example.org/gone.png",)
    assert seen.scroll_width >= 900 > seen.width
    assert "out" in seen.figures[0].spilled
    assert "struck" in seen.figures[0].crossed
    assert "struck on on" in seen.figures[0].overlapping
    assert any("900px" in element for element in seen.too_wide)
