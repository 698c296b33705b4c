"""Bundles in low precision: what goes in comes out, what cannot be is named, what changed is told.

The arithmetic of a matrix is `birnn.reference.low_precision`'s, and tested there.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn.bundle import (
    Bundle,
    Encoder,
    Label,
    Labels,
    Spec,
    Symbols,
    Tags,
    TargetSequence,
    Values,
    Vectors,
    Words,
    as_float32,
    dequantised,
    faults,
    io,
    load,
    quantised,
    quantising_report,
    save,
)
from birnn.bundle.quantising import in_precision
from birnn.bundle.spec import StoredTensor
from birnn.bundle.tensors import written_tensors
from birnn.errors import BundleError, UsageError
from birnn.inputs import Dense
from birnn.reference.low_precision import Bf16Matrix, Int8Matrix, Matrix
from birnn.reference.outliers import OUTLIER

LOW = ("int8", "bf16")
ENCODER = Encoder(hidden_size=3, num_layers=2, merge="project")
SPECS = {
    "tags": Spec(inputs=Words(size=4, dim=3), encoder=ENCODER, head=Tags(size=3, decoder="crf")),
    "label": Spec(
        inputs=Symbols(size=3, dim=2),
        encoder=ENCODER,
        head=Label(size=2, hidden=(4,), pooling="attention", attention_size=2),
    ),
    "labels": Spec(inputs=Symbols(size=3, dim=2), encoder=ENCODER, head=Labels(size=2)),
    "values": Spec(
        inputs=Vectors(size=2, dense=Dense(size=3)), encoder=ENCODER, head=Values(size=1)
    ),
    "sequence": Spec(
        inputs=Symbols(size=3, dim=2),
        encoder=ENCODER,
        head=TargetSequence(size=4, dim=3, hidden_size=5, bridge="project"),
    ),
}


def same(one: Any, other: Any) -> bool:
    """Whether two tensors are the same to the bit."""
    if isinstance(one, Matrix):
        parts = ("values", "scales") if isinstance(one, Int8Matrix) else ("bits",)
        return type(one) is type(other) and all(
            np.array_equal(getattr(one, part), getattr(other, part)) for part in parts
        )
    return isinstance(other, np.ndarray) and np.array_equal(one, other)


def held(folder: Path) -> dict[str, dict[str, Any]]:
    """Tensors of a folder as the library reads them."""
    return dict(safetensors.deserialize((folder / "model.safetensors").read_bytes()))


# ------------------------------------------------------------------ what goes in comes out


@pytest.mark.parametrize("precision", LOW)
def test_load_gives_what_was_saved(bundle: Bundle, tmp_path: Path, precision: str) -> None:
    small = quantised(bundle, precision, name="models/pos")
    save(small, tmp_path / "small")
    loaded = load(tmp_path / "small")
    assert loaded.spec == small.spec
    assert loaded.spec.precision == precision
    assert loaded.vocabularies == dict(bundle.vocabularies)
    assert list(loaded.tensors) == list(bundle.tensors)
    assert all(same(small.tensors[name], loaded.tensors[name]) for name in bundle.tensors)
    assert loaded.metadata["train"] == "train.conllu"
    assert loaded.metadata["quantised"]["of"] == "models/pos"
    save(loaded, tmp_path / "again")
    for name in ("birnn.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "small" / name).read_bytes()


@pytest.mark.parametrize("precision", LOW)
@given(values=st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=9, max_size=9))
@settings(max_examples=10, deadline=None)
def test_any_weights_come_back(precision: str, values: list[float]) -> None:
    """Of rows of zeros, of denormal numbers, with outliers."""
    spec = SPECS["tags"]
    tensors = {name: np.ones(shape, np.float32) for name, shape in spec.tensors().items()}
    tensors["head.linear.weight"] = np.array(values, np.float32).reshape(3, 3)
    vocabularies = {"words": ("<unk>", "a", "b", "c"), "labels": ("x", "y", "z")}
    small = quantised(Bundle(spec, vocabularies, tensors), precision)
    assert not faults(small)
    with tempfile.TemporaryDirectory() as folder:
        save(small, Path(folder, "small"))
        loaded = load(Path(folder, "small"))
    assert all(same(small.tensors[name], loaded.tensors[name]) for name in tensors)
    report = quantising_report(Bundle(spec, vocabularies, tensors), small)
    assert all(0 <= part.error <= 1 for part in report.parts)


@pytest.mark.parametrize("precision", LOW)
def test_the_library_reads_what_is_stored(bundle: Bundle, tmp_path: Path, precision: str) -> None:
    small = quantised(bundle, precision)
    save(small, tmp_path / "small")
    found = held(tmp_path / "small")
    codes = {"float32": "F32", "bfloat16": "BF16", "int8": "I8"}
    assert {name: (tuple(each["shape"]), each["dtype"]) for name, each in found.items()} == {
        name: (shape, codes[dtype]) for name, (shape, dtype) in small.spec.stored_tensors().items()
    }
    name = "encoder.weight_hh_l0"
    exact = bundle.tensors[name]
    if precision == "int8":
        scales = np.frombuffer(found[f"{name}.scales"]["data"], "<f4")
        near = np.frombuffer(found[name]["data"], "i1").reshape(exact.shape) * scales[:, None]
        assert (np.abs(near - exact) <= scales[:, None] / 2 * (1 + 1e-6)).all()
    else:
        bits = np.frombuffer(found[name]["data"], "<u2").astype("<u4") << 16
        near = bits.view("<f4").reshape(exact.shape)
        assert (np.abs(near - exact) <= 2.0**-8 * np.abs(exact)).all()


def test_float32_is_stored_as_the_library_stores_it() -> None:
    random = np.random.default_rng(0)
    tensors = {
        name: random.random(shape, np.float32) for name, shape in SPECS["tags"].tensors().items()
    }
    stored = {name: StoredTensor(each.shape) for name, each in tensors.items()}
    assert written_tensors(tensors, stored) == safetensors.numpy.save(tensors)
    assert "precision" not in SPECS["tags"].model_dump()


@pytest.mark.parametrize("precision", LOW)
def test_a_quantised_bundle_is_read_only_and_pickles(bundle: Bundle, precision: str) -> None:
    small = quantised(bundle, precision)
    again = pickle.loads(pickle.dumps(small))
    for each in (small, again):
        matrix = each.tensors["encoder.weight_ih_l0"]
        array = matrix.values if precision == "int8" else matrix.bits
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    assert all(same(small.tensors[name], again.tensors[name]) for name in small.tensors)


@pytest.mark.parametrize("precision", LOW)
def test_dequantised_and_quantised_again_is_the_same(bundle: Bundle, precision: str) -> None:
    small = quantised(bundle, precision)
    full = dequantised(small)
    assert not faults(full)
    assert full.spec == bundle.spec
    again = quantised(full, precision)
    assert all(same(small.tensors[name], again.tensors[name]) for name in small.tensors)


# ------------------------------------------------------------------ which tensors are low


@pytest.mark.parametrize("kind", SPECS)
def test_matrices_of_layers_are_low_and_all_else_has_a_reason(kind: str) -> None:
    spec = SPECS[kind].model_copy(update={"precision": "int8"})
    kept, stored = spec.kept_in_float32(), spec.stored_tensors()
    for name, shape in spec.tensors().items():
        low = stored[name] == StoredTensor(shape, "int8")
        assert low == (name not in kept)
        assert low == (f"{name}.scales" in stored)
        # What is no matrix of a layer is a bias, or has a reason of its own.
        if kept.get(name, "").startswith("biases"):
            assert name.rpartition(".")[2].startswith("bias")
            assert len(shape) == 1
    assert {name for name in spec.tensors() if name.startswith("encoder.weight")}.isdisjoint(kept)
    for part in ("head.crf.transitions", "head.attention.weight", "inputs.mean", "head.scale"):
        assert (part in kept) == (part in spec.tensors())


# ------------------------------------------------------------------ what cannot be


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load(folder)
    return str(caught.value)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stored tensors, as of a bundle from before there were digests."""
    tensors = {
        name: (each["dtype"], list(each["shape"]), bytearray(each["data"]))
        for name, each in held(folder).items()
    }
    change(tensors)
    header, content = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        offsets = [len(content), len(content) + len(data)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        content += data
    head = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + content)
    manifest = json.loads((folder / "birnn.json").read_text())
    kept = {key: value for key, value in manifest.items() if key not in ("digests", "sha256")}
    (folder / "birnn.json").write_text(json.dumps(kept))


@pytest.fixture
def small(bundle: Bundle, tmp_path: Path) -> Path:
    save(quantised(bundle, "int8"), tmp_path / "small")
    return tmp_path / "small"


def test_tensors_in_any_order_are_read(bundle: Bundle, small: Path) -> None:
    rewritten(
        small,
        lambda tensors: [tensors.update({n: tensors.pop(n)}) for n in reversed(list(tensors))],
    )
    loaded, wanted = load(small), quantised(bundle, "int8")
    assert all(same(wanted.tensors[name], loaded.tensors[name]) for name in wanted.tensors)


def test_all_faults_of_low_tensors_are_named_at_once(small: Path) -> None:
    def break_all(tensors: dict[str, Any]) -> None:
        del tensors["encoder.weight_hh_l0.scales"]
        tensors["head.linear.bias.scales"] = ("F32", [3], bytearray(12))
        _, shape, data = tensors["encoder.weight_ih_l0"]
        tensors["encoder.weight_ih_l0"] = ("F32", shape, data * 4)
        tensors["head.linear.weight.scales"] = ("F32", [1, 3], bytearray(12))

    rewritten(small, break_all)
    message = refusal(small)
    for words in (
        "lacks tensor encoder.weight_hh_l0.scales (12,)",
        "has tensor that spec does not know: head.linear.bias.scales",
        "tensor encoder.weight_ih_l0 is float32, it must be int8",
        "tensor head.linear.weight.scales has shape (1, 3), spec says (3,)",
    ):
        assert words in message


@pytest.mark.parametrize(
    ("scale", "value", "words"),
    [
        (float("nan"), 1, "has 1 values that are NaN or infinite"),
        (float("inf"), 1, "has 1 values that are NaN or infinite"),
        (-1.0, 1, "has 1 values that are negative or denormal"),
        (1e-39, 1, "has 1 values that are negative or denormal"),
        (0.0, 1, "has 1 rows that are not 0, whose scale is 0"),
        (1.0, -128, "has 1 values of -128, the least is -127"),
    ],
)
def test_values_that_cannot_be(small: Path, scale: float, value: int, words: str) -> None:
    def put(tensors: dict[str, Any]) -> None:
        tensors["head.linear.weight.scales"][2][:4] = np.float32(scale).tobytes()
        tensors["head.linear.weight"][2][:1] = np.int8(value).tobytes()

    rewritten(small, put)
    assert f"{words}." in refusal(small)


def test_infinity_of_bfloat16_is_found(bundle: Bundle, tmp_path: Path) -> None:
    save(quantised(bundle, "bf16"), tmp_path / "small")

    def put(tensors: dict[str, Any]) -> None:
        tensors["head.linear.weight"][2][:2] = (0x7F80).to_bytes(2, "little")

    rewritten(tmp_path / "small", put)
    assert "head.linear.weight has 1 values that are NaN or infinite" in refusal(tmp_path / "small")


def test_a_spec_that_says_another_precision_than_the_file(small: Path) -> None:
    rewritten(small, lambda _: None)
    manifest = json.loads((small / "birnn.json").read_text())
    manifest["spec"]["precision"] = "bf16"
    (small / "birnn.json").write_text(json.dumps(manifest))
    assert "is int8, it must be bfloat16" in refusal(small)
    manifest["spec"]["precision"] = "int4"
    (small / "birnn.json").write_text(json.dumps(manifest))
    assert "spec.precision" in refusal(small)


# ------------------------------------------------------------------ what is refused


def test_an_older_birnn_says_to_upgrade_and_reads_what_it_can(
    bundle: Bundle, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(bundle, tmp_path / "full")
    monkeypatch.setattr(io, "FORMAT_VERSION", 1)  # of before there was low precision
    with pytest.raises(BundleError, match=r"version 2, this birnn reads up to 1\. Upgrade birnn"):
        load(small)
    assert load(tmp_path / "full").spec == bundle.spec


def test_what_cannot_be_quantised(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"is in bf16 already.*Quantise the float32 model"):
        quantised(quantised(bundle, "bf16"), "int8")
    with pytest.raises(UsageError, match="did you mean int8"):
        quantised(bundle, "int4")
    with pytest.raises(UsageError, match="float32 is what models are quantised from"):
        quantised(bundle, "float32")
    for value, precision, words in (
        (np.nan, "int8", "tensor encoder.weight_hh_l0 has 1 values that are NaN"),
        (np.inf, "bf16", "tensor encoder.weight_hh_l0 has 1 values that are NaN"),
        (3.4e38, "bf16", "cannot be quantised to bf16: tensor encoder.weight_hh_l0: row 0"),
    ):
        weight = np.array(bundle.tensors["encoder.weight_hh_l0"])
        weight[0, 0] = value
        broken = replace(bundle, tensors={**bundle.tensors, "encoder.weight_hh_l0": weight})
        with pytest.raises(BundleError) as caught:
            quantised(broken, precision)
        assert words in str(caught.value)


def test_precisions_that_are_asked_of_a_loaded_model(bundle: Bundle) -> None:
    told: list[str] = []
    ask = {"name": "models/pos", "tell": told.append}
    small = in_precision(bundle, "int8", **ask)
    assert small.spec.precision == "int8"
    assert in_precision(small, "int8", **ask) is small
    assert in_precision(small, None, **ask) is small
    assert told == ["models/pos: in int8, but float32 for the scores of the CRF"]
    assert in_precision(small, "float32", **ask).spec.precision == "float32"
    assert "weights are int8, dequantised" in told[1]
    with pytest.raises(BundleError, match="models/pos: is in int8, and bf16 is asked for"):
        in_precision(small, "bf16", **ask)


def test_readers_in_float32_are_told_once(bundle: Bundle) -> None:
    told: list[str] = []
    assert as_float32(bundle, tell=told.append) is bundle
    assert not told
    full = as_float32(quantised(bundle, "bf16"), tell=told.append)
    assert full.spec == bundle.spec
    assert len(told) == 1


# ------------------------------------------------------------------ the report


def large(outlier: float = 1.0) -> Bundle:
    spec = Spec(
        inputs=Symbols(size=300, dim=64), encoder=Encoder(hidden_size=64), head=Tags(size=9)
    )
    random = np.random.default_rng(0)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in spec.tensors().items()
    }
    tensors["encoder.weight_hh_l0"][7, 3] *= outlier
    tensors["head.linear.weight"][4] = 0
    symbols = ("<unk>", *map(str, range(299)))
    return Bundle(spec, {"symbols": symbols, "labels": tuple("abcdefghi")}, tensors)


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.3), ("bf16", 0.55)])
def test_sizes(tmp_path: Path, precision: str, most: float) -> None:
    before = large()
    after = quantised(before, precision)
    report = quantising_report(before, after)
    assert report.bytes_after < most * report.bytes_before
    for bundle, size in ((before, report.bytes_before), (after, report.bytes_after)):
        save(bundle, tmp_path / "model")
        assert sum(len(each["data"]) for each in held(tmp_path / "model").values()) == size
    changed = sum(part.bytes_after for part in report.parts)
    assert changed + sum(each.bytes for each in report.kept) == report.bytes_after
    assert [part.name for part in report.parts] == ["inputs.symbols", "encoder", "head.linear"]
    # Row by row: rounding errors are at most half a step, of the row's largest value.
    for part in report.parts:
        assert 0 < part.error < (64**0.5 / 254 if precision == "int8" else 2.0**-8)


def test_outliers_of_int8_are_told() -> None:
    plain, spoilt = large(), large(outlier=1e30)
    assert not quantising_report(plain, quantised(plain, "int8")).outliers
    assert not quantising_report(spoilt, quantised(spoilt, "bf16")).outliers
    [found] = quantising_report(spoilt, quantised(spoilt, "int8")).outliers
    assert (found.tensor, found.rows, found.of) == ("encoder.weight_hh_l0", 1, 256)
    assert found.worst > OUTLIER
    told: list[str] = []
    for precision in ("int8", "bf16"):
        in_precision(spoilt, precision, name="it", tell=told.append)
        in_precision(plain, precision, name="it", tell=told.append)
    assert told == [f"it: {found.notice}"]
    # All of that row but its largest value is lost.
    assert (
        np.count_nonzero(quantised(spoilt, "int8").tensors["encoder.weight_hh_l0"].values[7]) == 1
    )


def test_kinds_of_matrices() -> None:
    kinds = {"int8": Int8Matrix, "bf16": Bf16Matrix}
    for precision, kind in kinds.items():
        tensors = quantised(large(), precision).tensors
        assert isinstance(tensors["inputs.symbols.weight"], kind)
        assert isinstance(tensors["head.linear.bias"], np.ndarray)
