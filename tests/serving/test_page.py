"""The page of the server in Chromium: a text is typed, sent and its answer read."""

from __future__ import annotations

import re
import shutil
import socket
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from birnn.bundle import (
    Bundle,
    Encoder,
    Label,
    Labels,
    Spec,
    Symbols,
    Tags,
    TargetSequence,
    Values,
    Vectors,
    Words,
)
from birnn.runtime import Predictor, decisions
from birnn.serving import Limits, app
from birnn.tasks import Gaps

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
PHONE, DESKTOP = 390, 1200
NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TARGETS = ("<s>", "AE1", "\u05d0", "<img>")
TEXT = "Ada Lovelace lived in London and never saw New York."

Opened = Callable[..., "Visit"]


def made(
    inputs: Any,
    head: Any,
    vocabularies: dict[str, tuple[str, ...]],
    seed: int = 60,  # it marks some words of TEXT, and not all
    **encoder: Any,
) -> Any:
    spec = Spec(inputs=inputs, encoder=Encoder(hidden_size=4, **encoder), head=head)
    draw = np.random.default_rng(seed)
    tensors = {n: draw.standard_normal(s).astype(np.float32) for n, s in spec.tensors().items()}
    # Without means over data only what leads with a margin is explained.
    means = {n: draw.standard_normal(s).astype(np.float32) for n, s in spec.mean_states().items()}
    means = means if spec.task == "seq2seq" else {}
    return Predictor(
        Bundle(spec=spec, vocabularies=vocabularies, tensors=tensors, mean_states=means)
    )


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    words = ("<unk>", "ada", "lovelace", "london", "new", "york", "lived", "in")
    of_words = {"words": words}
    read = Words(size=len(words), dim=4)
    sizes = {"pos": ("DET", "NOUN", "VERB"), "mood": ("good", "bad", "mixed")}
    return {
        "names": made(
            read, Tags(size=5, decoder="crf", scheme="iob2"), of_words | {"labels": NAMES}
        ),
        "pos": made(read, Tags(size=3), of_words | {"labels": sizes["pos"]}),
        "mood": made(
            read, Label(size=3), of_words | {"labels": sizes["mood"]}, bidirectional=False
        ),
        "topics": made(read, Labels(size=3), of_words | {"labels": ("art", "law", "war")}),
        "rating": made(Vectors(size=2), Values(size=1), {}),
        "gaps": made(read, Gaps(size=7, best=3), of_words | {"labels": words[1:]}),
        "spelling": made(
            Symbols(size=28, dim=4),
            TargetSequence(size=4, dim=3, hidden_size=4),
            {"symbols": ("<unk>", *string.ascii_lowercase, "<b>"), "targets": TARGETS},
            seed=53,  # it writes one symbol for some texts, several for others
        ),
        "motion": made(Vectors(size=2), Tags(size=3), {"labels": ("rest", "walk", "run")}),
    }


@pytest.fixture(scope="module")
def address(models: dict[str, Any]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = Limits(characters=20_000, explained_tokens=50)
    server = uvicorn.Server(
        uvicorn.Config(app(models, limits), port=port, log_level="error", ws="none")
    )
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    assert server.started
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        pytest.skip(f"no browser is here to open pages in: looked for {', '.join(names)}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, and what it told and asked for."""

    page: Page
    console: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def read(self, text: str, *, model: str = "") -> None:
        if model:
            self.page.select_option("#model", model)
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        expect(self.page.locator("#submit")).to_have_attribute("aria-busy", "false")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check(self) -> None:
        """A quiet console, nothing asked of another server, nothing beside the page."""
        assert self.console == []
        assert self.elsewhere == []
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    contexts = []

    def run(*, width: int = DESKTOP) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 800})
        contexts.append(context)
        context.set_default_timeout(10_000)
        visit = Visit(context.new_page())
        page = visit.page
        page.on("console", lambda told: visit.console.append(told.text))
        page.on("pageerror", lambda error: visit.console.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((address, "data:"))
                else visit.elsewhere.append(asked.url)
            ),
        )
        page.goto(address)
        expect(page.locator("#models")).to_be_visible()
        return visit

    yield run
    for context in contexts:
        context.close()


def test_entities_are_typed_for_and_read(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened()
    visit.read(TEXT)
    found = models["names"].annotate(TEXT)
    assert 1 < len(found.entities) < len(found.tokens)
    assert visit.texts("mark bdi") == [entity.text for entity in found.entities]
    assert visit.texts("mark b") == [entity.label for entity in found.entities]
    shares = [float(told.rstrip(" %")) for told in visit.texts("mark i")]
    assert shares == pytest.approx([100 * e.score for e in found.entities], abs=0.51)
    told = visit.texts("#status")[0]
    assert all(f"{e.text}: {e.label}" in told for e in found.entities)

    decided = decisions(models["names"], TEXT)
    visit.page.locator("summary").click()
    rows = visit.page.locator("#halves tbody tr")
    expect(rows).to_have_count(len(found.tokens))
    for at, (token, decision) in enumerate(zip(found.tokens, decided.steps, strict=True)):
        word, forward, backward, both = rows.nth(at).locator("th, td").all_text_contents()
        assert word == token.text
        assert decision is not None
        numbers = [float(n.replace("\N{MINUS SIGN}", "-")) for n in (forward, backward, both)]
        wanted = [decision.forward, decision.backward, decision.both]
        assert numbers == pytest.approx(wanted, rel=6e-3, abs=1e-6)
    for width, dark in product((PHONE, DESKTOP), (False, True)):
        visit.page.set_viewport_size({"width": width, "height": 800})
        visit.page.emulate_media(color_scheme="dark" if dark else "light")
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
        visit.shoot(f"serving-names-{width}{'-dark' if dark else ''}")
        visit.check()


def test_labels_and_tags(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened(width=PHONE)
    visit.read("so good", model="mood")
    ranked = models["mood"].annotate("so good").labels
    assert visit.texts(".bars dt") == [each.label for each in ranked]
    assert visit.texts(".bars .chosen") == [models["mood"].predict(["so good"])[0]]
    widths = visit.page.eval_on_selector_all(
        ".bars .bar span", "all => all.map(one => one.style.getPropertyValue('--share'))"
    )
    assert [float(w) for w in widths] == pytest.approx([e.score for e in ranked], abs=1e-5)
    expect(visit.page.locator("#halves")).to_contain_text("reads in one direction")
    visit.shoot(f"serving-mood-{PHONE}")

    sizes = set()
    for text in ("so good", TEXT, "ada", "new york", "lived in london"):
        visit.read(text, model="topics")
        given = [each.label for each in models["topics"].annotate(text).labels]
        sizes.add(len(given))
        assert visit.texts(".bars .chosen") == given
        if not given:
            expect(visit.page.locator("#answer")).to_contain_text("None of its labels")
    assert len(sizes) > 1

    visit.read(TEXT, model="pos")
    found = models["pos"].annotate(TEXT)
    assert visit.texts("#answer li bdi") == [token.text for token in found.tokens]
    assert visit.texts("#answer li b") == [token.tag for token in found.tokens]
    visit.shoot(f"serving-pos-{PHONE}")
    visit.check()


def test_series_are_lines_of_numbers(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened()
    visit.page.select_option("#model", "rating")
    assert visit.texts("#keys") == ["Ctrl+Enter reads it, Enter begins a new line"]
    visit.page.fill("#text", "0.5 1")
    visit.page.press("#text", "Enter")
    assert visit.page.input_value("#text") == "0.5 1\n"
    visit.page.keyboard.type("-2, 3.5")
    visit.page.press("#text", "Control+Enter")
    [[wanted]] = models["rating"].predict([np.array([[0.5, 1.0], [-2.0, 3.5]])])
    shown = visit.page.locator(".big")
    expect(shown).to_be_visible()
    assert float(shown.text_content().replace("\N{MINUS SIGN}", "-")) == pytest.approx(
        wanted, rel=6e-3
    )
    visit.page.fill("#text", "0.5 one")
    visit.page.press("#text", "Control+Enter")
    expect(visit.page.locator("#fault")).to_have_text("“one” is no number.")
    visit.check()


def test_gaps_and_their_words(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened(width=PHONE)
    visit.read("Ada ___ in ___ .", model="gaps")
    found = models["gaps"].annotate("Ada ___ in ___ .").record()
    assert len(found["likeliest"]) == 2
    assert visit.texts("#answer .note") == ["Gap 1", "Gap 2"]
    assert visit.texts(".bars dt") == [word for words in found["likeliest"] for word in words]
    assert visit.texts(".bars .chosen") == found["words"]
    expect(visit.page.locator("#halves")).to_be_visible()
    all_colours(visit, "gaps")
    visit.read("Ada lived", model="gaps")
    expect(visit.page.locator("#answer")).to_contain_text("There is no gap in this text.")
    visit.check()


def test_targets_are_read_as_text(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened(width=PHONE)
    shown = set()
    for text in ("ada", "york", "", "a " * 40):
        visit.read(text, model="spelling")
        target = models["spelling"].annotate(text).record()["target"]
        between = " " if any(len(symbol) > 1 for symbol in target) else ""
        shown.add(between.join(target) or "(nothing)")
        assert visit.texts(".big") == [between.join(target) or "(nothing)"]
    assert len(shown) > 1
    all_colours(visit, "spelling")


def test_steps_of_a_series_have_tags(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened(width=PHONE)
    visit.page.select_option("#model", "motion")
    visit.page.fill("#text", "0.5 1\n-2 3\n" * 30)
    visit.page.press("#text", "Control+Enter")
    [wanted] = models["motion"].predict([np.array([[0.5, 1.0], [-2.0, 3.0]] * 30)])
    expect(visit.page.locator("#halves")).to_be_visible()
    assert visit.texts("#answer-body") == [" ".join(wanted)]
    expect(visit.page.locator("#halves .fault")).to_contain_text("has 60 steps")
    expect(visit.page.locator("#halves .fault")).to_contain_text("explains at most 50")
    visit.console.clear()
    all_colours(visit, "motion")


def all_colours(visit: Visit, name: str) -> None:
    """Pictures of the page on a phone, light and dark, which it fits."""
    for dark in (False, True):
        visit.page.emulate_media(color_scheme="dark" if dark else "light")
        visit.shoot(f"serving-{name}-{PHONE}{'-dark' if dark else ''}")
        visit.check()


def test_by_keyboard_alone(opened: Opened) -> None:
    visit = opened()
    page = visit.page
    focus = "document.activeElement.id || document.activeElement.localName"
    assert page.evaluate(focus) == "text"
    assert visit.texts("#keys") == ["Enter reads it, Shift+Enter begins a new line"]
    page.keyboard.type("Ada")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lived")
    assert page.input_value("#text") == "Ada\nlived"
    page.keyboard.press("Tab")
    assert page.evaluate(focus) == "submit"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#halves")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate(focus) == "summary"
    page.keyboard.press("Enter")
    expect(page.locator("#halves table")).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(focus) == "model"
    page.keyboard.press("ArrowDown")
    assert page.input_value("#model") == "pos"
    expect(page.locator("h1")).to_have_text("pos")
    expect(page.locator("#answer")).to_be_hidden()  # it was another model's
    visit.check()


TEXTS = (
    "\N{GRINNING FACE} Ada \N{FAMILY} Lovelace \N{GRINNING FACE}\N{GRINNING FACE} London",
    "\u05e2\u05d3\u05d4 \u05dc\u05d0\u05d1\u05dc\u05d9\u05d9\u05e1 \u05d2\u05e8\u05d4 London",
    "<img src=x onerror=alert(1)> Ada & <b>London</b>",
    "cafe\u0301 A\u0308da  in\tNew   York",
    "Ada",
)

OF_THE_TEXT = """() => {
  const copy = document.querySelector(".running").cloneNode(true);
  copy.querySelectorAll("mark b, mark i").forEach(one => one.remove());
  return copy.textContent;
}"""


def test_the_text_stays_what_it_was(opened: Opened, models: dict[str, Any]) -> None:
    visit = opened(width=PHONE)
    marked = 0
    for text in TEXTS:
        visit.read(text)
        expect(visit.page.locator("#halves")).to_be_visible()
        found = models["names"].annotate(text)
        marked += len(found.entities)
        assert visit.texts("mark bdi") == [entity.text for entity in found.entities]
        assert visit.page.evaluate(OF_THE_TEXT) == text
        way = visit.page.evaluate("getComputedStyle(document.querySelector('.running')).direction")
        assert way == ("rtl" if "\u05d0" <= text[0] <= "\u05ea" else "ltr")
        visit.check()
    assert marked >= len(TEXTS)


def test_nothing_and_much(opened: Opened) -> None:
    visit = opened(width=PHONE)
    visit.read("")
    expect(visit.page.locator("#answer")).to_contain_text("Nothing is marked in this text.")
    expect(visit.page.locator("#halves")).to_be_hidden()
    visit.read("Ada lived in London . " * 50 + "x" * 2000)
    assert visit.texts("mark")
    # Longer than the server explains: the answer stays, and what decided is told to be unknown.
    expect(visit.page.locator("#halves .fault")).to_contain_text("explains at most 50")
    [told] = visit.console  # by the browser
    assert "status of 422" in told
    visit.console.clear()
    visit.check()


FAULTS = (
    (429, "too much waits", "The server is busy. Try again in a moment (too much waits)."),
    (413, "", "The text is too long for this server."),
    (422, "text: no.", "The server refuses this: text: no."),
    (500, "", "The server failed. Its log says more."),
    (None, "", "The server does not answer. Is it still running?"),
)


def faulty(status: int | None, detail: str) -> Callable[[Route], None]:
    """Answers requests with an error, or with none where the server is gone."""

    def answer(route: Route) -> None:
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, json={"detail": detail} if detail else {})

    return answer


def test_what_goes_wrong_is_told(opened: Opened) -> None:
    visit = opened()
    fault = visit.page.locator("#fault")
    expect(fault).to_have_attribute("role", "alert")
    for status, detail, told in FAULTS:
        visit.page.route("**/predict", faulty(status, detail))
        visit.read(TEXT)
        expect(fault).to_have_text(told)
        visit.page.unroute("**/predict")
        visit.read(TEXT)
        expect(fault).to_be_hidden()
        expect(visit.page.locator("mark").first).to_be_visible()


def test_a_server_that_is_gone_is_told_at_once(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/model", lambda route: route.abort())
    page.goto(address)
    expect(page.locator("#fault")).to_have_text("The server does not answer. Is it still running?")
    context.close()


def test_a_slow_answer_does_not_replace_a_later_one(opened: Opened) -> None:
    visit = opened()
    held: list[Route] = []
    visit.page.route(
        "**/predict",
        lambda route: (
            held.append(route) if "first" in (route.request.post_data or "") else route.continue_()
        ),
    )
    visit.page.fill("#text", "first")
    visit.page.press("#text", "Enter")
    visit.page.wait_for_timeout(50)
    visit.read("second")
    expect(visit.page.locator(".running")).to_have_text(re.compile("second"))
    for route in held:
        route.continue_()
    visit.page.wait_for_timeout(100)
    expect(visit.page.locator(".running")).to_have_text(re.compile("second"))
    expect(visit.page.locator("#fault")).to_be_hidden()
    visit.check()
