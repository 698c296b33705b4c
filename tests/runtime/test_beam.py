"""The search for targets against every target that there is, and against the search spelled out."""

# T symbols of a target, S steps of a source

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birnn.bundle import Bundle, Encoder, Spec, Symbols
from birnn.engine import isa
from birnn.engine.threads import num_threads
from birnn.errors import BundleError, ConfigError, DataError, UsageError
from birnn.runtime import Hypothesis, Predictor, Search, sequences
from birnn.runtime import beam as beam_search
from birnn.tasks import Tags, TargetSequence

Make = Callable[..., Bundle]
LONGEST = 3
LENGTHS = [3, 0, 1]


def spec_of(
    encoder: dict[str, Any] | None = None, size: int = 3, longest: Any = (LONGEST, 0.0), **head: Any
) -> Spec:
    """A tiny model; with 2 symbols and the end there are 15 targets of at most 3 symbols."""
    given: dict[str, Any] = {"size": size, "dim": 4, "hidden_size": 6, "attention_size": 3}
    return Spec(
        inputs=Symbols(size=6, dim=3),
        encoder=Encoder(**({"hidden_size": 3} | (encoder or {}))),
        head=TargetSequence(**(given | {"longest": longest} | head)),
    )


MODELS = {
    "lstm, general": spec_of(),
    "gru, additive, fed": spec_of(
        {"cell": "gru"}, cell="gru", attention="additive", input_feeding=True
    ),
    "rnn, dot, tied": spec_of({"cell": "rnn_tanh"}, cell="rnn_tanh", attention="dot", tied=True),
    "lstm, none, tied, fed": spec_of(attention="none", tied=True, input_feeding=True),
    "two layers, concat": spec_of({"num_layers": 2}, num_layers=2, bridge="concat"),
    "one layer of two, sum": spec_of({"num_layers": 2}, bridge="sum", hidden_size=3),
    "mean, gru of lstm": spec_of(cell="gru", bridge="mean", hidden_size=3, attention="additive"),
    "lstm of rnn, deeper": spec_of({"cell": "rnn_relu"}, num_layers=3),
    "no bridge, one direction": spec_of({"bidirectional": False}, bridge="none"),
}


def shown(found: list[list[Hypothesis]]) -> list[Any]:
    """Everything of hypotheses, to the bit."""
    return [
        [(each, None if each.attention is None else each.attention.tobytes()) for each in nbest]
        for nbest in found
    ]


def sequences_of(draw: Callable[..., Any], spec: Spec, lengths: list[int] = LENGTHS) -> list[Any]:
    return draw(spec, lengths)  # type: ignore[no-any-return]


# ------------------------------------------------------------------ against every target


@pytest.mark.parametrize("name", MODELS)
def test_a_beam_as_wide_as_the_tree_finds_what_an_exhaustive_search_finds(
    name: str, make: Make, draw: Callable[..., Any], slow: Callable[..., Any]
) -> None:
    spec = MODELS[name]
    bundle = make(spec)
    model, exact = Predictor(bundle), slow(bundle)
    every = [t for n in range(LONGEST + 1) for t in itertools.product("AB", repeat=n)]
    sources = sequences_of(draw, spec)
    known = [{t: exact.log_probabilities(source, t) for t in every} for source in sources]
    for penalty in (0.0, 0.6, 1.0):
        search = Search(beam=len(every) * 3, nbest=len(every), length_penalty=penalty)
        found = model.predict_nbest(sources, search=search, attention=True)
        for source, right, nbest in zip(sources, known, found, strict=True):
            score = {t: p.sum() / (len(t) + 1) ** penalty for t, p in right.items()}
            best = sorted(every, key=lambda t: -score[t])
            assert [hypothesis.symbols for hypothesis in nbest] == best
            for hypothesis in nbest:
                each = right[hypothesis.symbols]
                np.testing.assert_allclose(hypothesis.log_probabilities, each, atol=1e-4)
                assert hypothesis.log_probability == pytest.approx(each.sum(), abs=1e-4)
                assert hypothesis.score == pytest.approx(score[hypothesis.symbols], abs=1e-4)
                assert hypothesis.ended
                if spec.head.attention == "none":
                    assert hypothesis.attention is None
                else:
                    weights = hypothesis.attention
                    assert weights.shape == (len(hypothesis.symbols) + 1, len(source))
                    if source:
                        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        # The first n of the m best are the n best: stopping early loses none.
        for nbest in (1, 3):
            few = Search(beam=search.beam, nbest=nbest, length_penalty=penalty)
            firsts = [each[:nbest] for each in found]
            assert shown(model.predict_nbest(sources, search=few, attention=True)) == shown(firsts)


def spelled_out(
    exact: Any, source: Any, search: Search, symbols: str, longest: int
) -> list[tuple[tuple[str, ...], float]]:
    """The n best of a beam search that goes on to the end, hypothesis by hypothesis."""
    live, ended = [()], []
    each = functools.cache(lambda target: exact.log_probabilities(source, target))
    for t in range(longest + 1):
        total = {h: each(h)[:t].sum() for h in live}
        extended = [(float(each(h).sum()), h, True) for h in live]
        extended += [
            (float(total[h] + each((*h, s))[t]), (*h, s), False) for h in live for s in symbols
        ]
        extended.sort(key=lambda one: -one[0])
        best = extended[: search.beam]
        ended += [(h, p / (len(h) + 1) ** search.length_penalty) for p, h, end in best if end]
        live = [h for _, h, end in best if not end]
    ended.sort(key=lambda one: -one[1])
    return ended[: search.nbest]


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_narrow_beams_find_what_the_search_spelled_out_finds(
    beam: int, penalty: float, make: Make, draw: Callable[..., Any], slow: Callable[..., Any]
) -> None:
    spec = spec_of(size=4, longest=(5, 0.0))
    found_any = 0
    for seed in range(2):
        bundle = make(spec, seed)
        exact, search = slow(bundle), Search(beam=beam, nbest=min(2, beam), length_penalty=penalty)
        sources = sequences_of(draw, spec, [3, 0])
        for source, nbest in zip(
            sources, Predictor(bundle).predict_nbest(sources, search=search), strict=True
        ):
            right = spelled_out(exact, source, search, "ABC", 5)
            ended = [hypothesis for hypothesis in nbest if hypothesis.ended]
            assert [hypothesis.symbols for hypothesis in ended] == [target for target, _ in right]
            scores = [hypothesis.score for hypothesis in ended]
            np.testing.assert_allclose(scores, [score for _, score in right], atol=1e-4)
            found_any += len(right)
    assert found_any


@pytest.mark.parametrize("name", ["lstm, general", "gru, additive, fed"])
def test_a_beam_of_one_takes_the_likeliest_symbol_at_each_step(
    name: str, make: Make, draw: Callable[..., Any], slow: Callable[..., Any]
) -> None:
    bundle = make(MODELS[name], 2)
    exact = slow(bundle)
    sources = sequences_of(draw, MODELS[name])
    for source, answer in zip(
        sources, Predictor(bundle).predict(sources, search=Search(beam=1)), strict=True
    ):
        target: list[str] = []
        for _ in range(LONGEST):
            ends = exact.log_probabilities(source, target)[-1]
            nexts = {s: exact.log_probabilities(source, [*target, s])[-2] for s in "AB"}
            best = max(nexts, key=lambda s: nexts[s])
            if ends > nexts[best]:
                break
            target.append(best)
        assert answer == target


# ------------------------------------------------------------------ laws


@pytest.fixture
def model(make: Make) -> Predictor:
    return Predictor(make(spec_of(size=9, longest=(4, 1.5)), 3))


@pytest.fixture
def sources(draw: Callable[..., Any]) -> list[Any]:
    lengths = np.random.default_rng(0).integers(0, 9, size=16).tolist()
    return draw(MODELS["lstm, general"], lengths)  # type: ignore[no-any-return]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("name", ["lstm, general", "gru, additive, fed"])
def test_a_source_has_the_same_answers_to_the_bit_alone_and_in_any_batch(
    name: str,
    beam: int,
    make: Make,
    sources: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if isa.active().name == isa.REFERENCE:
        return  # NumPy's products differ by the shape of a batch
    spec = MODELS[name]
    head = spec.head.model_copy(update={"size": 9, "longest": (4, 1.5)})
    model = Predictor(make(spec.model_copy(update={"head": head}), 3))
    search = Search(beam=beam, nbest=min(beam, 3))
    ask = functools.partial(model.predict_nbest, search=search, attention=True)
    together = shown(ask(sources))
    assert [shown(ask([source]))[0] for source in sources] == together
    order = np.random.default_rng(1).permutation(len(sources)).tolist()
    assert shown(ask([sources[i] for i in order])) == [together[i] for i in order]
    for threads in (1, 2):
        with num_threads(threads):
            assert shown(ask(sources)) == together
    monkeypatch.setattr(sequences, "HYPOTHESES", 7)
    assert shown(ask(sources)) == together
    # Targets that are given have the numbers that the search found for them.
    flat = [
        (source, each)
        for source, nbest in zip(sources, ask(sources), strict=True)
        for each in nbest
        if each.ended
    ]
    given = model.score_targets(
        [source for source, _ in flat], [list(each.symbols) for _, each in flat], attention=True
    )
    assert shown([given]) == shown([[each for _, each in flat]])


def test_the_n_best_are_sorted_and_distinct(model: Predictor, sources: list[Any]) -> None:
    for nbest in model.predict_nbest(sources, search=Search(beam=8, nbest=8)):
        keys = [(not each.ended, -each.score) for each in nbest]
        assert keys == sorted(keys)
        assert len({each.symbols for each in nbest}) == len(nbest) > 1
        for each in nbest:
            assert each.log_probability == pytest.approx(sum(each.log_probabilities))
            assert len(each.log_probabilities) == len(each.symbols) + each.ended
            assert each.score == pytest.approx(
                each.log_probability / (len(each.symbols) + 1), rel=1e-12
            )


def test_predict_gives_the_best_of_the_n_best(model: Predictor, sources: list[Any]) -> None:
    found = model.predict_nbest(sources, search=Search(nbest=4))
    assert model.predict(sources) == [list(nbest[0].symbols) for nbest in found]
    assert list(model.stream(iter(sources), window=3)) == model.predict(sources)
    assert list(model.stream_nbest(iter(sources), search=Search(nbest=4))) == found


def test_ties_go_to_what_ended_first_and_to_the_lower_symbols(make: Make) -> None:
    bundle = make(spec_of(longest=(2, 0.0)))
    flat = {name: np.zeros_like(tensor) for name, tensor in bundle.tensors.items()}
    model = Predictor(Bundle(bundle.spec, bundle.vocabularies, flat))
    [nbest] = model.predict_nbest(["ab"], search=Search(beam=12, nbest=9, length_penalty=1))
    assert ["".join(each.symbols) for each in nbest] == ["", "A", "B", "AA", "AB", "BA", "BB"]
    assert {round(each.score, 12) for each in nbest} == {round(math.log(1 / 3), 12)}
    # Of a beam of 2 the end and A are taken, then the end again and A.
    [nbest] = model.predict_nbest(["ab"], search=Search(beam=2, nbest=2, length_penalty=1))
    assert ["".join(each.symbols) for each in nbest] == ["", "A"]


@given(data=st.data())
def test_the_best_extensions_are_those_of_a_sort(data: st.DataObject) -> None:
    """With few distinct numbers, so that most are equal to others."""
    size, beam = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 8))
    counts = data.draw(st.lists(st.integers(1, 1 if beam == 1 else 4), min_size=1, max_size=4))
    rows = sum(counts)
    numbers = st.lists(st.integers(-3, 0), min_size=rows * size, max_size=rows * size)
    totals = np.array(data.draw(numbers), float).reshape(rows, size)
    parents, symbols = beam_search._best(totals, np.repeat(np.arange(len(counts)), counts), beam)
    expected, first = [], 0
    for count in counts:
        own = [(-totals[r, s], r, s) for r in range(first, first + count) for s in range(size)]
        expected += [(r, s) for _, r, s in sorted(own)[:beam]]
        first += count
    assert list(zip(parents.tolist(), symbols.tolist(), strict=True)) == expected


# ------------------------------------------------------------------ bounds


def biased(bundle: Bundle, bias: float) -> Predictor:
    """The model, with another bias of the end."""
    tensors = dict(bundle.tensors)
    tensors["head.linear.bias"] = tensors["head.linear.bias"].copy()
    tensors["head.linear.bias"][0] = bias
    return Predictor(Bundle(bundle.spec, bundle.vocabularies, tensors))


def test_a_model_that_never_ends_is_cut_and_says_so_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    model = biased(make(spec_of(size=9, longest=(2, 1.0))), -90.0)
    found = model.predict_nbest(["", "ab", "abc"], search=Search(beam=3, nbest=2))
    assert [[len(each.symbols) for each in nbest] for nbest in found] == [[2, 2], [4, 4], [5, 5]]
    for nbest in found:
        assert not any(each.ended for each in nbest)
        assert all(len(each.log_probabilities) == len(each.symbols) for each in nbest)
        assert nbest[0].score > nbest[1].score
    [told] = [record.message for record in caplog.records if "did not end" in record.message]
    assert told == (
        "3 of 3 answers did not end within the most symbols that the model allows, and were cut: "
        "of sequence 0, 1, 2 (counted from 0), the first after 2 symbols. `ended` is false of them "
        "in --json and predict_nbest. Another bound: --longest N (Search(longest=N) in Python)."
    )
    caplog.clear()
    [answer] = model.predict(["ab"], search=Search(longest=40))
    assert len(answer) == 40
    assert "1 of 1 answers did not end within the most symbols that the search" in caplog.text
    caplog.clear()
    # Numbers go on over windows and batches; the first of them are named.
    assert len(list(model.stream(["abc", "a"] * 4, window=3, search=Search(beam=1)))) == 8
    assert "8 of 8 answers" in caplog.text
    assert "of sequence 0, 1, 2, 3, 4 and 3 more (counted from 0)" in caplog.text
    none = Search(beam=1, longest=0)
    [[cut], [empty]] = model.predict_nbest(["ab", ""], search=none, attention=True)
    assert cut.symbols == cut.log_probabilities == ()
    assert (cut.attention.shape, empty.attention.shape) == ((0, 2), (0, 0))


def test_a_target_of_a_thousand_symbols(make: Make) -> None:
    model = biased(make(spec_of(size=9)), -90.0)
    [[found]] = model.predict_nbest(["ab"], search=Search(beam=1, longest=1000), attention=True)
    [given] = model.score_targets(["ab"], [found.symbols], attention=True)
    assert given.log_probabilities[:1000] == found.log_probabilities
    assert given.attention[:1000].tobytes() == found.attention.tobytes()
    assert given.log_probability == pytest.approx(
        found.log_probability + given.log_probabilities[-1]
    )


def test_those_that_ended_go_before_those_that_were_cut(make: Make) -> None:
    model = biased(make(spec_of(longest=(3, 0.0))), -2.0)
    mixed = 0
    for nbest in model.predict_nbest(["ab", "c", ""], search=Search(beam=4, nbest=4)):
        ended = [each.ended for each in nbest]
        assert ended == sorted(ended, reverse=True)
        mixed += len(set(ended)) == 2
    assert mixed


def test_a_beam_wider_than_the_vocabulary(make: Make) -> None:
    model = Predictor(make(spec_of(size=2, longest=(3, 0.0))))
    [nbest] = model.predict_nbest(["ab"], search=Search(beam=50, nbest=50))
    assert sorted("".join(each.symbols) for each in nbest) == ["", "A", "AA", "AAA"]


def test_no_sources_and_sources_without_steps(model: Predictor) -> None:
    assert model.predict([]) == []
    assert model.predict_nbest([]) == []
    assert model.score_targets([], []) == []
    assert len(model.predict(["", []])) == 2


def test_scores_that_overflow_are_refused(make: Make) -> None:
    bundle = make(spec_of())
    large = np.float32(3e38)
    tensors = dict(bundle.tensors)
    tensors["head.linear.weight"] = np.full((3, 6), large) * np.array([[1], [1], [-1]], np.float32)
    tensors["head.linear.bias"] = np.full(3, large)
    model = Predictor(Bundle(bundle.spec, bundle.vocabularies, tensors))
    with np.errstate(all="raise"), pytest.raises(BundleError, match="overflow"):
        model.predict(["ab"])


# ------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 0}, "beam is 0, it must be from 1 to 1,000"),
        ({"beam": 2.5}, "beam is 2.5, it must be a whole number"),
        ({"beam": True}, "beam is True, it must be a whole number"),
        ({"beam": 2000, "nbest": 2000}, "nbest is 2000, it must be from 1 to 1,000"),
        ({"nbest": 6}, "nbest is 6, a beam of 5 gives at most 5. Widen the beam."),
        ({"length_penalty": -1}, "length_penalty is -1, it must be a number from 0 to 10"),
        ({"length_penalty": math.nan}, "length_penalty is nan, it must be a number from 0 to 10"),
        ({"longest": -1}, "longest is -1, it must be from 0 to 1,000,000"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Search(**settings)
    assert str(caught.value) == message


def test_what_the_task_does_not_have_is_refused(make: Make, model: Predictor) -> None:
    for ask in (
        lambda: model.predict_proba(["ab"]),
        lambda: model.stream_proba(["ab"]),
        lambda: model.scores(["ab"]),
        lambda: model.decode([np.zeros(3)]),
    ):
        with pytest.raises(UsageError, match=r"^a seq2seq has no .* Call predict"):
            ask()
    with pytest.raises(UsageError, match="answers once it has read the whole sequence"):
        model.online()
    with pytest.raises(UsageError, match=r"search is 5\. Give a birnn.runtime.Search"):
        model.predict(["ab"], search=5)  # type: ignore[arg-type]
    tagger = Predictor(
        make(Spec(inputs=Symbols(size=6, dim=3), encoder=Encoder(hidden_size=3), head=Tags(size=3)))
    )
    for refused in (
        lambda: tagger.predict(["ab"], search=Search()),
        lambda: tagger.predict_nbest(["ab"]),
        lambda: tagger.evaluate([("ab", ["A", "B"])], search=Search()),
    ):
        with pytest.raises(UsageError, match="a tagger answers without a search"):
            refused()
    with pytest.raises(UsageError, match="a tagger writes no targets"):
        tagger.score_targets(["ab"], [["A"]])


def test_targets_of_texts_are_split_as_in_training(model: Predictor) -> None:
    listed = model.score_targets(["ab"], [["A", "C"]])
    for way, text in (("spaces", "A C"), ("characters", "AC"), ("|", "A|C")):
        bundle = replace(model.bundle, metadata={"reading": {"target_split": way}})
        assert Predictor(bundle).score_targets(["ab"], [text]) == listed


def test_targets_that_cannot_be_scored(model: Predictor) -> None:
    with pytest.raises(DataError, match="target 1: 'Z' is no symbol that this model writes"):
        model.score_targets(["ab", "a"], [["A"], ["B", "Z"]])
    with pytest.raises(DataError, match="'<s>' is no symbol"):
        model.score_targets(["ab"], [["<s>"]])
    with pytest.raises(DataError, match=r"the target is .*\. Give a list of its symbols"):
        model.score_targets(["ab"], ["A"])
    with pytest.raises(DataError, match="there are 2 sequences and 1 targets"):
        model.score_targets(["ab", "a"], [["A"]])
