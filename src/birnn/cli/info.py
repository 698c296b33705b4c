"""``birnn settings`` and ``birnn info``: what can be set, and what runs here."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from textwrap import wrap
from typing import Annotated, Any

import typer

import birnn
from birnn.cli.options import Json, Task
from birnn.cli.output import print_json
from birnn.errors import UsageError, nearest, require

PACKAGES = (
    "numpy", "torch", "lightning", "safetensors", "pydantic", "onnx", "onnxruntime", "keras", "jax",
    "flax", "sacrebleu", "scikit-learn", "spacy", "huggingface_hub", "fastapi", "uvicorn",
)  # fmt: skip
COLUMN = 16  # where what is told stands


def settings(
    task: Task = "tagger",
    kind: Annotated[
        str, typer.Option(help="What the sequences are made of: words, symbols or vectors.")
    ] = "words",
    as_json: Json = False,
) -> int:
    """List every setting of training with its default and meaning."""
    require("torch", extra="train")
    from birnn.cli.printing import print_table
    from birnn.inputs import KINDS
    from birnn.training.recipe import settings_table

    if kind not in KINDS:
        raise UsageError(f"no kind of input {kind!r}: {nearest(kind, KINDS)}")
    rows = settings_table(task, kind)
    if as_json:
        print_json({name: {"default": value, "meaning": text} for name, value, text in rows})
    else:
        shown = [(name, _as_set(value), text) for name, value, text in rows]
        print_table(f"settings of a {task} of {kind}", ("setting", "default", "meaning"), shown)
    return 0


def _as_set(value: Any) -> str:
    """A setting's value as ``--set`` takes it."""
    if value is None or isinstance(value, str):
        return value or "none"
    return json.dumps(value)


def info(as_json: Json = False) -> int:
    """Tell versions, engine and threads."""
    from birnn.engine import isa

    engine = isa.active()
    native = isa.native_module()
    told: dict[str, Any] = {
        "birnn": birnn.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "engine": f"{engine.name} ({engine.detail})",
        "native module": (
            f"built with {native.compiler}" if native is not None else isa.why_no_native()
        ),
        "threads": isa.get_num_threads(),
        "threads set by": isa.threads_set_by(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }
    if as_json:
        print_json(told)
        return 0
    for name, value in told.items():
        if isinstance(value, dict):
            # Lines end between packages, not before the number of one.
            packages = ", ".join(f"{package}\xa0{number}" for package, number in value.items())
            lines = wrap(packages, 80 - COLUMN, break_on_hyphens=False, break_long_words=False)
            value = f"\n{COLUMN * ' '}".join(lines).replace("\xa0", " ")
        print(f"{f'{name}:':{COLUMN}}{value}")
    return 0


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
