"""The page: whole, self-contained, readable without the pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from birnn.errors import DataError, OutputError, ShapeError
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
    render,
    write,
)

VOID = {"meta", "link", "br", "img", "hr", "input"}
NASTY = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """Checks that tags close in order, and collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def sections() -> list[Section]:
    coloured = ColouredWords(["so", "<b>", "bad"], [0.5, 0.0, -0.25], "logit", 2, "ABC", "why")
    accuracy = {"forward": {"left": 1.0, "right": 0.5}, "both": {"left": 1.0, "right": 0.875}}
    lines = {"forward": [1.0, 0.9], "both": [1.0, 1.0]}
    return [
        Section(
            "Senses",
            [
                Text("A paragraph with <b>no</b> markup."),
                Tiles([("of one direction", "75.0 %", "forward"), ("nobody's", "3", "")]),
                Picture(
                    figures.accuracy_by_group(accuracy, groups="evidence"),
                    "A caption.",
                    figures.describe(accuracy),
                ),
                Sentences(
                    [
                        Sentence(
                            ["she", "left", "the", "bank", "."],
                            3,
                            "bank/river",
                            {"forward": "bank/money", "both": "bank/river"},
                            (1,),
                            "a note",
                        )
                    ]
                ),
            ],
        ),
        Section(
            "Brackets",
            [
                Picture(figures.accuracy_by_position(lines), "Another.", "Two lines & a 'quote'"),
                Strips([Strip("(a)", "oio", {"forward": "ooo", "both": "oio"}, ("i",))]),
                Table(["what", "one", "two"], [["all", 1, 0.5], [NASTY, "x", "y"]], "A table"),
                Code("birnn predict a < b"),
                coloured,
                Notes(["No attention & no CRF."]),
            ],
        ),
    ]


@pytest.fixture(scope="module")
def html() -> str:
    return render(f"Title {NASTY}", sections(), lead="In short.", footer="on a machine")


def test_columns_of_texts_may_be_broken_into_lines_and_columns_of_numbers_not() -> None:
    table = Table(["symbol", "p", "instead"], [["a", "93.1 %", "b 4.2 %"], ["c", "−0.2", ""]])
    cells = [at for tag, at in Page(render("T", [Section("S", [table])])).attributes if tag == "td"]
    assert [cell.get("class") for cell in cells] == ["number", None] * 2


def test_the_page_is_well_formed_and_says_everything(html: str) -> None:
    page = Page(html)
    for said in (
        "In short.",
        "A paragraph with <b>no</b> markup.",
        "75.0 %",
        "A caption.",
        "bank/money",
        "a note",
        "A table",
        "birnn predict a < b",
        "No attention & no CRF.",
        "on a machine",
        f"Title {NASTY}",
    ):
        assert said in page.text


def test_nothing_is_fetched_and_nothing_runs(html: str) -> None:
    page = Page(html)
    for tag, attributes in page.attributes:
        assert tag not in ("script", "iframe", "img", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name.split(":")[-1] in ("href", "src", "srcset", "action", "data"):
                assert (value or "").startswith(("#", "data:")), f"{tag} {name}={value}"
    style = "".join(re.findall(r"<style.*?</style>", html, re.DOTALL))
    assert "@import" not in style
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "http" not in html


def test_every_picture_has_words_for_who_cannot_see_it(html: str) -> None:
    found = [attributes for tag, attributes in Page(html).attributes if tag == "svg"]
    assert [svg["role"] for svg in found] == ["img", "img"]
    assert found[0]["aria-label"] == (
        "One direction, left to right: left 100.0 %, right 50.0 %. "
        "Two directions: left 100.0 %, right 87.5 %."
    )
    assert found[1]["aria-label"] == "Two lines & a 'quote'"


def test_ids_are_unique_and_all_references_lead_to_one(html: str) -> None:
    ids = [a["id"] for _, a in Page(html).attributes if "id" in a]
    assert len(ids) == len(set(ids)) > 2
    targets = set(re.findall(r'(?:href="|url\()#([^")]*)', html))
    assert targets <= set(ids)


def test_pictures_are_whole_svg_in_the_colours_of_the_page(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "var(--ink)" in drawing
        assert "var(--forward)" in drawing
        assert figures.INK not in drawing
        assert figures.READERS["both"].colour.lower() not in drawing
        # text stays text: readable by machines, in the page's own font
        assert "two directions</text>" in drawing
    set_where_used = {"colour", "share", "tone"}
    variables = set(re.findall(r"var\(--(\w+)", html)) - set_where_used
    defined = re.findall(r"--(\w+):", html)
    # once for the light page, once for the dark one
    assert all(defined.count(variable) >= 2 for variable in variables)


def test_numbers_can_be_hovered(html: str) -> None:
    titles = set(re.findall(r"<title>([^<]*%)</title>", html))
    assert "right, two directions: 87.5 %" in titles
    assert "position 2, one direction, left to right: 90.0 %" in titles


def test_right_and_wrong_are_told_without_colour(html: str) -> None:
    text = Page(html).text
    assert "one direction, left to right bank/money ✗" in text
    assert "two directions bank/river ✗" not in text
    assert html.count('class="marked"') == 2
    assert html.count('missed" title="o, wrong">✗</td>') == 1
    assert html.count(", wrong") == 1
    # and by ear: nothing that is said only there is hidden from it
    assert 'class="unseen"> (wrong)<' in html
    assert "<span hidden" not in html


def test_words_carry_their_number_for_eye_ear_and_pointer(html: str) -> None:
    # each word: how strongly it is coloured, what a pointer sees, what a screen reader says
    found = re.findall(
        r'<span class="(\w+)( here)?" style="--share: (\d+)%" title="([^"]*)">'
        r'<b>([^<]*)</b><span class="unseen"> ([^<]*)</span><small>(\w)</small>',
        html,
    )
    assert found == [
        ("plus", "", "100", "so: +0.5", "so", "+0.5", "A"),
        ("even", "", "0", "&lt;b&gt;: 0", "&lt;b&gt;", "0", "B"),
        ("minus", " here", "50", "bad: -0.25, the one explained", "bad", "-0.25", "C"),
    ]
    assert "-0.5 +0.5 logit; the one explained" in Page(html).text


def test_a_picture_says_itself_or_is_given_words() -> None:
    figure = figures.learning_curves({"both": [0.5, 1.0]})
    assert Picture(figure, "A caption.").alt == figures.alt_text(figure)
    assert Picture(figure, "A caption.", "Mine.").alt == "Mine."
    figure.set_label("")
    with pytest.raises(DataError, match="give its alt text"):
        Picture(figure, "A caption.")


def test_the_same_page_twice_is_the_same_text() -> None:
    assert render("T", sections()) == render("T", sections())


def test_write_leaves_the_page_or_says_why_not(tmp_path: Path) -> None:
    path = write(tmp_path / "page.html", "T", sections())
    assert path.read_text("utf-8") == render("T", sections())
    with pytest.raises(OutputError, match=r"nowhere.*cannot be written: No such file"):
        write(tmp_path / "nowhere" / "page.html", "T", [])


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="row 1 has 1 cells under 2 headings"):
        Table(["a", "b"], [[1, 2], [3]])
    with pytest.raises(ShapeError, match="both: 2 tags for 3 symbols"):
        Strip("abc", "ooo", {"both": "oo"}, ("i",))
    with pytest.raises(ShapeError, match="values: 1 for 2 words"):
        ColouredWords(["a", "b"], [1.0], "x")
    with pytest.raises(ShapeError, match="beneath: 1 for 2 words"):
        ColouredWords(["a", "b"], [1.0, 2.0], "x", beneath=["t"])
    with pytest.raises(ShapeError, match="position is 2, there are 2 words"):
        ColouredWords(["a", "b"], [1.0, 2.0], "x", position=2)
