"""One way of reading, trained and asked: the step that every comparison repeats.

A trial trains a model with `birnn.training.fit`, as a user would, and asks it for the test set
through `birnn.runtime.Predictor`. Trials of one plan differ in the way of reading and in the seed,
in nothing else.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from birnn.bundle.spec import Spec
from birnn.errors import Interrupted, Tell, UsageError, nearest, no_notice
from birnn.inputs import kind_of
from birnn.nn.threads import own_threads
from birnn.report.figures import READERS
from birnn.runtime import Predictor
from birnn.training.fit import run_training
from birnn.training.prepare import prepare
from birnn.training.recipe import Recipe
from birnn.training.sets import Sets
from birnn.training.workspace import Workspace

PREDICTIONS = 3  # timed rounds over the test set


@dataclass(frozen=True, slots=True)
class Way:
    """A way of reading: in one direction or two, and how wide each is.

    Args:
        bidirectional: Whether a backward half runs beside the forward one; in a model whose layers
            have directions of their own, in the layers that have one.
        hidden_size: From a model to the hidden units of each direction.
    """

    bidirectional: bool
    hidden_size: Callable[[Spec], int]


def same_width(spec: Spec) -> int:
    """As many hidden units in each direction as the model in one direction has."""
    return spec.encoder.hidden_size


def half_width(spec: Spec) -> int:
    """Half as many in each direction, rounded down: together as wide, or one unit less.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> half_width(Spec(
        ...     inputs=Symbols(size=5, dim=8), encoder=Encoder(hidden_size=15), head=Tags(size=3)
        ... ))
        7
    """
    return max(1, spec.encoder.hidden_size // 2)


def equal_width(spec: Spec) -> int:
    """The width at which two directions have as many parameters as one, as nearly as can be.

    The count grows with the width, so the solution lies between two neighbours found by halving.

    Args:
        spec: The model; how many directions it has does not matter.

    Example:
        >>> from birnn.bundle import Encoder, Symbols, Tags
        >>> spec = Spec(
        ...     inputs=Symbols(size=5, dim=8),
        ...     encoder=Encoder(hidden_size=16, bidirectional=False),
        ...     head=Tags(size=3),
        ... )
        >>> equal_width(spec), spec.parameter_count(), way_of(spec, "equal").parameter_count()
        (10, 1755, 1703)
    """
    wanted = _changed(spec, spec.encoder.hidden_size, bidirectional=False).parameter_count()
    low, high = 1, spec.encoder.hidden_size
    while high - low > 1:
        middle = (low + high) // 2
        if _two(spec, middle).parameter_count() <= wanted:
            low = middle
        else:
            high = middle
    return min((low, high), key=lambda h: abs(_two(spec, h).parameter_count() - wanted))


WAYS: dict[str, Way] = {
    "forward": Way(bidirectional=False, hidden_size=same_width),
    "both": Way(bidirectional=True, hidden_size=same_width),
    "half": Way(bidirectional=True, hidden_size=half_width),
    "equal": Way(bidirectional=True, hidden_size=equal_width),
}


def way_of(spec: Spec, way: str) -> Spec:
    """The same model in another way of reading.

    Args:
        spec: A model; how many directions it has does not matter.
        way: A key of `WAYS`.

    Raises:
        UsageError: No such way.
    """
    if way not in WAYS:
        raise UsageError(f"{way!r} is no way of reading: {nearest(way, WAYS)}")
    chosen = WAYS[way]
    return _changed(spec, chosen.hidden_size(spec), bidirectional=chosen.bidirectional)


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What all trials of a comparison share.

    Args:
        task: What is learnt.
        sets: The data.
        recipe: Settings of training; its width is that of the model in one direction.
        threads: Threads of each trial; as many as are set by default.
    """

    task: str
    sets: Sets
    recipe: Recipe
    threads: int | None = None

    def spec(self) -> Spec:
        """The model that the recipe and the data make, in the recipe's own way of reading."""
        kind = kind_of(self.sets.train, self.recipe.inputs)
        recipe = self.recipe.for_kind(self.task, kind)
        return prepare(self.task, self.sets.train, self.sets.dev, recipe).spec


@dataclass(frozen=True, slots=True)
class Trial:
    """One trained model and what it said of the test set.

    Args:
        way: Way of reading, a key of `WAYS`.
        seed: Of the model and the order of the data.
        spec: What the model is.
        answers: Its answer to each test sequence: tags, a label, or target symbols.
        scores: Its measures on the test set.
        curve: Its score on the dev set after each epoch.
        losses: Its mean training loss in each epoch.
        train_seconds: Time of the whole training, reading of arrays included.
        predict_seconds: Time to answer the test set with nothing cached: a median of rounds.
        monitored: Name of the score that chose its weights.
    """

    way: str
    seed: int
    spec: Spec
    answers: tuple[Any, ...]
    scores: dict[str, Any]
    curve: tuple[float, ...]
    losses: tuple[float, ...]
    train_seconds: float
    predict_seconds: float
    monitored: str = "accuracy"

    @property
    def epochs(self) -> int:
        """Rounds over the training data."""
        return len(self.curve)


def run_trial(
    plan: TrialPlan, spec: Spec, way: str, seed: int, *, folder: Path | None = None
) -> Trial:
    """Train one model and ask it.

    Args:
        plan: What all trials share.
        spec: The model of the plan, as `TrialPlan.spec` gives it.
        way: Way of reading, a key of `WAYS`.
        seed: Of the model and the order of the data.
        folder: Where the bundle is left; nowhere by default.

    Raises:
        UsageError: No such way.
        Interrupted: Ctrl-C.
    """
    wanted = way_of(spec, way)
    changed = ("bidirectional", "hidden_size", "directions", "num_layers")
    settings = {f"encoder.{name}": getattr(wanted.encoder, name) for name in changed}
    sizes = wanted.head.settings_behind(wanted.stack)
    settings |= {f"head.{name}": value for name, value in sizes.items()}
    recipe = plan.recipe.with_settings(settings)
    sets = plan.sets
    learnt = replace(sets, test=())  # the test set is asked below, apart from training
    with own_threads(plan.threads):
        kept = Workspace.open(folder, overwrite=True) if folder is not None else nullcontext()
        with kept as workspace:
            result = run_training(plan.task, learnt, recipe, workspace, seed=seed, quiet=True)
        if isinstance(result.stopped, Interrupted):
            raise Interrupted.by(
                result.stopped.exit_status - 128,
                "before the comparison was finished: nothing is kept of it",
            )
        bundle = result.bundle
        monitored = bundle.metadata["metric"]
        question = bundle.spec.head.question
        asked = [question(example, number).inputs for number, example in enumerate(sets.test)]
        rounds, answers = [], []
        for _ in range(PREDICTIONS):
            model = Predictor(bundle)
            started = time.perf_counter()
            answers = model.predict(asked, tell=no_notice)
            rounds.append(time.perf_counter() - started)
        scores = Predictor(bundle).evaluate(sets.test, tell=no_notice)
    return Trial(
        way=way,
        seed=seed,
        spec=bundle.spec,
        answers=tuple(tuple(a) if isinstance(a, list) else a for a in answers),
        scores=scores,
        curve=tuple(row[f"dev_{monitored}"] for row in result.history),
        losses=tuple(row["loss"] for row in result.history),
        train_seconds=result.seconds,
        predict_seconds=statistics.median(rounds),
        monitored=monitored,
    )


def run_trials(
    plan: TrialPlan,
    ways: Sequence[str],
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    keep: Mapping[str, Path] | None = None,
    tell: Tell = no_notice,
) -> dict[str, list[Trial]]:
    """Every way of reading with every seed.

    Args:
        plan: What all trials share.
        ways: Ways of reading, keys of `WAYS`.
        seeds: Seeds of the models.
        jobs: Trials side by side, each in a process of its own; their times are those of a busy
            machine.
        keep: Way of reading to the folder where its model of the first seed stays.
        tell: Takes a line after each trial.

    Returns:
        The trials of each way, in the order of the seeds.

    Raises:
        UsageError: No such way, none at all, or no seed.
        Interrupted: Ctrl-C.
    """
    if not ways or not seeds:
        raise UsageError("a comparison needs at least one way of reading and one seed")
    spec = plan.spec()
    kept = {(way, seeds[0]): folder for way, folder in (keep or {}).items()}
    wanted = [(way, seed, kept.get((way, seed))) for seed in seeds for way in ways]
    for way in ways:
        way_of(spec, way)  # a misspelt one is refused before the first training
    found: dict[str, list[Trial]] = {way: [] for way in ways}
    for trial in _each(plan, spec, wanted, jobs):
        found[trial.way].append(trial)
        tell(
            f"{READERS[trial.way].name}, seed {trial.seed}: "
            f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'} in {trial.train_seconds:.0f} s"
        )
    return found


def _each(
    plan: TrialPlan, spec: Spec, wanted: Sequence[tuple[str, int, Path | None]], jobs: int
) -> Iterator[Trial]:
    """The trials, in order."""
    if jobs == 1:
        yield from (run_trial(plan, spec, way, seed, folder=folder) for way, seed, folder in wanted)
        return
    # Fresh processes: a fork would share the threads of torch, which do not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = [
            pool.submit(run_trial, plan, spec, way, seed, folder=folder)
            for way, seed, folder in wanted
        ]
        try:
            yield from (trial.result() for trial in running)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _two(spec: Spec, hidden_size: int) -> Spec:
    return _changed(spec, hidden_size, bidirectional=True)


def _changed(spec: Spec, hidden_size: int, *, bidirectional: bool) -> Spec:
    encoder: dict[str, Any] = {"hidden_size": hidden_size, "bidirectional": bidirectional}
    # Directions of its own layers say what two directions are, unless none has two.
    if not (bidirectional and spec.encoder.bidirectional):
        encoder["directions"] = None
    changed = spec.model_copy(update={"encoder": spec.encoder.model_copy(update=encoder)})
    sizes = spec.head.settings_behind(changed.stack)
    return changed.model_copy(update={"head": spec.head.model_copy(update=sizes)})
