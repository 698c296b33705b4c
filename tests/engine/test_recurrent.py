"""One layer on every compiled engine: forward and backward, held to the reference."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.engine.packed_weights import InputProducts, input_products, pack
from birnn.errors import EngineError, ShapeError
from birnn.reference import GATES
from grids import sampled

CELLS = sorted(GATES)
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}

# Around the widths of vectors (2 to 16 units) and of panels (4 vectors).
WIDTHS = [1, 15, 16, 17, 63, 64, 65]


@given(data=st.data())
def test_all_answers_are_the_reference_s(engine, layers, data):
    layer = data.draw(layers())
    layer.agree(layer.run(), layer.expected())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("width", WIDTHS)
def test_widths_around_those_of_vectors_and_tiles(engine, draw_layer, cell, width):
    # Row counts of the steps from 14 down to 1: tiles of every height.
    lengths = np.arange(15)
    for dtype in ("float32", "float64"):
        for inputs, hidden in ((width, 5), (5, width)):
            layer = draw_layer(cell, lengths, inputs=inputs, hidden=hidden, dtype=dtype)
            layer.agree(layer.run(), layer.expected())


@pytest.mark.parametrize("cell", CELLS)
def test_long_sequences(engine, draw_layer, cell):
    layer = draw_layer(cell, [700, 3, 411], hidden=6)
    layer.agree(layer.run(), layer.expected())


@pytest.mark.parametrize("cell", CELLS)
def test_more_sequences_than_one_block_holds(engine, draw_layer, cell):
    lengths = np.random.default_rng(3).integers(0, 4, 300)
    layer = draw_layer(cell, lengths, hidden=3)
    layer.agree(layer.run(), layer.expected())


@given(data=st.data())
def test_gradients_are_the_central_differences(engine, layers, data):
    # A rectifier has a kink, which differences cannot see.
    cell = data.draw(st.sampled_from(["rnn_tanh", "lstm", "gru"]))
    layer = data.draw(layers(cell=cell, dtype="float64", initial=True))
    rng = np.random.default_rng(0)
    found = layer.run()
    for name, inner in _inputs(layer).items():
        along = rng.standard_normal(inner.shape)
        ahead, behind = (_loss(_moved(layer, name, step * along)) for step in (1e-5, -1e-5))
        slope = float((found[f"d_{name}"] * along).sum())
        assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-6), name


@given(data=st.data())
def test_what_is_kept_changes_no_gradient(engine, layers, same_bits, data):
    layer = data.draw(layers())
    for keep in ("states", "everything"):
        same_bits(layer.run(keep=keep), layer.run(keep="gates"))


@given(data=st.data())
def test_keeping_changes_no_answer(engine, layers, same_bits, data):
    layer = data.draw(layers())
    kept, not_kept = layer.forward(keep="gates"), layer.forward()
    assert not_kept.saved is None
    same_bits(kept.output, not_kept.output)
    for part, other in zip(kept.final, not_kept.final, strict=True):
        same_bits(part, other)


@given(data=st.data(), keep=st.sampled_from(["gates", "states", "everything"]))
def test_rows_give_the_same_bits_wherever_they_stand(engine, layers, same_bits, data, keep):
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    lengths = np.array(sorted(lengths, reverse=True))
    layer = data.draw(layers(lengths=st.just(lengths)))
    steps = int(lengths[0]) + data.draw(st.integers(0, 2))
    running = (lengths[None, :] > np.arange(lengths[0])[:, None]).sum(axis=1)
    layouts = {
        "batch first": RowLayout.padded(lengths, steps=steps),
        "time first": RowLayout.padded(lengths, steps=steps, batch_first=False),
    }
    if lengths[-1] > 0:
        starts = np.cumsum(running) - running
        layouts["packed"] = RowLayout(lengths, np.arange(len(lengths)), starts, int(running.sum()))
    expected = layer.run(keep=keep)
    for layout in layouts.values():
        moved = layer.place(layout)
        found = moved.run(keep=keep)
        padding = np.setdiff1d(np.arange(layout.rows), moved.rows)
        for name in ("output", "d_x"):
            assert not found[name][padding].any()
            found[name] = found[name][moved.rows]
        same_bits(found, expected)


def strided(array):
    """The same numbers, others in between."""
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def unaligned(array):
    """The same numbers at an odd address, as arrays that are cut out of a file may stand."""
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    moved = memory.view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.parametrize("move", [strided, unaligned])
@given(data=st.data())
def test_memory_of_another_form_changes_nothing(engine, layers, same_bits, data, move):
    layer = data.draw(layers())

    def moved(part):
        return None if part is None else move(part)

    elsewhere = dataclasses.replace(
        layer,
        x=moved(layer.x),
        weights=[tuple(map(moved, one)) for one in layer.weights],
        initial=layer.initial and tuple(map(moved, layer.initial)),
        d_output=moved(layer.d_output),
        d_final=tuple(map(moved, layer.d_final)),
    )
    same_bits(elsewhere.run(), layer.run())


@pytest.mark.parametrize("keep", ["gates", "states", "everything"])
@given(data=st.data())
def test_no_initial_state_is_one_of_zeros(engine, layers, same_bits, data, keep):
    layer = data.draw(layers())
    shape = (layer.directions, len(layer.layout.lengths), layer.hidden)
    zeros = tuple(np.zeros(shape, layer.x.dtype) for _ in range(2 if layer.cell == "lstm" else 1))
    none = dataclasses.replace(layer, initial=None).run(keep=keep)
    same_bits(none, dataclasses.replace(layer, initial=zeros).run(keep=keep))


@given(data=st.data())
def test_gradients_that_are_not_given_are_zeros(engine, layers, same_bits, data):
    layer = data.draw(layers())
    none = dataclasses.replace(layer, d_output=None, d_final=(None,) * len(layer.d_final))
    zeros = dataclasses.replace(
        layer,
        d_output=np.zeros_like(layer.d_output),
        d_final=tuple(map(np.zeros_like, layer.d_final)),
    )
    layer.agree(none.run(), zeros.run())
    layer.agree(none.run(), none.expected())


@given(data=st.data())
def test_gradients_that_are_not_wanted_are_left_out(engine, layers, same_bits, data):
    layer = data.draw(layers())
    whole = layer.run()
    for wants, left_out in (
        ({"wants_x": False}, "d_x"),
        ({"wants_weights": False}, ("d_weight", "d_bias")),
        ({"wants_initial": False}, ("d_h_0", "d_c_0")),
    ):
        rest = {name: part for name, part in whole.items() if not name.startswith(left_out)}
        same_bits(layer.run(**wants), rest)


@given(data=st.data())
def test_packed_weights_give_the_same_bits(engine, layers, same_bits, data):
    layer = data.draw(layers())
    packed = pack(layer.cell, layer.weights)
    assert packed.engine == engine
    found = recurrent.forward_packed(packed, layer.x, layer.layout, layer.initial)
    same_bits(found.output, layer.forward().output)


@given(data=st.data())
def test_rows_by_number_are_the_rows_written_out(engine, layers, same_bits, data):
    layer = data.draw(layers())
    entries = data.draw(st.integers(1, 5))
    table = np.random.default_rng(0).standard_normal((entries, layer.x.shape[1]))
    table = table.astype(layer.dtype)
    rows = st.lists(
        st.integers(0, entries - 1), min_size=layer.layout.rows, max_size=layer.layout.rows
    )
    numbers = np.array(data.draw(rows), np.int64)
    found = dataclasses.replace(layer, x=table).forward_by_number(numbers)
    expected = dataclasses.replace(layer, x=table[numbers]).forward()
    same_bits(found.output, expected.output)
    for part, other in zip(found.final, expected.final, strict=True):
        same_bits(part, other)


@pytest.mark.parametrize("number", [-1, 5, 2**40])
def test_numbers_of_no_row_are_refused(engine, draw_layer, number):
    layer = draw_layer("gru", [2, 3])
    with pytest.raises(ValueError, match=rf"numbers\[3\] is {number}, there are 5 rows"):
        layer.forward_by_number(np.array([0, 4, 0, number, 0]))


@given(data=st.data(), cut=st.integers(0, 5))
def test_a_product_has_the_same_bits_beside_any_others(engine, layers, same_bits, data, cut):
    layer = data.draw(layers())
    packed = pack(layer.cell, layer.weights)
    rows = np.random.default_rng(0).standard_normal((5, layer.x.shape[1])).astype(layer.dtype)

    def products(x, threads):
        return input_products(packed, x, threads=threads)

    parts = [products(rows[:cut], 1), products(rows[cut:], 2)]
    numbers = np.arange(layer.layout.rows) % 5
    kept = InputProducts(engine, np.concatenate([part.values for part in parts]))
    found = recurrent.forward_packed(packed, kept, layer.layout, layer.initial, numbers=numbers)
    same_bits(found.output, dataclasses.replace(layer, x=rows[numbers]).forward().output)


def test_products_of_another_layer_are_refused(engine, draw_layer):
    layer = draw_layer("lstm", [2, 3])
    packed = pack(layer.cell, layer.weights)
    products, numbers = input_products(packed, layer.x), np.arange(5)

    def run(given, **options):
        return recurrent.forward_packed(packed, given, layer.layout, **options)

    for values, told in (
        (products.values[:, :-1], "x has shape"),
        (products.values.astype("f4" if layer.dtype == "float64" else "f8"), "the products are"),
    ):
        with pytest.raises(ValueError, match=told):
            run(InputProducts(engine, values), numbers=numbers)
    with pytest.raises(EngineError, match=f"of other, the weights are packed for {engine}"):
        run(InputProducts("other", products.values), numbers=numbers)
    with pytest.raises(ShapeError, match="come with the number of each row's"):
        run(products)
    with pytest.raises(ShapeError, match="numbers are those of input products"):
        run(layer.x, numbers=numbers)
    with pytest.raises(ShapeError, match="x has 4 rows, the layout has 5"):
        run(products, numbers=numbers[:4])
    for rows in (layer.x[0], layer.x[:, :-1], layer.x.astype("f2")):
        with pytest.raises(ShapeError, match=r"x is .* it must be"):
            input_products(packed, rows)
        with pytest.raises(ShapeError, match=r"x is .* it must be"):
            run(rows)
    with pytest.raises(ShapeError, match="lstm has 2 initial states, got 1"):
        run(layer.x, initial=layer.initial[:1])
    with pytest.raises(ShapeError, match=r"initial h is .*; initial c is"):
        run(layer.x, initial=tuple(state[:, :1] for state in layer.initial))


def test_what_stands_behind_a_product_is_not_read(engine, draw_layer, same_bits):
    layer = draw_layer("gru", [2, 3])
    packed = pack(layer.cell, layer.weights)
    values = input_products(packed, layer.x).values
    wider = np.concatenate([values, np.full((5, 3), np.nan, values.dtype)], axis=1)
    given = InputProducts(engine, wider)
    found = recurrent.forward_packed(
        packed, given, layer.layout, layer.initial, numbers=np.arange(5)
    )
    same_bits(found.output, layer.forward().output)


@given(data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_stays_in_its_sequence(engine, layers, same_bits, data, value):
    layer = data.draw(layers(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6)))
    at = data.draw(st.integers(0, layer.x.shape[0] - 1))
    sequence = np.repeat(np.arange(len(layer.layout.lengths)), layer.layout.lengths)
    x = layer.x.copy()
    x[at] = value
    clean, found = layer.run(), dataclasses.replace(layer, x=x).run()
    others, rest = sequence != sequence[at], np.arange(sequence.max() + 1) != sequence[at]
    for name in ("output", "d_x"):
        same_bits(found[name][others], clean[name][others], name)
    for name in ("h_n", "c_n", "d_h_0", "d_c_0"):
        if name in found:
            same_bits(found[name][:, rest], clean[name][:, rest], name)
    if np.isnan(value):
        assert np.isnan(found["output"][at]).all()


@given(data=st.data(), value=st.sampled_from([np.inf, -np.inf]))
def test_infinite_input_saturates_as_in_the_reference(engine, layers, data, value):
    # Units that only fill up a vector meet inf * 0: what becomes of them must not be seen.
    cell = data.draw(st.sampled_from(["rnn_tanh", "lstm", "gru"]))
    lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)
    layer = data.draw(layers(lengths=lengths, cell=cell, dtype="float64"))
    layer.x[data.draw(st.integers(0, layer.x.shape[0] - 1)), 0] = value
    found, expected = layer.run(), layer.expected()
    # There alone it is multiplied by slopes that have fallen to 0.
    seen = [name for name in expected if not name.startswith("d_weight_ih")]
    layer.agree({name: found[name] for name in seen}, {name: expected[name] for name in seen})


# One number of a batch, in its input or a state; beyond 89 a float32 gate is 0 or 1 exactly.
EXTREMES = [np.inf, -np.inf, 3e38, -3e38, 1e30, -1e30, np.nan]


@pytest.mark.parametrize("dtype", sampled(["float32", "float64"], ["float32"]))
@pytest.mark.parametrize("value", EXTREMES)
@pytest.mark.parametrize(("cell", "where"), [*itertools.product(CELLS, ["x", "h"]), ("lstm", "c")])
def test_extreme_numbers_have_the_reference_s_answers(
    engine, draw_layer, same_bits, cell, where, value, dtype
):
    for hidden, seed in itertools.product((3, 8, 33), range(3)):
        layer = draw_layer(cell, [3, 2, 4], inputs=5, hidden=hidden, dtype=dtype, seed=seed)
        clean = layer.forward()
        if where == "x":
            layer.x[3, 1] = value  # the first row of the second sequence
        else:
            layer.initial["hc".index(where)][:, 1, hidden // 2] = value
        found = layer.forward()
        with np.errstate(invalid="ignore", over="ignore"):
            expected = layer.expected()
        same_bits(np.delete(found.output, [3, 4], 0), np.delete(clean.output, [3, 4], 0))
        for name, part in zip(("output", "h_n", "c_n"), (found.output, *found.final), strict=False):
            # A rectifier's rows are all as large; no other cell's small number may be off by much.
            largest = np.abs(expected[name][np.isfinite(expected[name])]).max()
            near = TOLERANCES[dtype] * (largest if cell == "rnn_relu" else 1)
            np.testing.assert_allclose(part, expected[name], TOLERANCES[dtype], near, err_msg=name)


def test_a_gate_that_is_nearly_shut_lets_its_share_of_a_large_state_through(engine):
    # c' = sigmoid(x) c + sigmoid(0) tanh(0): the forget gate alone has a weight.
    x = np.linspace(-100, 100, 401, dtype=np.float32)[:, None]
    weight_ih = np.array([[0], [1], [0], [0]], np.float32)
    weights = [(weight_ih, np.zeros((4, 1), np.float32), None, None)]
    h, c = np.zeros((1, 401, 1), np.float32), np.full((1, 401, 1), 1e30, np.float32)
    found = recurrent.forward("lstm", x, RowLayout.ragged(np.ones(401, np.int64)), weights, (h, c))
    shares = [1 / (1 + math.exp(-value)) for value in x[:, 0].tolist()]
    # Below 1e-38 a float32 has fewer digits, or is 0.
    np.testing.assert_allclose(found.final[1].ravel(), 1e30 * np.array(shares), 1e-5, 2e-8)
    assert found.final[1].ravel()[0] == 0


def test_an_empty_sequence_ends_in_its_initial_state(engine, draw_layer, same_bits):
    for cell in CELLS:
        layer = draw_layer(cell, [0, 2, 0])
        found = layer.run()
        empty = [0, 2]
        for name, initial in zip(("h_n", "c_n"), layer.initial, strict=False):
            same_bits(found[name][:, empty], initial[:, empty])
        for name, d_final in zip(("d_h_0", "d_c_0"), layer.d_final, strict=False):
            same_bits(found[name][:, empty], d_final[:, empty])


@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_a_batch_without_rows(engine, draw_layer, lengths):
    for cell in CELLS:
        layer = draw_layer(cell, lengths)
        layer.agree(layer.run(), layer.expected())


@pytest.mark.parametrize("keep", ["gates", "states", "everything"])
def test_saved_size_is_what_forward_keeps(engine, draw_layer, keep):
    for cell in CELLS:
        layer = draw_layer(cell, [3, 0, 5], hidden=5, dtype="float32")
        size = recurrent.saved_size(cell, 8, 5, 2, keep, wide=layer.dtype == "float64")
        assert layer.forward(keep=keep).saved.shape == (size,)


def test_more_rows_than_can_be_counted_are_refused(engine):
    with pytest.raises(ValueError, match="there cannot be 4611686018427387904 rows"):
        recurrent.saved_size("lstm", 2**62, 5, 1, "gates", wide=False)


def test_everything_that_does_not_fit_is_named_at_once(engine, draw_layer):
    layer = draw_layer("lstm", [2, 1])
    w_ih, w_hh, b_ih, b_hh = layer.weights[1]
    wrong = [layer.weights[0], (w_ih[:-1], w_hh, b_ih.astype(np.float32), b_hh)]
    with pytest.raises(ShapeError) as caught:
        recurrent.forward(
            "lstm", layer.x, layer.layout, wrong, (layer.initial[0][:1], layer.initial[1])
        )
    message = str(caught.value)
    assert "weight_ih is (15, 3)" in message
    assert "bias_ih is (16,) of float32, it must be (16,) of float64" in message
    assert "initial h is (1, 2, 4) of float64, it must be (2, 2, 4)" in message


def test_rows_that_the_layout_does_not_have_are_refused(engine, draw_layer):
    layer = draw_layer("gru", [2, 1])
    with pytest.raises(ShapeError, match="x has 2 rows, the layout has 3"):
        dataclasses.replace(layer, x=layer.x[:2]).forward()
    whole = layer.layout
    layout = RowLayout(whole.lengths, whole.starts, whole.steps, 2)
    fewer = dataclasses.replace(layer, x=layer.x[:2], layout=layout)
    with pytest.raises(ValueError, match="leave the 2 rows"):
        fewer.forward()


def test_weights_packed_for_an_engine_that_is_not_here_are_refused(engine, draw_layer):
    layer = draw_layer("gru", [2])
    packed = dataclasses.replace(pack("gru", layer.weights), engine="abacus")
    with pytest.raises(ValueError, match="has no engine abacus"):
        recurrent.forward_packed(packed, layer.x, layer.layout)
    with pytest.raises(ValueError, match="has no engine abacus"):
        input_products(packed, layer.x)


def test_the_reference_has_no_such_kernel(forced, draw_layer):
    forced(isa.REFERENCE)
    with pytest.raises(EngineError, match="needs a compiled one"):
        draw_layer("gru", [2]).forward()


def _loss(layer):
    """What the gradients of `Layer.run` are those of."""
    forward = layer.forward()
    loss = (forward.output * layer.d_output).sum()
    return float(
        loss + sum((f * d).sum() for f, d in zip(forward.final, layer.d_final, strict=True))
    )


def _inputs(layer):
    """Everything that there is a gradient for, by its name."""
    named = {"x": layer.x} | dict(zip(("h_0", "c_0"), layer.initial, strict=False))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for direction, parts in enumerate(layer.weights):
        named |= {f"{n} {direction}": p for n, p in zip(names, parts, strict=True) if p is not None}
    return named


def _moved(layer, name, by):
    """The layer with ``by`` added to one of `_inputs`."""
    old = _inputs(layer)[name]

    def moved(part):
        return part + by if part is old else part

    return dataclasses.replace(
        layer,
        x=moved(layer.x),
        initial=tuple(map(moved, layer.initial)),
        weights=[tuple(map(moved, one)) for one in layer.weights],
    )
