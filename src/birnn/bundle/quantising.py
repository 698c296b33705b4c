"""A model in low precision, and back in float32; and a report of what that did to it.

```
float32  --quantised-->  int8 or bf16  --dequantised-->  float32, of the same numbers
```

Matrices that a recurrent layer, a linear layer or an embedding reads change, all else stays:
`Spec.kept_in_float32` names it with the reasons. What runs in float32 alone (torch, JAX, Keras,
ONNX) reads bundles by `as_float32`, which tells that it dequantises.
"""

# R rows, C columns

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from birnn.bundle.card import QUANTISED
from birnn.bundle.checks import summary
from birnn.bundle.io import Bundle, BundleSource, as_bundle, faults, tensors_digest
from birnn.bundle.tensors import Tensor
from birnn.errors import BundleError, ShapeError, Tell, UsageError, log_notice
from birnn.reference.low_precision import (
    MATRICES,
    Int8Matrix,
    Matrix,
    Precision,
    check_precision,
)
from birnn.reference.outliers import Outliers, outliers
from birnn.reference.products import float_weights


def quantised(bundle: Bundle, precision: str, *, name: str | None = None) -> Bundle:
    """A model in int8 or bfloat16, made of one in float32.

    Args:
        bundle: The model, in float32.
        precision: ``int8`` or ``bf16``.
        name: Where the model is from, for the metadata of the new one.

    Returns:
        The same model with its matrices in that precision. Its metadata say under ``quantised``
        what it was made of.

    Raises:
        BundleError: A model that is quantised already, one that is not whole (values that are NaN
            or infinite), or values that the precision cannot hold.
        ConfigError: No such precision.
        UsageError: float32.

    Example:
        >>> from birnn.bundle import Encoder, Spec, Symbols, Tags
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.ones(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
        >>> small = quantised(Bundle(spec, vocabularies, tensors), "int8")
        >>> small.spec.precision, small.tensors["head.linear.weight"].values.dtype
        ('int8', dtype('int8'))
    """
    wanted = check_precision(precision)
    if wanted == "float32":
        raise UsageError(
            "float32 is what models are quantised from: give int8 or bf16. To dequantise one: "
            'birnn.load(DIR, precision="float32").'
        )
    called = name or "this model"
    if bundle.spec.precision != "float32":
        raise BundleError(
            f"{called}: is in {bundle.spec.precision} already, and what that rounded is lost. "
            "Quantise the float32 model that it was made of."
        )
    if found := faults(bundle):
        raise BundleError(f"{called}: cannot be quantised: {summary(found)}")
    kept, tensors, wrong = bundle.spec.kept_in_float32(), {}, []
    for tensor, values in bundle.tensors.items():
        try:
            tensors[tensor] = values if tensor in kept else MATRICES[wanted].of(values)
        except ShapeError as error:
            wrong.append(f"tensor {tensor}: {str(error).rstrip('.')}")
    if wrong:
        raise BundleError(f"{called}: cannot be quantised to {wanted}: {summary(wrong)}")
    record = {"precision": wanted, "sha256": tensors_digest(bundle)}
    return replace(
        bundle,
        spec=bundle.spec.model_copy(update={"precision": wanted}),
        tensors=tensors,
        metadata={**bundle.metadata, QUANTISED: ({} if name is None else {"of": name}) | record},
    )


def dequantised(bundle: Bundle) -> Bundle:
    """A model with the same numbers in float32; one in float32 as it is."""
    if bundle.spec.precision == "float32":
        return bundle
    return replace(
        bundle,
        spec=bundle.spec.model_copy(update={"precision": "float32"}),
        tensors={name: float_weights(tensor) for name, tensor in bundle.tensors.items()},
    )


def as_float32(model: BundleSource, *, tell: Tell = log_notice) -> Bundle:
    """The bundle of a model for what runs in float32 alone, in whatever form it is given.

    Args:
        model: As for `as_bundle`.
        tell: Takes a notice if weights were dequantised.

    Raises:
        BundleError: As of `as_bundle`.
        UsageError: As of `as_bundle`.
    """
    bundle = as_bundle(model)
    if bundle.spec.precision != "float32":
        tell(_told(bundle.spec.precision))
    return dequantised(bundle)


def in_precision(bundle: Bundle, wanted: Precision | None, *, name: str, tell: Tell) -> Bundle:
    """A loaded model in the precision that is asked for.

    Args:
        bundle: The model.
        wanted: The precision; None for its own.
        name: How it is called where it has to be named.
        tell: Takes a notice if weights were dequantised, if parts have no low precision, and of
            rows that lose much to single values.

    Raises:
        BundleError: One low precision asked of another, or what `quantised` refuses.
    """
    own = bundle.spec.precision
    if wanted is None or wanted == own:
        return bundle
    if own == "float32":
        reasons = bundle.spec.kept_in_float32().values()
        kept = sorted({reason.partition(":")[0] for reason in reasons} - {"biases"})
        if kept:
            tell(f"{name}: in {wanted}, but float32 for the {', the '.join(kept)}")
        small = quantised(bundle, wanted, name=name)
        for each in _outliers(bundle, small):
            tell(f"{name}: {each.notice}")
        return small
    if wanted == "float32":
        tell(_told(own))
        return dequantised(bundle)
    raise BundleError(
        f"{name}: is in {own}, and {wanted} is asked for: what was rounded is lost. Give the "
        f"float32 model that it was made of, or leave the precision out."
    )


def _told(precision: str) -> str:
    return (
        f"the model's weights are {precision}, dequantised here: float32 runs on them, whose "
        f"scores differ a little from those in {precision}"
    )


# ---------------------------------------------------------------------- the report


@dataclass(frozen=True, slots=True)
class QuantisedPart:
    """A part of a model whose matrices changed.

    Args:
        name: What the names of its tensors begin with.
        matrices: How many there are.
        bytes_before: Bytes of these in float32.
        bytes_after: Bytes in the precision, with row scales.
        error: Largest relative error of a row, ``|w - q| / |w|`` by Euclidean norms.
    """

    name: str
    matrices: int
    bytes_before: int
    bytes_after: int
    error: float


@dataclass(frozen=True, slots=True)
class KeptTensors:
    """Tensors that stayed float32.

    Args:
        reason: Why.
        tensors: How many.
        bytes: Their bytes.
    """

    reason: str
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class QuantisingReport:
    """What quantising did to a model; `quantising_report` gives one.

    Args:
        precision: Of the new model.
        bytes_before: Bytes of all tensors before.
        bytes_after: Bytes after.
        parts: The parts that changed.
        kept: What stayed float32, by reason.
        outliers: Matrices of int8 that lost much to single values; none in bfloat16, where each
            value has an exponent of its own.
    """

    precision: Precision
    bytes_before: int
    bytes_after: int
    parts: tuple[QuantisedPart, ...]
    kept: tuple[KeptTensors, ...]
    outliers: tuple[Outliers, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def quantising_report(before: Bundle, after: Bundle) -> QuantisingReport:
    """What quantising did to a model.

    Args:
        before: The model in float32.
        after: What `quantised` made of it.
    """
    kept: dict[str, list[int]] = {}
    for name, reason in after.spec.kept_in_float32().items():
        kept.setdefault(reason, []).append(before.tensors[name].nbytes)
    parts: dict[str, list[str]] = {}
    for name, tensor in after.tensors.items():
        if isinstance(tensor, Matrix):
            parts.setdefault(name.rpartition(".")[0], []).append(name)
    return QuantisingReport(
        after.spec.precision,
        _bytes(before.tensors, before.tensors),
        _bytes(after.tensors, after.tensors),
        tuple(
            QuantisedPart(
                part,
                len(names),
                _bytes(before.tensors, names),
                _bytes(after.tensors, names),
                max(_error(before.tensors[name], after.tensors[name]) for name in names),
            )
            for part, names in parts.items()
        ),
        tuple(KeptTensors(reason, len(sizes), sum(sizes)) for reason, sizes in kept.items()),
        _outliers(before, after),
    )


def _outliers(before: Bundle, after: Bundle) -> tuple[Outliers, ...]:
    low = [name for name, tensor in after.tensors.items() if isinstance(tensor, Int8Matrix)]
    found = [outliers(name, float_weights(before.tensors[name])) for name in low]
    return tuple(each for each in found if each is not None)


def _bytes(tensors: Mapping[str, Tensor], names: Any) -> int:
    return sum(tensors[name].nbytes for name in names)


def _error(before: Tensor, after: Tensor) -> float:
    """The largest relative error of a row; rows of zeros have none."""
    exact = float_weights(before).astype(np.float64)
    lost = np.linalg.norm(float_weights(after) - exact, axis=1)
    size = np.linalg.norm(exact, axis=1)
    return float(np.max(np.divide(lost, size, out=np.zeros_like(lost), where=size > 0), initial=0))
