"""The page of `birnn explain` for a target: what it shows is what was traced."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from birnn.bundle import Bundle, Encoder, Spec, Symbols
from birnn.explain import target_page
from birnn.runtime import Predictor, TargetTrace, trace_target
from birnn.tasks import TargetSequence
from random_tensors import random_tensors


def traced(text: str, target: str | None = None, **settings: Any) -> TargetTrace:
    encoder = Encoder(hidden_size=3, bidirectional=settings.pop("two", True))
    means = settings.pop("means", True)
    head = TargetSequence(size=5, dim=3, hidden_size=4, longest=(3, 1.0), **settings)
    spec = Spec(inputs=Symbols(size=4, dim=3), encoder=encoder, head=head)
    random = np.random.default_rng(0)
    states = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in spec.mean_states().items()
    }
    vocabularies = {"symbols": ("<unk>", "a", "c", "t"), "targets": ("<s>", "AE", "K", "T", "S")}
    tensors = random_tensors(spec, random)
    bundle = Bundle(spec, vocabularies, tensors, mean_states=states if means else {})
    return trace_target(Predictor(bundle), text, target=target)


def written(found: TargetTrace, place: Path) -> str:
    text = target_page.write(place / "page.html", found, name="words").read_text("utf-8")
    body = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(body).split())


def test_the_page_shows_the_answer_its_steps_and_where_they_looked(tmp_path: Path) -> None:
    found = traced("cat?", "K AE T")
    text = written(found, tmp_path)
    assert "The seq2seq “words” read a sequence of 4 symbols." in text
    assert "What each direction knew" in text
    assert "the target asked about" in text
    assert "K AE T" in text
    assert "does not know 1 of the 4 symbols: “?”" in text
    for step in found.steps:
        assert f"{100 * step.probability:.1f} %" in text
    assert f"Attention of {len(found.steps)} steps over 4 source symbols." in text
    for half in ("forward", "backward"):
        assert f"the {half} half" in text
    assert text.count("<svg") == text.count('role="img"') == 4
    assert "the answer</" in written(traced("cat"), tmp_path)


@pytest.mark.parametrize("two", [True, False])
def test_what_a_model_has_not_is_named(tmp_path: Path, two: bool) -> None:
    found = traced("act", attention="none", means=False, two=two)
    text = written(found, tmp_path)
    assert len(found.left_out) >= 2
    assert all(line in text for line in found.left_out)
    assert "Where it looked" not in text
    assert "Which direction decided" not in text
    assert text.count("<svg") == 1  # the model
    whole = traced("act", two=two)
    heading = "Which direction decided" if two else "What its states decided"
    assert heading in written(whole, tmp_path)


@pytest.mark.slow  # test_browser.py opens a page with the figure
def test_the_page_opens_on_a_phone_in_the_dark_and_on_a_desktop(
    opened: Any, tmp_path: Path
) -> None:
    for number, source in enumerate(("cat", "cat" * 30)):
        text = written(traced(source, "K AE T S " * 15), tmp_path)
        path = (tmp_path / "page.html").rename(tmp_path / f"target-{number}.html")
        for settings in ({"width": 390, "dark": True}, {"width": 1280}):
            opened(path, **settings).check(figures=text.count("<svg"))
