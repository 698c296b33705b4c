"""The model card: what a model is, what it learnt from, what it reached, how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from birnn.bundle.spec import Spec
from birnn.errors import escaped
from birnn.inputs import Symbols, Vectors, Words

_INPUTS = {
    "words": "sequences of words",
    "symbols": "sequences of symbols",
    "vectors": "sequences of vectors, one array (steps, channels) for each",
}
_CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN (tanh)", "rnn_relu": "RNN (relu)"}
_KNOWS = (
    "The model knows what its training data shows and nothing else: on data from elsewhere expect "
    "less than the metrics above, which hold for data like the file they were measured on."
)
_EXAMPLES = {
    ("words", "tagger"): '[["The", "bank", "by", "the", "river"]]',
    ("words", "classifier"): '["a text", ["or", "its", "tokens"]]',
    ("words", "regressor"): '[["A", "sequence", "of", "words"]]',
    ("symbols", "tagger"): '[["M", "K", "V"]]',
    ("symbols", "classifier"): '[["M", "K", "V"]]',
    ("symbols", "regressor"): '[["M", "K", "V"]]',
}


def card(spec: Spec, *, facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The README.md of a bundle.

    Args:
        spec: What the model is.
        facts: How it was trained; every entry is listed, nested ones by dotted names.
        metrics: What it reached; scalars are listed, tables (per label, confusion) stay in
            ``birnn.json``.
    """
    name = escaped(str(facts.get("name") or f"birnn {spec.task}"))
    return "\n".join(
        [
            f"# {name}",
            "",
            _summary(spec),
            "",
            "## Model",
            "",
            f"    {drawing(spec)}",
            "",
            f"{spec.parameter_count():,} parameters, float32.",
            "",
            "## Training",
            "",
            *_table(facts, "Nothing was recorded about its training."),
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


def drawing(spec: Spec) -> str:
    """The model in one line, from inputs to answers.

    Example:
        >>> from birnn.bundle.spec import Encoder
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8),
        ...     encoder=Encoder(cell="gru", hidden_size=16, merge="sum"),
        ...     head=Tags(size=3, decoder="crf"),
        ... )
        >>> drawing(spec)
        'symbols 5 × 8 → GRU ⇄ 16 (sum) → 16 → 3 labels (crf)'
    """
    inputs, encoder = spec.inputs, spec.encoder
    if isinstance(inputs, Words):
        parts = [f"words {inputs.size:,} × {inputs.dim}"]
        if inputs.characters is not None:
            characters = inputs.characters
            parts.append(
                f"characters {characters.size:,} × {characters.dim} LSTM ⇄ {characters.hidden_size}"
            )
        if inputs.surface is not None:
            parts.append(f"traits {inputs.surface.size} × {inputs.surface.dim}")
        start = " + ".join(parts)
        if len(parts) > 1:
            start += f" = {inputs.width}"
    elif isinstance(inputs, Symbols):
        start = f"symbols {inputs.size:,} × {inputs.dim}"
    else:
        start = f"vectors of {inputs.size} channels"
    layers = f"{encoder.num_layers} × " if encoder.num_layers > 1 else ""
    arrows = "⇄" if encoder.bidirectional else "→"
    merge = f" ({encoder.merge})" if encoder.bidirectional else ""
    residual = " + input" if encoder.residual else ""
    middle = f"{layers}{_CELLS[encoder.cell]} {arrows} {encoder.hidden_size}{merge}{residual}"
    return f"{start} → {middle} → {spec.head.drawing(spec.stack.output_size)}"


def _summary(spec: Spec) -> str:
    return (
        f"A {spec.task} made with birnn: it reads {_INPUTS[spec.inputs.kind]} and gives "
        f"{spec.head.gives}."
    )


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
    if isinstance(spec.inputs, Vectors):
        call = f"model.predict([np.zeros((20, {spec.inputs.size}), np.float32)])"
        first = ["import numpy as np", "import birnn"]
        file, endings = "data.ts", "`.ts` or `.npz`"
    else:
        call = f"model.predict({_EXAMPLES[spec.inputs.kind, spec.task]})"
        first = ["import birnn"]
        file = spec.head.file
        endings = "any of birnn's formats"
    return [
        "```python",
        *first,
        'model = birnn.load("this/folder")  # needs no torch',
        f"{call}  {spec.head.answer_comment}",
        "```",
        "",
        "```",
        f"birnn predict this/folder {file}",
        f"birnn evaluate this/folder {file} --json",
        "```",
        "",
        f"The file is in {endings}.",
    ]


def _limitations(spec: Spec) -> str:
    """One honest paragraph, of what is true of this kind of model."""
    inputs = spec.inputs
    said = [_KNOWS]
    if isinstance(inputs, Words):
        written = inputs.characters is not None or inputs.surface is not None
        said.append(
            "A word it never saw is judged by its written form and its neighbours."
            if written
            else "All words it never saw look the same to it; only neighbours tell them apart."
        )
    elif isinstance(inputs, Symbols):
        said.append("All symbols it never saw look the same to it.")
    else:
        said.append(
            "Channels are standardised by the training data's mean and scale: other units, another "
            "order of channels or another sampling rate give wrong answers without any warning."
        )
    said.append(spec.head.limitation())
    if spec.encoder.bidirectional:
        said.append(
            "It reads a sequence to its end before it answers, so it cannot run on a live "
            "stream step by step."
        )
    said.append("It was not examined for bias towards groups of people.")
    return " ".join(said)
