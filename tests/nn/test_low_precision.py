"""`accelerate` in int8 and bfloat16: the engine's bits, one precision at a time, for inference."""

# B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import copy
import io
import os
import pickle
from unittest import mock

import numpy as np
import pytest
import torch
from test_changed_weights import NAMES, WAYS
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from birnn.engine import isa, recurrent
from birnn.engine.arrays import RowLayout
from birnn.errors import ConfigError, EngineError, ShapeError, UsageError
from birnn.nn import GRU, LSTM, RNN, AttentionDecoder, BiRNN, accelerate, decelerate
from birnn.nn.recurrent import cell_of, weights_of
from birnn.ragged import Ragged
from birnn.reference.low_precision import MATRICES

D, H = 5, 6
LENGTHS = [4, 1, 3]
LOW = ["int8", "bf16"]
KINDS = {
    "lstm": (nn.LSTM, {"bidirectional": True, "num_layers": 2}),
    "gru": (nn.GRU, {"bidirectional": True, "bias": False}),
    "rnn_tanh": (nn.RNN, {"num_layers": 2, "dropout": 0.5}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
}
OURS = {nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}

pytestmark = pytest.mark.usefixtures("native")


def layer_of(kind, **options):
    """A layer of torch for inference, with weights that none of its formats holds exactly."""
    own, settings = KINDS[kind]
    layer = own(D, H, **settings | options).eval()
    draw = torch.Generator().manual_seed(1)
    for parameter in layer.parameters():
        parameter.data.uniform_(-0.7, 0.7, generator=draw)
    return layer


def sequences():
    draw = torch.Generator().manual_seed(2)
    return [torch.randn(count, D, generator=draw) for count in LENGTHS]


def hidden_for(layer):
    """Initial states of a batch, as torch takes them."""
    draw = torch.Generator().manual_seed(4)
    shape = (layer.num_layers * (1 + layer.bidirectional), len(LENGTHS), H)
    parts = [torch.rand(shape, generator=draw) - 0.5 for _ in range(2)]
    return tuple(parts) if isinstance(layer, nn.LSTM) else parts[0]


def parts_of(states):
    return states if isinstance(states, tuple) else (states,)


def by_the_engine(layer, precision, rows, states):
    """What `birnn.engine.recurrent` gives for one sequence: rows, and final states by layer."""
    matrix, cell, x, ended, first = MATRICES[precision], cell_of(layer), rows.numpy(), [], 0
    for own in weights_of(layer):
        weights = []
        for one in own:
            w_ih, w_hh, *biases = (part.detach().numpy() for part in one)
            weights.append((matrix.of(w_ih), matrix.of(w_hh), *(biases or (None, None))))
        initial = tuple(part[first : first + len(own)].numpy().copy() for part in states) or None
        found = recurrent.forward(cell, x, RowLayout.ragged(np.array([len(x)])), weights, initial)
        x, first = found.output, first + len(own)
        ended.append(found.final)
    return torch.from_numpy(x), [
        torch.from_numpy(np.concatenate(p)) for p in zip(*ended, strict=True)
    ]


def called(layer, form, hx):
    """Output of each sequence and final states, of a batch in one of the forms."""
    batch_first, parts = layer.batch_first, sequences()
    padded = pad_sequence(parts, batch_first=batch_first, padding_value=float("nan"))
    if form == "lengths":
        output, final = layer(padded, hx, lengths=LENGTHS)
    else:
        packed = pack_padded_sequence(padded, LENGTHS, batch_first, enforce_sorted=False)
        output, final = layer(packed, hx)
        output, _ = pad_packed_sequence(output, batch_first)
    rows = output if batch_first else output.transpose(0, 1)
    assert not rows[1, 1:].any()
    return [own[:count] for own, count in zip(rows, LENGTHS, strict=True)], parts_of(final)


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("kind", KINDS)
def test_each_sequence_has_the_bits_of_the_engine_in_any_form(kind, precision):
    with torch.no_grad():
        for form, batch_first, given in (
            ("lengths", True, True),
            ("lengths", False, False),
            ("packed", True, False),
            ("packed", False, True),
        ):
            layer = layer_of(kind, batch_first=batch_first)
            hx = hidden_for(layer) if given else None
            states = [] if hx is None else parts_of(hx)
            assert accelerate(layer, precision).swapped == ("",)
            found, final = called(layer, form, hx)
            for at, rows in enumerate(sequences()):
                own = [part[:, at : at + 1] for part in states]
                expected, ended = by_the_engine(layer, precision, rows, own)
                assert torch.equal(found[at], expected)
                for one, other in zip(final, ended, strict=True):
                    assert torch.equal(one[:, at : at + 1], other)
                # Of one sequence, with no axis for the batch, and of one that is.
                alone = tuple(part[:, 0] for part in own) if isinstance(layer, nn.LSTM) else own
                alone = (alone if isinstance(alone, tuple) else own[0][:, 0]) if states else None
                output, end = layer(rows, alone)
                assert torch.equal(output, expected)
                assert torch.equal(parts_of(end)[0], ended[0][:, 0])
                full = rows.unsqueeze(0 if batch_first else 1)
                output, _ = layer(full, tuple(own) if len(own) == 2 else own[0] if own else None)
                assert torch.equal(output.flatten(0, 1), expected)


@pytest.mark.parametrize("precision", LOW)
def test_it_answers_nearly_as_before_and_exactly_so_when_undone(precision):
    layer = layer_of("lstm")
    x = torch.randn(4, 2, D)
    state = {name: part.clone() for name, part in layer.state_dict().items()}
    before = layer(x)[0]
    report = accelerate(layer, precision)
    assert str(report).startswith(
        f"1 recurrent layer put on birnn's engine ({isa.active(precision).name}) in {precision}\n"
    )
    assert repr(layer).endswith(f"bidirectional=True, precision={precision})")
    assert type(layer) is LSTM
    assert layer.state_dict().keys() == state.keys()
    assert all(torch.equal(part, state[name]) for name, part in layer.state_dict().items())
    error = (layer(x)[0] - before).abs().max()
    assert 1e-5 < error < 0.05
    assert decelerate(layer).swapped == ("",)
    assert type(layer) is nn.LSTM
    assert vars(layer).keys() == vars(layer_of("lstm")).keys()
    assert torch.equal(layer(x)[0], before)


def test_another_precision_takes_the_place_of_the_first():
    model = nn.ModuleList([layer_of("gru"), BiRNN("lstm", D, H)]).eval()
    x = torch.randn(4, 2, D)

    def answers():
        return [model[0](x)[0], model[1](x).output]

    found = {}
    for precision in ("float32", "int8", "bf16", "float32", "int8"):
        report = accelerate(model, precision)
        ours = {"1": "it is a birnn BiRNN already"} if not found else {}
        assert (report.swapped, report.skipped) == (("0", "1") if found else ("0",), ours)
        for one, other in zip(found.get(precision, answers()), answers(), strict=True):
            assert torch.equal(one, other)
        found[precision] = answers()
    assert not torch.equal(found["int8"][0], found["bf16"][0])
    assert accelerate(model, "int8").swapped == ("0", "1")
    assert decelerate(model).swapped == ("0", "1")
    assert torch.equal(model[1](x).output, found["float32"][1])
    assert decelerate(model).swapped == ()


@pytest.mark.parametrize("precision", LOW)
def test_copies_and_pickles_run_in_the_same_precision_on_weights_of_their_own(precision):
    layer = layer_of("gru")
    accelerate(layer, precision)
    x = torch.randn(4, 2, D)
    before = layer(x)[0]
    saved = io.BytesIO()
    torch.save(layer, saved)
    saved.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(saved, weights_only=False),
    ):
        assert torch.equal(other(x)[0], before)
        nn.init.constant_(other.weight_hh_l0, 0.25)
        assert not torch.equal(other(x)[0], before)
        assert torch.equal(layer(x)[0], before)
        with torch.no_grad():
            other.weight_hh_l0.copy_(layer.weight_hh_l0)
        assert torch.equal(other(x)[0], before)


UNSEEN = {"by_data", "by_numpy", "by_sharing"}
"""Ways that change numbers through ``data``, which torch does not count."""


@pytest.mark.parametrize("precision", LOW)
def test_changed_weights_are_made_anew(precision):
    x = torch.randn(4, 2, D)
    with torch.no_grad():
        for way, change in WAYS.items():
            if way == "by_swapped_tensors":  # torch's own layers do not take it
                continue
            module = layer_of("lstm", num_layers=1)
            accelerate(module, precision)
            before = module(x)[0]
            assert torch.equal(module(x)[0], before)
            with (
                torch.enable_grad(),
                mock.patch("test_changed_weights.called", lambda other: other(x)),
            ):
                change(module, NAMES[len(way) % 4])
            plain = layer_of("lstm", num_layers=1)
            for name, parameter in plain.named_parameters():
                parameter.copy_(getattr(module, name))
            accelerate(plain, precision)
            after = module(x)[0]
            if way in UNSEEN:
                accelerate(module, precision)
                after = module(x)[0]
            assert torch.equal(after, plain(x)[0]), way
            assert not torch.equal(after, before), way


def test_weights_of_inference_mode_are_made_in_each_call():
    with torch.inference_mode():
        layer = layer_of("gru")
        accelerate(layer, "int8")
        x = torch.randn(4, 2, D)
        before = layer(x)[0]
        layer.weight_ih_l0.mul_(2)
        assert not torch.equal(layer(x)[0], before)


@pytest.mark.parametrize("precision", LOW)
def test_no_steps_and_no_sequences(precision):
    for kind in KINDS:
        layer = layer_of(kind, batch_first=True)
        accelerate(layer, precision)
        hx = hidden_for(layer)
        with torch.no_grad():
            output, final = layer(torch.zeros(3, 0, D), hx, lengths=[0, 0, 0])
            assert output.shape[:2] == (3, 0)
            assert all(map(torch.equal, parts_of(final), parts_of(hx)))
            output, final = layer(torch.zeros(0, 4, D), lengths=[])
            assert output.shape[:2] == (0, 4)
            assert parts_of(final)[0].shape[1:] == (0, H)


# ---------------------------------------------------------------------- gradients


def test_gradients_are_refused_with_the_remedy():
    model = nn.Sequential(layer_of("lstm"))
    accelerate(model, "int8")
    x = torch.randn(4, 2, D)
    loss = model(x)[0].sum()
    refused = r"the layer '0' runs in int8, which has no gradients\. birnn\.decelerate\(model\)"
    with pytest.raises(UsageError, match=refused):
        loss.backward()
    assert all(p.grad is None for p in model.parameters())
    model.train()
    with pytest.raises(UsageError, match=r"for inference\. Call model\.eval\(\) first; to train"):
        model(x)
    decelerate(model)
    model(x)[0].sum().backward()


def test_a_gradient_of_the_rows_alone_is_refused_as_well():
    layer = layer_of("gru").requires_grad_(False)
    accelerate(layer, "bf16")
    x = torch.randn(4, 2, D, requires_grad=True)
    with pytest.raises(UsageError, match="the layer runs in bf16, which has no gradients"):
        layer(x)[0].sum().backward()


def test_a_frozen_encoder_below_a_head_that_is_trained():
    encoder, head = layer_of("gru").requires_grad_(False).train(), nn.Linear(2 * H, 2)
    accelerate(encoder, "int8")
    head(encoder(torch.randn(4, 2, D))[0]).sum().backward()
    assert head.weight.grad.abs().max() > 0


def test_dropout_between_layers_is_that_of_training_mode():
    layer = layer_of("rnn_tanh")
    accelerate(layer, "int8")
    x = torch.randn(4, 2, D)
    with torch.no_grad():
        assert torch.equal(layer(x)[0], layer(x)[0])
        layer.train()
        assert not torch.equal(layer(x)[0], layer(x)[0])


# ---------------------------------------------------------------------- where it does not run


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*lru_cache:UserWarning")
@torch.no_grad()
def test_in_a_compiled_model_it_runs_between_the_graphs():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.below = nn.Linear(D, D)
            self.layer = layer_of("lstm")
            self.encoder = BiRNN("gru", 2 * H, H)

        def forward(self, x):
            return self.encoder(self.layer(self.below(x))[0]).output

    torch._dynamo.reset()
    model, x = Both().eval(), torch.randn(4, 2, D)
    compiled = torch.compile(model, backend="eager")
    before = compiled(x)
    accelerate(model, "int8")
    assert torch.equal(compiled(x), model(x))
    assert not torch.equal(compiled(x), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*lru_cache:UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_graphs_and_transforms_are_refused_with_the_remedy():
    model, x = nn.Sequential(layer_of("lstm")), torch.randn(4, 2, D)
    accelerate(model, "int8")
    encoder = BiRNN("gru", D, H).eval()
    accelerate(encoder, "int8")
    torch._dynamo.reset()
    for tried in (
        lambda: torch.compile(encoder, backend="eager", fullgraph=True)(x),
        lambda: torch.export.export(model, (x,)),
        lambda: torch.jit.trace(model, x),
        lambda: torch.func.vmap(model)(x.unsqueeze(0)),
        lambda: torch.func.jvp(lambda x: model(x)[0], (x,), (x,)),
    ):
        with pytest.raises(Exception, match=r"in no graph .* birnn\.decelerate\(model\)"):
            tried()


def test_weights_that_are_lent_for_a_call_are_used_in_it_alone():
    layer, x = layer_of("gru"), torch.randn(4, 2, D)
    accelerate(layer, "int8")
    before = layer(x)[0]
    others = {name: part + 0.25 for name, part in layer.named_parameters()}
    assert not torch.allclose(torch.func.functional_call(layer, others, (x,))[0], before)
    assert torch.equal(layer(x)[0], before)


def test_another_dtype_after_it_is_refused_and_never_run_in_float32():
    x = torch.randn(4, 2, D)
    for dtype, what in (
        (torch.float64, r"made of weights of float32 on the CPU, got torch\.float64"),
        (torch.bfloat16, r"on rows of float32 on the CPU, got torch\.bfloat16 on cpu"),
    ):
        layer = layer_of("gru")
        accelerate(layer, "int8")
        layer.to(dtype)
        with pytest.raises(UsageError, match=what):
            layer(x.to(dtype))
        with pytest.raises(UsageError, match=r"birnn\.decelerate"):
            layer(x.to(dtype), lengths=[4, 2])
        layer.float()
        layer(x)
        with pytest.raises(ValueError, match="does not match weight dtype"):
            layer(x.double())
        with pytest.raises(RuntimeError, match="Expected hidden size"):
            layer(x, torch.zeros(2, 3, H))
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0"):
            layer(x[:0])


def test_under_autocast_it_answers_in_the_dtype_that_torch_does():
    for kind in ("lstm", "gru"):
        layer, x = layer_of(kind), torch.randn(4, 2, D)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            before = layer(x)[0]
            accelerate(layer, "int8")
            found = layer(x)[0]
        assert found.dtype is before.dtype
        with torch.no_grad():
            assert torch.equal(found, layer(x)[0].to(found.dtype))


def test_without_a_compiled_engine_it_is_refused():
    layer, ready = layer_of("gru"), layer_of("gru")
    accelerate(ready, "int8")
    with mock.patch.dict(os.environ, {isa.FORCE: isa.REFERENCE}):
        with pytest.raises(EngineError, match="needs a compiled one"):
            accelerate(layer, "int8")
        assert type(layer) is nn.GRU
        for lengths in (None, [4, 1]):
            with pytest.raises(EngineError, match="needs a compiled one"):
                ready(torch.randn(4, 2, D), lengths=lengths)
    ready(torch.randn(4, 2, D))


class OwnTensor(torch.Tensor):
    """Somebody's kind of tensor."""


def test_where_a_layer_has_no_such_precision_the_report_says_what_runs():
    pruned, own = layer_of("gru"), nn.GRU(D, H)
    own.bias_hh_l0 = nn.Parameter(own.bias_hh_l0.detach().as_subclass(OwnTensor))
    prune.random_unstructured(pruned, "weight_hh_l0", amount=0.5)
    model = nn.ModuleDict(
        {
            "wide": nn.LSTM(D, H).double(),
            "narrow": nn.GRU(D, H).half(),
            "elsewhere": nn.GRU(D, H, device="meta"),
            "pruned": pruned,
            "projected": nn.LSTM(D, H, proj_size=2),
            "own": own,
            "plain": nn.LSTM(D, H),
        }
    ).eval()
    x = torch.randn(4, 2, D)
    before = pruned(x)[0]
    report = accelerate(model, "int8")
    assert report.swapped == ("plain",)
    assert report.skipped == {"projected": "it has a projection, which torch runs"}
    assert report.otherwise == {
        "wide": "its weights are torch.float64, in which it runs: int8 is made of float32",
        "narrow": "its weights are torch.float16, which torch runs. float() makes them float32, of "
        "which int8 is made",
        "elsewhere": "its weights are on meta, where torch runs it",
        "pruned": "its weight_hh_l0 is made in each call, by pruning or a norm, and int8 once: it "
        "runs in float32. torch.nn.utils.prune.remove, or remove_weight_norm, makes it a weight "
        "again",
        "own": "its weights are of a class of their own, OwnTensor: it runs as with float32",
    }
    torch.testing.assert_close(pruned(x)[0], before)
    assert model["wide"](x.double())[0].dtype is torch.float64
    prune.remove(pruned, "weight_hh_l0")
    assert accelerate(model, "int8").swapped == ("pruned", "plain")


@pytest.mark.parametrize("precision", ["int4", "bfloat16", torch.bfloat16, torch.qint8, None, 8])
def test_another_precision_is_refused(precision):
    with pytest.raises(ConfigError, match=r"no precision .*: (did you mean (int8|bf16)\?|known: )"):
        accelerate(layer_of("gru"), precision)


@pytest.mark.parametrize("given", ["model/", None, object()])
def test_what_is_no_torch_model_is_refused_and_birnns_own_are_told_their_way(given):
    with pytest.raises(
        UsageError, match=r"got (str|NoneType|object)\. .*birnn\.load\(DIR, precision"
    ):
        accelerate(given, "int8")


# ---------------------------------------------------------------------- bad numbers


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_and_nothing_changes(precision, bad):
    model = nn.ModuleDict({"good": layer_of("gru"), "bad": layer_of("lstm")})
    with torch.no_grad():
        model["bad"].weight_hh_l1_reverse[3, 2] = bad
    where = r"bad\.weight_hh_l1_reverse cannot be {}: row 3 holds NaN"
    with pytest.raises(ShapeError, match=where.format(precision)):
        accelerate(model, precision)
    assert [type(layer) for layer in model.values()] == [nn.GRU, nn.LSTM]
    assert all("_low_precision" not in vars(layer) for layer in model.values())
    accelerate(model["good"], precision)
    nn.init.constant_(model["good"].weight_ih_l0, bad)
    with pytest.raises(ShapeError, match=f"weight_ih_l0 cannot be {precision}"):
        model["good"](torch.randn(4, 2, D))


@pytest.mark.parametrize("precision", LOW)
def test_a_row_that_is_no_number_or_huge_stays_in_its_sequence(precision):
    layer = layer_of("lstm", batch_first=True)
    accelerate(layer, precision)
    x = torch.randn(4, 3, D)
    with torch.no_grad():
        before = layer(x)[0]
        x[1, 1, 0], x[2, 0, 1] = float("nan"), 1e30
        after = layer(x)[0]
    assert torch.equal(after[[0, 3]], before[[0, 3]])
    assert after[1].isnan().all()  # both directions pass it, in two layers
    assert after[2].isfinite().all()


@pytest.mark.parametrize("precision", LOW)
def test_a_column_of_zeros_and_an_outlier_among_the_weights(precision):
    layer = layer_of("gru", bidirectional=False)
    with torch.no_grad():
        layer.weight_ih_l0[:, 1] = 0
        layer.weight_ih_l0[2, 0] = 1e30
    report = accelerate(layer, precision)
    spoilt = ["weight_ih_l0"] if precision == "int8" else []
    assert [each.tensor for each in report.outliers] == spoilt
    assert ("weight_ih_l0: 1 row has a value of more than" in str(report)) == bool(spoilt)
    assert not accelerate(nn.Sequential(layer_of("lstm")), precision).outliers
    x = torch.randn(4, 2, D)
    with torch.no_grad():
        found = layer(x)[0]
        assert found.isfinite().all()
        x[:, :, 1] = x[:, :, 1].clamp(-0.1, 0.1)
    for at in range(2):
        expected, _ = by_the_engine(layer, precision, x[:, at], [])
        with torch.no_grad():
            assert torch.equal(layer(x)[0][:, at], expected)


# ---------------------------------------------------------------------- birnn's own


@pytest.mark.parametrize("precision", LOW)
def test_a_birnn_has_the_bits_of_the_layer_of_torch(precision):
    own = layer_of("lstm", batch_first=True)
    encoder = BiRNN("lstm", D, H, num_layers=2).eval()
    encoder.load_state_dict(own.state_dict())
    for layer in (own, encoder):
        accelerate(layer, precision)
    assert f"precision={precision}" in repr(encoder)
    x = torch.randn(3, 4, D)
    with torch.no_grad():
        output, (h, c) = own(x, lengths=[4, 0, 2])
        found = encoder(x, lengths=[4, 0, 2])
    assert torch.equal(found.output, output)
    assert torch.equal(found.state.h, h)
    assert torch.equal(found.state.c, c)


def test_a_decoder_runs_in_it_too():
    decoder = AttentionDecoder(6, 4, H, D).eval()
    memory = Ragged(torch.randn(5, D), np.array([3, 2]))
    symbols = Ragged(torch.tensor([1, 2, 3, 1, 2]), np.array([3, 2]))
    with torch.no_grad():
        before = decoder(symbols, memory).values
        assert accelerate(decoder, "int8").swapped == ("decoder",)
        after = decoder(symbols, memory).values
    assert 0 < (after - before).abs().max() < 0.1
    with pytest.raises(UsageError, match="the layer 'decoder' runs in int8"):
        decoder.train()(symbols, memory)
