"""A bundle as an ONNX file, and such a file in ONNX Runtime."""

# B sequences, T steps, L labels or values

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from birnn.bundle.io import Bundle
from birnn.engine.threads import get_num_threads
from birnn.errors import FormatError, require
from birnn.export.description import as_metadata, identity
from birnn.export.feeds import WRITTEN, Array, answers_of, asked_steps, targets_of, unpadded
from birnn.export.onnx.inputs import graph_feeds
from birnn.export.onnx.model import model_of
from birnn.inputs import restored
from birnn.runtime.search import Hypothesis
from birnn.runtime.validation import validated

NO_LOG = 4  # fatal errors alone: what is wrong comes as an exception
LONGEST_FAULT = 300
ANSWERS = {"tags", "label", "labels", "values", "likeliest"}  # one of which each graph gives


def write(bundle: Bundle, path: Path) -> None:
    """Write a bundle as an ONNX file, after ``onnx.checker`` has checked it in full.

    Args:
        bundle: The model.
        path: The file.

    Raises:
        MissingExtra: onnx is not installed.
        ConversionError: The model is more than a file can hold.
    """
    checker = require("onnx.checker", extra="onnx")
    model = model_of(bundle)
    checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def load(path: Path, bundle: Bundle, *, optimised: bool = True) -> OnnxModel:
    """An exported file in ONNX Runtime, on as many threads as birnn uses.

    Args:
        path: A file that `write` wrote.
        bundle: The bundle that it was made of.
        optimised: Whether ONNX Runtime may rewrite the graph.

    Raises:
        MissingExtra: onnxruntime is not installed.
        FormatError: The file is damaged, or was made of another model.
    """
    session = session_of(path, optimised=optimised)
    with _faults_of(str(path)):
        kept = session.get_modelmeta().custom_metadata_map
    if not as_metadata(identity(bundle)).items() <= kept.items():
        raise FormatError(f"{path}: was made of another model. Export this bundle anew.")
    return OnnxModel(session, bundle)


def session_of(model: Path | bytes, *, optimised: bool = True) -> Any:
    """A session of ONNX Runtime (``onnxruntime.InferenceSession``) on its processor kernels.

    Args:
        model: A file, or its contents.
        optimised: Whether ONNX Runtime may rewrite the graph.

    Raises:
        MissingExtra: onnxruntime is not installed.
        FormatError: It cannot be loaded.
    """
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = NO_LOG
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = model if isinstance(model, bytes) else str(model)
    with _faults_of("the model" if isinstance(model, bytes) else str(model)):
        # Its fallback prints on standard output, and would try the same again.
        return runtime.InferenceSession(
            given, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Errors of ONNX Runtime as faults of the file."""
    try:
        yield
    except _errors() as error:
        fault = " ".join(str(error).split())[:LONGEST_FAULT]
        raise FormatError(
            f"{name}: ONNX Runtime cannot run it: {fault}. Export the bundle anew."
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    """The errors of ONNX Runtime, whose classes have no base of their own."""
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", extra="onnx")
    own = [
        each
        for each in vars(state).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ]
    # Some come as these, and names that are no UTF-8 as a ValueError.
    return (*own, ValueError, RuntimeError)


class OnnxModel:
    """An exported model at work.

    Args:
        session: A session of its file.
        bundle: The bundle that it was made of, which encodes sequences for it.
    """

    def __init__(self, session: Any, bundle: Bundle) -> None:
        self.session = session
        self._names = [output.name for output in session.get_outputs()]
        self._bundle = bundle
        self._codec = bundle.spec.inputs.codec(restored(bundle.vocabularies))

    def __call__(self, sequences: Sequence[Any]) -> list[Array]:
        """Scores of each sequence: (T, L) of a tagger, (L,) of a classifier; values (K,).

        Args:
            sequences: As for `birnn.runtime.Predictor.predict`.
        """
        arrays, asked, outputs = self._run(sequences)
        scores = "scores" if self._bundle.spec.head.has_labels else "values"
        return unpadded(self._bundle, outputs[scores], arrays["lengths"], asked)

    def answers(self, sequences: Sequence[Any]) -> list[Any]:
        """Answers as the graph decodes them, in the form of `birnn.runtime.Predictor.predict`."""
        arrays, asked, outputs = self._run(sequences)
        [name] = ANSWERS & outputs.keys()
        return answers_of(self._bundle, outputs[name], arrays["lengths"], asked)

    def write(self, sequences: Sequence[Any]) -> list[Hypothesis]:
        """The target of each sequence, of a model that writes sequences."""
        _, outputs = self.run(sequences)
        return targets_of(self._bundle, *(outputs[name] for name in WRITTEN))

    def run(self, sequences: Sequence[Any]) -> tuple[Array, dict[str, Array]]:
        """Lengths of the sequences, and all outputs of the graph by their names."""
        arrays, _, outputs = self._run(sequences)
        return arrays["lengths"], outputs

    def _run(
        self, sequences: Sequence[Any]
    ) -> tuple[dict[str, Array], Array | None, dict[str, Array]]:
        given = list(validated(self._bundle.spec, self._codec, sequences))
        arrays = graph_feeds(self._codec, given)
        with _faults_of("the model"):
            found = self.session.run(self._names, arrays)
        outputs = dict(zip(self._names, found, strict=True))
        return arrays, asked_steps(self._bundle, given), outputs
