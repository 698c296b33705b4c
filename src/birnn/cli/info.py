"""``birnn settings`` and ``birnn info``: what can be set, and what runs here."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

import birnn
from birnn.cli.options import Json, Task
from birnn.cli.output import print_json
from birnn.errors import UsageError, nearest, require

if TYPE_CHECKING:
    from birnn.reference.low_precision import Precision

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
    """Tell versions, engines and how fast each is here, threads."""
    from birnn.engine import isa, speed
    from birnn.engine.threads import get_num_threads, threads_set_by
    from birnn.reference.low_precision import PRECISIONS

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
        "speed": speed.MEASURED,
        **{precision: _engines(precision) for precision in PRECISIONS},
        "not here": isa.not_here(),
        "threads": get_num_threads(),
        "threads set by": threads_set_by(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }
    if as_json:
        print_json(told)
        return 0
    packages = [f"{package} {number}" for package, number in told["packages"].items()]
    lines = {name: [str(value)] for name, value in told.items()}
    lines["speed"] = [f"GF/s of the {told['speed']} (* runs)"]
    for precision in PRECISIONS:
        lines[precision] = [", ".join(map(_shown, told[precision]))]
    lines["not here"] = [f"{level}: {why}" for level, why in told["not here"].items()] or ["none"]
    # Lines end between packages, not before the number of one.
    lines["packages"] = [", ".join(package.replace(" ", "\xa0") for package in packages)]
    for name, texts in lines.items():
        wrapped = [
            line
            for text in texts
            for line in wrap(text, 80 - COLUMN, break_on_hyphens=False, break_long_words=False)
        ]
        print(f"{f'{name}:':{COLUMN}}" + f"\n{COLUMN * ' '}".join(wrapped).replace("\xa0", " "))
    return 0


def _engines(precision: Precision) -> list[dict[str, Any]]:
    """The engines of a precision: how fast each is, and whether it runs."""
    from birnn.engine import isa, speed

    runs = isa.active(precision).name
    return [
        {"engine": name, "gflops": round(speed.gflops(precision, name), 1), "runs": name == runs}
        for name in isa.available(precision)
    ]


def _shown(engine: dict[str, Any]) -> str:
    return f"{engine['engine']}{'*' if engine['runs'] else ''}\xa0{engine['gflops']}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
