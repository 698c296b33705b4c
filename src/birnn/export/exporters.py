"""What a bundle can be exported to: one exporter for each framework.

A framework is a module beside this one with two functions: ``write(bundle, path)`` writes a file,
``load(path, bundle)`` gives a `Loaded` that runs it in the framework. It may have two more:
``check_installed()`` where more than an import tells whether the framework can run, and
``bundle_from(...)``, by which `birnn.importing` makes the bundle again. What is the same for all is
here: whether the framework is installed, places that cannot be written, atomic writing.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from birnn.bundle import Bundle, BundleSource, as_float32, dequantised
from birnn.errors import OutputError, UsageError, nearest, require
from birnn.export.feeds import Array


class Loaded(Protocol):
    """An exported file at work in its framework.

    An object that also has a method ``answers(sequences)`` decodes by itself; `birnn.export.verify`
    then compares its answers too. That of a model that writes sequences has no scores of them; it
    has ``write(sequences)``, which gives a `birnn.runtime.search.Hypothesis` of each, and
    ``scores_of(sequences, targets)`` where it scores given targets.
    """

    def __call__(self, sequences: Sequence[Any]) -> list[Array]:
        """Scores of each sequence, as `birnn.runtime.Predictor.scores` gives them."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """A framework that bundles are exported to.

    Args:
        name: Its name on the command line.
        title: Its name in texts.
        ending: Ending of its files.
        extra: The extra of birnn that installs it.
        needs: The modules of that extra which it needs.
        runs: The modules which run its files, beside those.
        module: The module that writes and loads its files.
    """

    name: str
    title: str
    ending: str
    extra: str
    needs: tuple[str, ...]
    module: str
    runs: tuple[str, ...] = ()

    def check(self, path: Path, *, overwrite: bool, run: bool = False) -> None:
        """Refuse a framework that is not installed, and a place that cannot be written.

        Args:
            path: Where the file is to be.
            overwrite: Whether a file there may be replaced.
            run: Whether the file is to be run too.

        Raises:
            MissingExtra: The framework, or what is to run the file, is not installed.
            UsageError: A name with another ending.
            OutputError: There is something else, or no folder that can be written to.
        """
        if path.suffix != self.ending:
            raise UsageError(
                f"{path}: files of {self.title} end in {self.ending}. "
                f"Give --out {path.with_suffix(self.ending)}."
            )
        if path.is_dir():
            raise OutputError(f"{path} is a directory. Give --out a file.")
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists. Give another --out, or --overwrite to replace the file there."
            )
        if not os.access(path.absolute().parent, os.W_OK):
            raise OutputError(
                f"{path}: there is no folder that can be written to. Give another --out."
            )
        for module in (*self.needs, *(self.runs if run else ())):
            require(module, extra=self.extra)
        framework = importlib.import_module(self.module)
        getattr(framework, "check_installed", lambda: None)()

    def write(self, bundle: Bundle, path: Path) -> None:
        """Write a bundle as a file of the framework, atomically; a file there is replaced.

        The file is in float32, whatever the bundle's precision.

        Raises:
            ConversionError: The framework cannot represent the model.
            OutputError: The place cannot be written.
        """
        with _whole_file(path) as part:
            importlib.import_module(self.module).write(dequantised(bundle), part)

    def load(self, path: Path, bundle: Bundle) -> Loaded:
        """Load an exported file.

        Args:
            path: The file.
            bundle: The model it was made of, whose vocabularies and validation are used.
        """
        loaded: Loaded = importlib.import_module(self.module).load(path, dequantised(bundle))
        return loaded


EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        Exporter("torch", "torch", ".safetensors", "train", ("torch",), "birnn.export.torch"),
        Exporter("onnx", "ONNX", ".onnx", "onnx", ("onnx",), "birnn.export.onnx", ("onnxruntime",)),
        Exporter("jax", "JAX", ".zip", "jax", ("jax",), "birnn.export.jax"),
        Exporter("keras", "Keras", ".keras", "keras", ("h5py",), "birnn.export.keras"),
    )
}


def exporter_of(name: str) -> Exporter:
    """The exporter of that name.

    Raises:
        UsageError: There is none.

    Example:
        >>> exporter_of("torch").ending
        '.safetensors'
        >>> exporter_of("tourch")
        Traceback (most recent call last):
        ...
        birnn.errors.UsageError: nothing is exported to 'tourch': did you mean torch?
    """
    if name not in EXPORTERS:
        raise UsageError(f"nothing is exported to {name!r}: {nearest(name, EXPORTERS)}")
    return EXPORTERS[name]


def export_model(model: BundleSource, out: str | Path, *, to: str, overwrite: bool = False) -> Path:
    """Write a bundle as a file of another framework.

    Args:
        model: A bundle, its folder, or what `birnn.load` gave.
        out: The file to write.
        to: The framework, a name of `EXPORTERS`.
        overwrite: Whether a file there is replaced.

    Returns:
        The path of the file.

    Raises:
        UsageError: No such framework, no model, or a name with another ending.
        MissingExtra: It is not installed.
        ConversionError: It cannot represent the model.
        OutputError: A place that cannot be written.
        BundleError: A folder that holds no whole bundle.
    """
    exporter, path = exporter_of(to), Path(out)
    exporter.check(path, overwrite=overwrite)
    exporter.write(as_float32(model), path)
    return path


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A path beside the place to write to, renamed into it when all is written."""
    place = path.resolve()
    # With its ending, which some frameworks ask for.
    part = place.with_name(f".{place.stem}.{os.getpid()}.part{place.suffix}")
    try:
        yield part
        part.replace(place)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}. Give another --out."
        ) from None
    finally:
        with suppress(OSError):
            part.unlink()
