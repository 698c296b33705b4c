"""Sets of labels learnt: loss, thresholds of the bundle, and the score that chooses the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import birnn
from birnn.bundle import Labels, save
from birnn.bundle.spec import Encoder
from birnn.data import Example
from birnn.errors import BundleError, ConfigError, DataError
from birnn.models.head import HeadTraining
from birnn.models.heads import LabelsHead
from birnn.runtime import Predictor
from birnn.studies.compare.metric import METRICS
from birnn.tasks import TASKS
from birnn.tasks.thresholds import chosen_thresholds, held
from birnn.training.fit import FitResult, fit
from birnn.training.sets import Sets

SIGNS = {"fire": "f", "water": "w", "music": "m"}


def texts(count: int, seed: int = 0) -> list[Example]:
    """Symbols among noise, each of which is a label; some texts have none, or no symbol at all."""
    random = np.random.default_rng(seed)
    examples = []
    for number in range(count):
        labels = tuple(label for label in SIGNS if random.random() < 0.3) if number % 7 else ()
        steps = [*(SIGNS[label] for label in labels), *"abc"[: random.integers(0, 4)]]
        random.shuffle(steps)
        examples.append(Example(tuple(steps), labels))
    return examples


def learnt(tiny: Callable[..., Any], notes: list[str] | None = None, **changes: Any) -> FitResult:
    recipe = tiny("multilabel", inputs__kind="symbols", **changes)
    tell = (notes if notes is not None else []).append
    return fit("multilabel", Sets(texts(100), texts(25, 1)), recipe, tell=tell)


@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0, 0.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_binary_cross_entropy_by_hand(weights: Any, smoothing: float) -> None:
    given = None if weights is None else torch.from_numpy(weights)
    training = HeadTraining(class_weights=given, label_smoothing=smoothing)
    head = LabelsHead(Labels(size=3), Encoder(hidden_size=2).stack(2), training)
    draw = np.random.default_rng(0)
    scores, targets = draw.normal(0, 3, (5, 3)), draw.random((5, 3)) < 0.5
    expected = total = 0.0
    for row, label in np.ndindex(5, 3):
        p = 1 / (1 + np.exp(-scores[row, label]))
        wanted = targets[row, label] * (1 - smoothing) + smoothing / 2
        weight = 1.0 if weights is None else weights[label]
        expected -= weight * (wanted * np.log(p) + (1 - wanted) * np.log(1 - p))
        total += weight
    found = head.loss(torch.from_numpy(scores), None, torch.from_numpy(targets))  # type: ignore[arg-type]
    assert float(found) == pytest.approx(expected / total)
    none = head.loss(torch.zeros(0, 3), None, torch.zeros(0, 3))  # type: ignore[arg-type]
    assert float(none) == 0.0


@pytest.mark.parametrize("rule", ["per_label", "one", 0.25])
def test_thresholds_are_those_of_the_dev_set_and_stay_in_the_bundle(
    tiny: Any, tmp_path: Path, rule: Any
) -> None:
    notes: list[str] = []
    result = learnt(tiny, notes, head__threshold=rule, training__epochs=4)
    model, dev = Predictor(result.bundle), texts(25, 1)
    scores = np.stack(model.scores([example.inputs for example in dev]))
    gold = held([example.target for example in dev], model.labels)
    assert model.spec.head.thresholds == chosen_thresholds(scores, gold, rule)  # type: ignore[attr-defined]
    # What an epoch is chosen by is what the bundle reaches.
    reached = result.bundle.metrics["dev"]["f1"]
    assert any(row["dev_f1"] == pytest.approx(reached, abs=1e-5) for row in result.history)
    assert any("training examples have no label" in note for note in notes)
    save(result.bundle, tmp_path / "m")
    again = birnn.load(tmp_path / "m")
    assert again.predict([e.inputs for e in dev]) == model.predict([e.inputs for e in dev])


def test_it_learns_each_label_for_itself(tiny: Any) -> None:
    changes = {"head__hidden": (8,), "dropout__inputs": 0.0, "training__learning_rate": 0.05}
    result = learnt(tiny, training__epochs=15, **changes)
    assert result.bundle.metrics["dev"]["exact_match"] > 0.9
    assert Predictor(result.bundle).predict([tuple("afbm"), (), ("w",)]) == [
        [label for label in result.bundle.vocabularies["labels"] if label in ("fire", "music")],
        [],
        ["water"],
    ]


@pytest.mark.parametrize(
    ("thresholds", "fault"),
    [
        ([0.5, 0.5], "2 thresholds for 3 labels"),
        ([0.5, 0.5, 1.5], "less than 1"),
        ([0.5, -0.1, 0.5], "greater than 0"),
        (["x", 0.5, 0.5], "number"),
    ],
)
def test_a_damaged_bundle_is_refused_with_what_is_wrong(
    make_bundle: Path, thresholds: list[Any], fault: str
) -> None:
    file = make_bundle / "birnn.json"
    manifest = json.loads(file.read_text())
    manifest["spec"]["head"]["thresholds"] = thresholds
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=fault):
        birnn.load(make_bundle)
    file.write_text(json.dumps(manifest).replace(str(thresholds[0]), "NaN", 1))
    with pytest.raises(BundleError):
        birnn.load(make_bundle)


@pytest.fixture
def make_bundle(tiny: Any, tmp_path: Path) -> Path:
    save(learnt(tiny, training__epochs=1).bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_labels_that_cannot_be_learnt_are_refused_before_training(tiny: Any) -> None:
    recipe = tiny("multilabel", inputs__kind="symbols")
    empty = [Example(("a",), ())] * 4
    with pytest.raises(DataError, match="no training example has a label"):
        fit("multilabel", Sets(empty, empty), recipe)
    # A dev set without a label chooses no threshold, and says so.
    notes: list[str] = []
    result = fit("multilabel", Sets(texts(20), empty), recipe, tell=notes.append)
    assert result.bundle.spec.head.thresholds == ()  # type: ignore[attr-defined]
    assert any("no dev example has" in note for note in notes)


# ---------------------------------------------------------------------- training.metric


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_score_that_a_task_does_not_have_is_refused_with_those_it_has(
    tiny: Any, task: str
) -> None:
    kind = "words" if task == "filler" else "symbols"
    fault = f"training.metric is 'loss', the dev scores of a {task} are (.*). Choose one"
    with pytest.raises(ConfigError, match=fault) as refused:
        fit(task, data_of(task), tiny(task, training__metric="loss", inputs__kind=kind))
    listed = str(refused.value).partition(" are ")[2].partition(". ")[0].split(", ")
    assert len(listed) > 1
    if TASKS[task].has_labels:  # what is compared has a name for each
        assert set(listed) <= set(METRICS)


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("seq2seq", "sequence_error_rate"),
        ("filler", "accuracy"),
        ("regressor", "r2"),
        ("multilabel", "exact_match"),
    ],
)
def test_the_weights_of_the_best_epoch_by_the_chosen_score_are_kept(
    tiny: Any, score_as: Any, task: str, metric: str
) -> None:
    lower = metric == "sequence_error_rate"
    best, other = (0.1, 0.5) if lower else (0.9, 0.5)
    kind = "words" if task == "filler" else "symbols"
    changes = {"training__metric": metric, "inputs__kind": kind, "training__learning_rate": 0.1}

    def trained(scores: list[float], **more: Any) -> FitResult:
        # Answers have no say: labels that are likely would choose among epochs, too.
        score_as([score * 100 for score in scores], metric)
        return fit(task, data_of(task), tiny(task, **changes | more))

    first, last = trained([best, other, other]), trained([other, other, best])
    stopped = trained([best, other, other], training__patience=1)
    assert first.bundle.metadata["metric"] == metric
    assert [row[f"dev_{metric}"] for row in last.history] == [other * 100, other * 100, best * 100]
    assert (first.epochs, stopped.epochs) == (3, 2)
    tensors = [result.bundle.tensors for result in (first, stopped, last)]
    name = "head.linear.bias"
    assert np.array_equal(tensors[0][name], tensors[1][name])
    assert not np.array_equal(tensors[0][name], tensors[2][name])


def data_of(task: str) -> Sets:
    if task == "filler":
        words = [Example(("so", "it", "goes", "on", "and", "on"))] * 6
        return Sets(words, words)
    steps = [tuple("ab" * (n % 3 + 1)) for n in range(12)]
    targets: dict[str, list[Any]] = {
        "tagger": [tuple("xy" * (len(each) // 2)) for each in steps],
        "classifier": ["xy"[n % 2] for n in range(12)],
        "multilabel": [("x",) if n % 2 else () for n in range(12)],
        "regressor": [np.array([n], "f4") for n in range(12)],
        "seq2seq": [each[:2] for each in steps],
    }
    examples = [Example(each, target) for each, target in zip(steps, targets[task], strict=True)]
    return Sets(examples, examples)
