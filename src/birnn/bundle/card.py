"""The model card: architecture, training data, metrics, use, limitations.

It begins with what the Hugging Face Hub reads of a model, as YAML.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from birnn.bundle.spec import Spec
from birnn.errors import escaped
from birnn.reference.stack import CELL_TITLES

_KNOWS = (
    "The model knows what its training data shows and nothing else: on data from elsewhere expect "
    "less than the metrics above, which hold for data like the file they were measured on."
)

QUANTISED = "quantised"
"""Key of the metadata that says what a quantised model was made of, and how it was checked."""

PRECISION_TITLES = {
    "float32": "float32",
    "bf16": "matrices in bfloat16, the rest float32",
    "int8": "matrices in int8 with a float32 scale for each row, the rest float32",
}

_FENCE = "---\n"

# Of the numbers that are no counts, those that do not say how well it answers.
_TIMES = {"seconds", "tokens_per_second"}


def card(spec: Spec, *, metadata: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The README.md of a bundle.

    Args:
        spec: What the model is.
        metadata: How it was trained; every entry is listed, nested ones by dotted names.
        metrics: Its scores; scalars are listed, tables (per label, confusion) stay in
            ``birnn.json``.
    """
    name = escaped(str(metadata.get("name") or f"birnn {spec.task}"))
    trained = {key: value for key, value in metadata.items() if key != QUANTISED}
    return "\n".join(
        [
            *_front_matter(spec, name, metadata, _measured(spec, metadata, metrics)),
            f"# {name}",
            "",
            _summary(spec),
            "",
            "## Model",
            "",
            f"    {outline(spec)}",
            "",
            f"{spec.parameter_count():,} parameters, {PRECISION_TITLES[spec.precision]}.",
            "",
            *_quantised(spec, metadata),
            "## Training",
            "",
            *_table(trained, "Nothing was recorded about its training."),
            "",
            "## Metrics",
            "",
            *_table(metrics, "No evaluation was recorded."),
            "",
            "## Use",
            "",
            *_use(spec),
            "",
            "## Limitations",
            "",
            _limitations(spec),
            "",
        ]
    )


def outline(spec: Spec) -> str:
    """The model in one line, from inputs to answers.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8),
        ...     encoder=Encoder(cell="gru", hidden_size=16, merge="sum"),
        ...     head=Tags(size=3, decoder="crf"),
        ... )
        >>> outline(spec)
        'symbols 5 × 8 → GRU ⇄ 16 (sum) → 16 → 3 labels (crf)'
    """
    encoder, start = spec.encoder, spec.inputs.outline()
    layers = f"{encoder.num_layers} × " if encoder.num_layers > 1 else ""
    stack = spec.stack
    each = [0] if stack.directions is None else range(stack.num_layers)
    arrows = "".join("⇄" if stack.directions_of(layer) == 2 else "→" for layer in each)
    width = "" if encoder.merge_size is None else f", {encoder.merge_size}"
    merge = f" ({encoder.merge}{width})" if encoder.bidirectional else ""
    residual = " + input" if encoder.residual else ""
    middle = f"{layers}{CELL_TITLES[encoder.cell]} {arrows} {encoder.hidden_size}{merge}{residual}"
    return f"{start} → {middle} → {spec.head.outline(stack)}"


def with_metadata(text: str, made: str) -> str:
    r"""A model card, with the metadata of ``made`` if it has none.

    Args:
        text: The card, which may have been written by hand.
        made: The card that `card` makes of the same model.

    Example:
        >>> with_metadata("# Mine", "---\nlibrary_name: birnn\n---\n# birnn tagger")
        '---\nlibrary_name: birnn\n---\n# Mine'
        >>> with_metadata("---\nlicense: mit\n---\n# Mine", made="")
        '---\nlicense: mit\n---\n# Mine'
    """
    if text.startswith(_FENCE):
        return text
    head, fence, _ = made.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    return f"{_FENCE}{head}{fence}{text}"


def _front_matter(
    spec: Spec, name: str, metadata: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Iterator[str]:
    """What the Hub reads: library, its task, tags, and the metrics of each set."""
    yield "---"
    yield "library_name: birnn"
    pipeline = spec.head.hub_task if spec.inputs.holds == "tokens" else None
    if pipeline is not None:
        yield f"pipeline_tag: {pipeline}"
    yield "tags:"
    more = ["bidirectional"] if spec.encoder.bidirectional else []
    more += [] if spec.precision == "float32" else [spec.precision]
    yield from (f"- {tag}" for tag in ["birnn", spec.task, spec.encoder.cell, *more])
    results = list(_results(pipeline or spec.task, metadata, metrics))
    if results:
        yield "model-index:"
        yield f"- name: {_scalar(name)}"
        yield "  results:"
        yield from results
    yield _FENCE


def _results(task: str, metadata: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[str]:
    """The metrics of each set: its finite numbers but for counts, which are integers, and times."""
    for name, scores in metrics.items():
        if not isinstance(scores, Mapping):
            continue
        found = {
            key: value
            for key, value in scores.items()
            if isinstance(value, float) and math.isfinite(value) and key not in _TIMES
        }
        if not found:
            continue
        given = metadata.get(name)
        yield "  - task:"
        yield f"      type: {task}"
        yield "    dataset:"
        yield "      type: custom"
        yield f"      name: {_scalar(PurePath(given).name if isinstance(given, str) else name)}"
        yield f"      split: {_scalar(name)}"
        yield "    metrics:"
        for key, value in found.items():
            yield f"    - type: {_scalar(key)}"
            # With a dot: 1e-05 is a text to YAML.
            yield f"      value: {value:.6f}"


def _scalar(text: str) -> str:
    """A text as YAML reads it: in double quotes, as JSON has it."""
    return json.dumps(escaped(text), ensure_ascii=False)


def _summary(spec: Spec) -> str:
    return (
        f"A {spec.task} made with birnn: it reads {spec.inputs.reads} and gives {spec.head.gives}."
    )


def _checked(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the check of a quantised model found; nothing where there was none."""
    record = metadata.get(QUANTISED)
    checked = record.get("checked") if isinstance(record, Mapping) else None
    return checked if isinstance(checked, Mapping) else {}


def _measured(
    spec: Spec, metadata: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The scores of the model itself: of a quantised one those of its check."""
    if spec.precision == "float32":
        return metrics
    checked = _checked(metadata)
    return {str(checked.get("file")): checked.get(spec.precision)}


def _quantised(spec: Spec, metadata: Mapping[str, Any]) -> list[str]:
    """What a model in low precision was made of, and what it lost where it was checked."""
    if spec.precision == "float32":
        return []
    record = metadata.get(QUANTISED)
    ends = "" if _checked(metadata) else " It was not checked on data after that."
    return [
        "## Quantised",
        "",
        f"It was made of a float32 model, of which the metrics below are.{ends}",
        "",
        *_table(record if isinstance(record, Mapping) else {}, "Nothing was recorded about that."),
        "",
    ]


def _table(entries: Mapping[str, Any], empty: str) -> list[str]:
    rows = list(_scalars(entries))
    if not rows:
        return [empty]
    cells = ((escaped(cell).replace("|", "\\|") for cell in row) for row in rows)
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in cells)]


def _scalars(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every scalar with its dotted name; lists and per-label tables are left to the manifest."""
    for name, value in entries.items():
        if name in {"per_label", "confusion"}:
            continue
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}.")
        elif isinstance(value, bool | str):
            yield f"{prefix}{name}", str(value).replace("\n", " ")
        elif isinstance(value, int):
            yield f"{prefix}{name}", str(value)
        elif isinstance(value, float):
            yield f"{prefix}{name}", f"{value:.5g}"


def _use(spec: Spec) -> list[str]:
    inputs = spec.inputs
    file = inputs.file or spec.head.file
    return [
        "```python",
        *(["import numpy as np"] if "np." in inputs.example else []),
        "import birnn",
        'model = birnn.load("this/folder")  # needs no torch',
        f"model.predict({inputs.example})  {spec.head.answer_comment}",
        "```",
        "",
        "```",
        f"birnn predict this/folder {file}",
        f"birnn evaluate this/folder {file} --json",
        "```",
        "",
        f"The file is in {inputs.formats}.",
    ]


def _limitations(spec: Spec) -> str:
    """One paragraph on the limitations of this kind of model."""
    sentences = [_KNOWS, spec.inputs.limitation(), spec.head.limitation()]
    if spec.encoder.bidirectional:
        sentences.append(
            "It reads a sequence to its end before it answers, so it cannot run on a live "
            "stream step by step."
        )
    sentences.append("It was not examined for bias towards groups of people.")
    return " ".join(sentences)
