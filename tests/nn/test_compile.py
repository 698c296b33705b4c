"""Layers in graphs: torch.compile without a break, torch.export, and traces."""

# B sequences, T steps, D inputs, H hidden units

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from birnn.errors import LengthError
from birnn.nn import GRU, LSTM, RNN, BiRNN, State
from grids import sampled

# torch's own code, where it makes and runs graphs.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*lru_cache:UserWarning"),
]

SHAPES = [(3, 5), (4, 7), (2, 6)]
STACKS = {
    "plain": {},
    "sums": {"cell": "gru", "merge": "sum", "num_layers": 2, "residual": True},
    "projects": {"merge": "project", "num_layers": 2},
    "checkpoint": {"num_layers": 2, "checkpoint": True},
    "mixed": {
        "cell": "gru",
        "merge": "project",
        "merge_size": 3,
        "num_layers": 3,
        "directions": ("both", "forward", "both"),
    },
    "one direction": {"cell": "rnn_relu", "bidirectional": False},
}
MODULES = {
    "lstm": (LSTM, {"bidirectional": True, "batch_first": True}),
    "gru": (GRU, {"num_layers": 2, "dropout": 0.5}),
    "rnn": (RNN, {"bias": False, "bidirectional": True}),
}


@pytest.fixture(autouse=True)
def afresh():
    """No graph of another test; and those of torch's RNN classes, which Dynamo leaves out."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        yield


def batch(sequences, steps, seed=0):
    """A padded batch with garbage in its padding, and lengths from 0 to all."""
    draw = torch.Generator().manual_seed(seed + 100 * sequences + steps)
    lengths = torch.randint(0, steps + 1, (sequences,), generator=draw)
    lengths[0] = steps
    x = torch.randn(sequences, steps, 4, generator=draw)
    x[torch.arange(steps) >= lengths.unsqueeze(1)] = float("nan")
    return x, lengths


def tensors(answer):
    """All tensors of an answer, whatever it is made of."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    if answer is None:
        return []
    if dataclasses.is_dataclass(answer):
        answer = [getattr(answer, field.name) for field in dataclasses.fields(answer)]
    return [tensor for part in answer for tensor in tensors(part)]


def agree(found, expected):
    for one, other in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(one, other)


def gradients(answer, module):
    loss = sum(part.sin().sum() for part in tensors(answer))
    return torch.autograd.grad(loss, list(module.parameters()))


def stack(name):
    return BiRNN(**({"cell": "lstm", "input_size": 4, "hidden_size": 4} | STACKS[name])).eval()


@pytest.mark.parametrize(
    ("engine", "name"),
    sampled([*(("native", name) for name in STACKS), ("torch", "sums")], [("native", "mixed")]),
)
def test_a_stack_compiles_as_one_graph(on_engine, engine, name):
    encoder = stack(name)
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    with on_engine(engine):
        for shape in SHAPES:
            x, lengths = batch(*shape)
            found, expected = compiled(x, lengths), encoder(x, lengths)
            agree(found, expected)
            agree(gradients(found, encoder), gradients(expected, encoder))
        with torch.no_grad():
            agree(compiled(x, lengths), expected)
        agree(compiled(torch.ones(2, 3, 4)), encoder(torch.ones(2, 3, 4)))


def test_initial_states_and_dropout_are_parts_of_the_graph():
    encoder = BiRNN("lstm", 4, 4, num_layers=2, dropout=0.5)
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    x, lengths = batch(3, 5)
    initial = State(torch.rand(4, 3, 4), torch.rand(4, 3, 4))
    trained = [compiled(x, lengths, initial=initial).output for _ in range(2)]
    assert not torch.equal(*trained)
    encoder.eval()
    agree(compiled(x, lengths, initial=initial), encoder(x, lengths, initial=initial))


def test_one_graph_serves_every_batch_of_a_shape():
    graphs = []

    def counting(graph, _):
        graphs.append(graph)
        return graph

    compiled = torch.compile(stack("plain"), fullgraph=True, backend=counting)
    x, _ = batch(3, 5)
    for lengths in ([5, 0, 1], [2, 2, 2], [0, 0, 0], [5, 5, 5]):
        compiled(x, torch.tensor(lengths))
    assert len(graphs) == 1
    for shape in (*SHAPES, (5, 5), (6, 9)):
        compiled(*batch(*shape))
    assert len(graphs) <= 2  # the second for batches of any shape


@pytest.mark.parametrize(
    ("engine", "kind"),
    sampled([*(("native", kind) for kind in MODULES), ("torch", "gru")], [("native", "lstm")]),
)
def test_torchs_classes_compile_with_lengths(on_engine, engine, kind):
    cls, options = MODULES[kind]
    module = cls(4, 4, **options).eval()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    with on_engine(engine):
        for shape in SHAPES[:2]:
            x, lengths = batch(*shape)
            x = x if module.batch_first else x.transpose(0, 1).contiguous()
            found, expected = compiled(x, lengths=lengths), module(x, lengths=lengths)
            agree(found, expected)
            agree(gradients(found, module), gradients(expected, module))
        agree(compiled(x, lengths=lengths.tolist()), expected)
        x = torch.ones(3, 3, 4)
        agree(compiled(x), module(x))
        agree(compiled(x[0]), module(x[0]))


def test_what_torch_runs_is_a_part_of_the_graph():
    module = LSTM(4, 4, dtype=torch.bfloat16)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = torch.randn(5, 2, 4, dtype=torch.bfloat16)
    with torch.no_grad():  # torch's own in bfloat16 does not train in a graph
        agree(compiled(x), module(x))
        agree(compiled(x[:, 0]), module(x[:, 0]))


def test_autocast_is_a_part_of_the_graph():
    module = LSTM(4, 4)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x, lengths = torch.randn(5, 3, 4), torch.tensor([5, 0, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = compiled(x, lengths=lengths), module(x, lengths=lengths)
    assert found[0].dtype == torch.bfloat16
    agree(found, expected)


def test_lengths_that_do_not_fit_are_refused_when_the_graph_runs():
    compiled = torch.compile(LSTM(4, 4), fullgraph=True, backend="aot_eager")
    with pytest.raises(LengthError, match=r"lengths\[1\] is 9, x has 5 steps"):
        compiled(torch.randn(5, 2, 4), lengths=torch.tensor([5, 9]))


def test_dynamo_says_how_torchs_classes_are_let_in():
    with torch._dynamo.config.patch(allow_rnn=False):
        compiled = torch.compile(LSTM(4, 4), fullgraph=True, backend="aot_eager")
        with pytest.raises(torch._dynamo.exc.Unsupported, match=r"config\.allow_rnn=True"):
            compiled(torch.randn(5, 2, 4))
        # Without fullgraph the layer runs between graphs.
        compiled = torch.compile(LSTM(4, 4), backend="aot_eager")
        assert compiled(torch.randn(5, 2, 4))[0].shape == (5, 2, 4)


@pytest.mark.slow
def test_inductor_trains_a_tagger():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = BiRNN("lstm", 4, 6, num_layers=2)
            self.head = nn.Linear(12, 3)

        def forward(self, x, lengths):
            return self.head(self.encoder(x, lengths).output).log_softmax(-1)

    tagger = Tagger()
    compiled = torch.compile(tagger, fullgraph=True)
    for shape in SHAPES:
        x, lengths = batch(*shape)
        found, expected = compiled(x, lengths), tagger(x, lengths)
        agree(found, expected)
        agree(gradients(found, tagger), gradients(expected, tagger))


class WithLengths(nn.Module):
    """A module called with x and lengths by position, as tracers call it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, lengths):
        if isinstance(self.module, BiRNN):
            found = self.module(x, lengths)
            return found.output, found.final
        return self.module(x, lengths=lengths)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("make", [lambda: stack("projects"), lambda: LSTM(4, 4, batch_first=True)])
def test_exported_programs_take_any_batch(strict, make):
    model = WithLengths(make())
    sizes = torch.export.Dim("sequences"), torch.export.Dim("steps")
    shapes = ({0: sizes[0], 1: sizes[1]}, {0: sizes[0]})
    program = torch.export.export(model, batch(3, 5), dynamic_shapes=shapes, strict=strict)
    called = {str(node.target) for node in program.graph.nodes if "birnn" in str(node.target)}
    assert called == {"birnn.recurrent.default"}  # training and inference by one program
    for shape in SHAPES:
        x, lengths = batch(*shape)
        found, expected = program.module()(x, lengths), model(x, lengths)
        agree(found, expected)
        loss = sum(part.sin().sum() for part in tensors(found))
        loss.backward()


@pytest.mark.parametrize("make", [lambda: stack("sums"), lambda: LSTM(4, 4, batch_first=True)])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traces_hold_the_operator(make):
    model = WithLengths(make())
    x, lengths = batch(3, 5)
    traced = torch.jit.trace(model, (x, lengths), check_trace=False)
    assert "birnn::recurrent" in str(traced.inlined_graph)
    lengths = torch.tensor([1, 5, 0])
    agree(traced(torch.ones(3, 5, 4), lengths), model(torch.ones(3, 5, 4), lengths))
