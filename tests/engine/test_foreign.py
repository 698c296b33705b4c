"""Arrays of a library that the compiled module knows by DLPack's table alone."""

from __future__ import annotations

import numpy as np
import pytest
from foreign_arrays import CUDA, Capsuled, Foreign

from birnn.engine import isa


def product(x, weight, bias=None):
    """The linear layer of the compiled module, on arrays as they are."""
    native = isa.native_module()
    packed = np.empty(native.linear_bytes(3, 5, False), np.uint8)
    native.linear_pack(weight, packed)
    y = np.zeros((4, 5), np.float32)
    native.linear(x, packed, bias, Foreign(y), 1)
    return y


COATS = pytest.mark.parametrize("coat", [Foreign, Capsuled])


@COATS
@pytest.mark.parametrize("offset", [0, 8])
@pytest.mark.parametrize(("every", "strides"), [(1, True), (1, False), (2, True), (-1, True)])
def test_arrays_of_a_foreign_library_are_read_where_they_stand(
    engine, coat, offset, every, strides
):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((4, 3), (5, 3), (5,)))
    expected = product(x, weight, bias)
    np.testing.assert_allclose(expected, x @ weight.T + bias, rtol=1e-5, atol=1e-6)
    scattered = np.full((abs(every) * 4, 3), np.nan, np.float32)[::every][:4]
    scattered[...] = x
    coats = [coat(part, offset=offset, strides=strides) for part in (scattered, weight, bias)]
    assert np.array_equal(product(*coats), expected)


LIES = (
    *({"lanes": 2}, {"lanes": 0}, {"bits": 4}, {"bits": 12}, {"device_type": CUDA}, {"data": None}),
    {"fails": True},
)


@COATS
@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_foreign_library_s_lies_are_refused(engine, coat, lie):
    x, weight = np.ones((4, 3), np.float32), np.ones((5, 3), np.float32)
    with pytest.raises(TypeError, match="incompatible"):
        product(coat(x, **lie), weight)
    with pytest.raises(TypeError, match="incompatible"):
        product(x, coat(weight, **lie))


@COATS
@pytest.mark.parametrize("lie", [{"code": 0}, {"code": 4}, {"bits": 16}, {"bits": 64}], ids=str)
def test_a_foreign_library_s_other_dtypes_are_named(engine, coat, lie):
    x, weight = np.ones((4, 3), np.float32), np.ones((5, 3), np.float32)
    with pytest.raises(ValueError, match=r"float32|float64|dtype"):
        product(coat(x, **lie), weight)


def test_integers_without_numbers_are_refused(engine):
    native, two = isa.native_module(), np.array([0, 1])
    nowhere = Capsuled(two, data=None)
    for arrays in ([nowhere, two, two], [two, nowhere, two], [two, two, nowhere]):
        with pytest.raises(ValueError, match="no numbers"):
            native.Plan(*arrays, 3)
    assert native.Plan(*[Capsuled(two)] * 3, 3).places == 1
