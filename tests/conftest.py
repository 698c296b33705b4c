"""What all tests share: Hypothesis profiles, what may be skipped in CI, real data, a browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from PIL import Image

# Keras reads its backend once, when a process imports it first.
os.environ.setdefault("KERAS_BACKEND", "torch")
# Programs of tests run but once or twice, so XLA need not optimise them: that takes longer.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

for profile, examples in {"fast": 10, "full": 40}.items():
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("fast")

# Tests interrupt processes that they start. Those would ignore it where this one was started to, as
# shells start what runs in the background.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# thinc, which spaCy brings, would seed torch around every test, also those that hide torch.
# Tests of an installed wheel run without the plugin.
if plugin := sys.modules.get("pytest_randomly"):
    vars(plugin)["entrypoint_reseeds"] = []

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SCREENSHOTS = Path(__file__).resolve().parents[1] / "build" / "screenshots"

# Why a test may be skipped in CI, too: what a machine cannot be given. Any other skip there is a
# failure: a browser, real data and the compiled module are there, or CI proves less than it says.
MAY_BE_MISSING = re.compile(
    r"the engine \w+ does not run here"
    r"|one compiled engine has none to agree with"
    r"|needs two processors"
    r"|no CUDA device"
    r"|root may write anywhere"
    r"|no /proc/cpuinfo on this system"
    r"|.* is not installed: pip install .*"  # peers of the benchmarks
    r"|Keras runs on another backend here\. .*"  # once `make test-tensorflow` has installed it
)

PHONE = 360  # pixels: a small one held upright
DESKTOP = 1000
TALLEST = 16_000  # of a screenshot


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """After a test torch has as many threads as before.

    Those that spin for each other on shared processors make all later tests many times slower.
    """
    before = torch_threads()
    done = yield
    torch = sys.modules.get("torch")  # None where the end of a test that hides it has failed
    if torch is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before or int(os.environ.get("OMP_NUM_THREADS", 1)))
    return done


def torch_threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch and torch.get_num_threads()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With CI set, a skip for a reason that is not `MAY_BE_MISSING` is a failure."""
    if not (os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple)):
        return  # an expected failure has no such tuple
    path, line, message = report.longrepr
    reason = message.removeprefix("Skipped: ")
    if not MAY_BE_MISSING.fullmatch(reason):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: nothing is skipped in CI, and this was: {reason}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that stands beside the project in development and CI."""
    if not SHARED.is_dir():
        pytest.skip("real data is not here: it stands in ../shared/data in development and CI only")
    return SHARED


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, make)``: the folder that ``make(folder)`` fills; not to be changed.

    It is made when it is first asked for, once for all workers of a session.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made"

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / name.replace(" ", "-")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            done = folder.with_name(f"{folder.name}.done")
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return get


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as the browser laid it out, in pixels.

    Its labels that leave it are `spilled`, those that a line goes through are `crossed`, and pairs
    of them that lie on each other are `overlapping`.
    """

    label: str
    width: float
    height: float
    smallest_text: float
    spilled: tuple[str, ...]
    crossed: tuple[str, ...]
    overlapping: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a browser made of a page."""

    console: tuple[str, ...]
    figures: tuple[Drawn, ...]
    width: int
    scroll_width: int
    content_width: float  # of the column that text, tables and figures stand in
    table_widths: tuple[float, ...]  # of the boxes that tables stand in
    cut_tables: int  # that are wider than their boxes, in which they scroll
    smallest_cell: float | None  # of the strips
    too_wide: tuple[str, ...]
    fetched: tuple[str, ...]
    height: int
    dark: bool
    paper: str
    screenshot: Path

    def check(self, figures: int) -> None:
        """A quiet console, nothing fetched, so many figures in sight, nothing beside the page."""
        assert self.console == ()
        assert self.fetched == ()
        assert len(self.figures) == figures
        for figure in self.figures:
            assert abs(figure.width - self.content_width) <= 1, figure
            assert figure.height >= 60, figure
            assert figure.label
            assert figure.spilled == (), figure
            assert figure.crossed == (), figure
            assert figure.overlapping == (), figure
            assert figure.smallest_text >= 7, figure
        for width in self.table_widths:
            assert abs(width - self.content_width) <= 1
        assert self.smallest_cell is None or self.smallest_cell >= 16
        assert self.scroll_width <= self.width, self.too_wide
        assert self.too_wide == ()
        assert self.screenshot.stat().st_size > 0


# Appended to a copy of the page: tells the frame around it what the layout came to.
MEASURE = """<script>
addEventListener("load", () => {
  const box = element => element.getBoundingClientRect();
  const inside = (a, b) => a.left >= b.left - 2 && a.right <= b.right + 2
                        && a.top >= b.top - 2 && a.bottom <= b.bottom + 2;
  // The middle of a label, which a line must not go through. A label that stands on end is narrow.
  const core = text => {
    const b = box(text), up = b.height > 1.5 * b.width && text.textContent.length > 1;
    const [x, y] = up ? [0.25 * b.width, 2] : [1, 0.25 * b.height];
    return {left: b.left + x, right: b.right - x, top: b.top + y, bottom: b.bottom - y};
  };
  const has = (b, p) => p.x > b.left && p.x < b.right && p.y > b.top && p.y < b.bottom;
  // What is cut off by the frame of its axes is not seen.
  const clip = path => {
    const id = (path.getAttribute("clip-path") ?? "").match(/#([^)]*)/)?.[1];
    const rect = id && document.getElementById(id)?.querySelector("rect");
    if (!rect) return () => true;
    const [x, y] = [rect.x.baseVal.value, rect.y.baseVal.value];
    const [w, h] = [rect.width.baseVal.value, rect.height.baseVal.value];
    return p => p.x >= x && p.x <= x + w && p.y >= y && p.y <= y + h;
  };
  const points = path => {
    const found = [], seen = clip(path), length = path.getTotalLength();
    const matrix = path.getScreenCTM();
    for (let at = 0; at <= length; at += 1.5) {
      const point = path.getPointAtLength(at);
      if (seen(point)) found.push(point.matrixTransform(matrix));
    }
    return found;
  };
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const figures = [...document.querySelectorAll("svg[role=img]")].map(svg => {
    const scale = box(svg).width / svg.viewBox.baseVal.width;
    const texts = [...svg.querySelectorAll("text")];
    const lines = [...svg.querySelectorAll("path")].filter(path => {
      const style = getComputedStyle(path);
      return style.stroke !== "none" && style.fill === "none" && !path.closest("defs");
    }).map(points);
    // A label with paper behind it may stand on a line.
    const bare = texts.filter(text => !text.parentElement.querySelector("path"));
    const pairs = texts.flatMap((a, n) => texts.slice(n + 1).map(b => [a, b]));
    return {
      crossed: bare.filter(t => lines.some(line => line.some(p => has(core(t), p))))
        .map(t => t.textContent),
      overlapping: pairs.filter(([a, b]) => meet(core(a), core(b)))
        .map(pair => pair.map(t => t.textContent).join(" on ")),
      label: svg.getAttribute("aria-label"), width: box(svg).width, height: box(svg).height,
      smallest_text: Math.min(...texts.map(t => scale * parseFloat(getComputedStyle(t).fontSize))),
      spilled: texts.filter(t => !inside(box(t), box(svg))).map(t => t.textContent),
    };
  });
  const root = document.documentElement;
  const main = document.querySelector("main");
  const padding = getComputedStyle(main);
  const content = main.clientWidth - parseFloat(padding.paddingLeft)
    - parseFloat(padding.paddingRight);
  const end = box(main).right - parseFloat(padding.paddingRight);
  const wide = [...document.querySelectorAll("main *")].filter(element => {
    const card = element.closest(".cases > li");
    return !element.closest(".scroll > *, pre > *, .unseen, svg")
      && box(element).right > Math.min(end + 1, card ? box(card).right : Infinity);
  });
  const cells = [...document.querySelectorAll(".strip tbody td")].map(cell => box(cell).width);
  parent.postMessage(JSON.stringify({
    figures, width: innerWidth, scroll_width: root.scrollWidth, height: root.scrollHeight,
    content_width: content, smallest_cell: cells.length ? Math.min(...cells) : null,
    table_widths: [...document.querySelectorAll(".scroll")].map(table => box(table).width),
    cut_tables: [...document.querySelectorAll(".scroll")]
      .filter(table => table.scrollWidth > table.clientWidth).length,
    too_wide: wide.slice(0, 5).map(element => element.outerHTML.slice(0, 120)),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name)
      .filter(name => !name.startsWith("data:")),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    paper: getComputedStyle(document.body).backgroundColor,
  }), "*");
});
</script>"""

# A window cannot be as narrow as a phone, a frame in it can.
FRAME = """<!doctype html><meta name="color-scheme" content="light dark">
<style>body { margin: 0 } iframe { border: 0; width: WIDTHpx; height: 800px }</style>
<pre id="measured" hidden></pre>
<script>
addEventListener("message", event => {
  document.querySelector("#measured").textContent = event.data;
  document.querySelector("iframe").style.height = JSON.parse(event.data).height + "px";
});
</script>
<iframe src="PAGE"></iframe>"""


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Opened]:
    """Opens a page in Chromium: ``opened(page, width=PHONE, dark=False)``.

    A screenshot of the whole page is left in ``build/screenshots``, named after the page, its
    width and its light.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        pytest.skip(f"no browser is here to open pages in: looked for {', '.join(names)}")

    def run(folder: Path, frame: Path, dark: bool, *arguments: str) -> tuple[str, str]:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-dev-shm-usage", "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",  # a page needs no network: there is none
            f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            *arguments, frame.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=90, check=True)
        return done.stdout.decode(), done.stderr.decode()

    def open_page(page: Path, *, width: int = PHONE, dark: bool = False) -> Opened:
        folder = tmp_path_factory.mktemp("browser")
        copy, frame = folder / "page.html", folder / "frame.html"
        text = page.read_text("utf-8")
        assert text.count("</body>") == 1
        copy.write_text(text.replace("</body>", MEASURE + "</body>"), "utf-8")

        frame.write_text(FRAME.replace("WIDTH", str(width)).replace("PAGE", copy.name), "utf-8")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        shot = SCREENSHOTS / f"{page.stem}-{width}{'-dark' if dark else ''}.png"
        document, log = run(
            folder, frame, dark, "--dump-dom", f"--screenshot={shot}",
            f"--window-size={width},{TALLEST}",
        )  # fmt: skip
        found = re.search(r'<pre id="measured"[^>]*>(.+?)</pre>', document, re.DOTALL)
        assert found, f"the page was not laid out: {log[-2000:]}"
        measured = json.loads(html.unescape(found[1]))
        with Image.open(shot) as image:
            cropped = image.crop((0, 0, width, min(TALLEST, measured["height"])))
        cropped.save(shot)
        figures = [
            Drawn(**{k: tuple(v) if isinstance(v, list) else v for k, v in figure.items()})
            for figure in measured.pop("figures")
        ]
        lines = (line for line in log.splitlines() if ":CONSOLE" in line)
        return Opened(
            console=tuple(line.partition("] ")[2] for line in lines),
            figures=tuple(figures),
            screenshot=shot,
            too_wide=tuple(measured.pop("too_wide")),
            table_widths=tuple(measured.pop("table_widths")),
            fetched=tuple(measured.pop("fetched")),
            **measured,
        )

    return open_page


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
