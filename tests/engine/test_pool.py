"""The pool of threads behind the kernels: forks, many callers, an exit in the middle of work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from birnn.engine import crf, isa
from birnn.engine.threads import THREADS
from birnn.ragged import Ragged

pytestmark = pytest.mark.skipif(isa.native_module() is None, reason="no compiled module")

counted = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="no /proc to count threads in"
)

LABELS = 20
SECONDS = 60  # after which something hangs


@pytest.fixture(autouse=True)
def unforced(monkeypatch):
    """The best engine, and the setting of threads as it was."""
    monkeypatch.delenv(isa.FORCE, raising=False)
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.setattr("birnn.engine.threads._threads", None)


@pytest.fixture
def problem(unforced):
    """Enough work for several threads, and the answer of one."""
    random = np.random.default_rng(0)
    lengths = random.integers(10, 50, 64)
    emissions = Ragged(random.standard_normal((int(lengths.sum()), LABELS)), lengths)
    scores = (random.standard_normal((LABELS, LABELS)), np.zeros(LABELS), np.zeros(LABELS))
    chain = crf.chain_of(*scores)
    return emissions, chain, crf.marginals(emissions, chain, threads=1).tobytes()


def script(body, **environment):
    """Runs a script in a process of its own; its standard output."""
    head = """
        import os, sys, threading, time
        import numpy as np
        from birnn.engine import crf, isa, threads
        from birnn.ragged import Ragged

        rows = np.random.default_rng(0).standard_normal((2000, 20))
        emissions = Ragged(rows, np.full(50, 40))
        chain = crf.chain_of(np.zeros((20, 20)), np.zeros(20), np.zeros(20))

        def run(threads=3):
            return crf.marginals(emissions, chain, threads=threads).tobytes()

        def alive():
            return len(os.listdir("/proc/self/task"))

        def comes_to(count, seconds=30):
            # A thread that was joined stays in /proc until the system has taken it away.
            end = time.monotonic() + seconds
            while alive() != count and time.monotonic() < end:
                time.sleep(0.001)
            return alive() == count
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(body)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_more_and_fewer_threads_from_call_to_call(problem):
    emissions, chain, expected = problem
    for threads in (1, 4, 2, 3, 1, 5, 2):
        assert crf.marginals(emissions, chain, threads=threads).tobytes() == expected


def test_several_callers_at_once(problem):
    emissions, chain, expected = problem
    answers = []

    def call():
        answers.extend([crf.marginals(emissions, chain, threads=2).tobytes() for _ in range(20)])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(SECONDS)
    assert len(answers) == 80
    assert set(answers) == {expected}


def child_agrees(emissions, chain, expected):
    """Whether a forked child gives the same bits on two and three threads, in good time."""
    crf.marginals(emissions, chain, threads=3)
    with warnings.catch_warnings():
        # Newer Pythons warn of forks with threads about; that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # ends it where it hangs
        same = all(
            crf.marginals(emissions, chain, threads=threads).tobytes() == expected
            for threads in (2, 3)
        )
        os._exit(0 if same else 1)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_child_has_threads_of_its_own(problem, busy):
    emissions, chain, expected = problem
    stop = threading.Event()

    def work():
        while not stop.is_set():
            crf.marginals(emissions, chain, threads=2)

    other = threading.Thread(target=work)
    if busy:
        other.start()
    try:
        for _ in range(10):
            assert child_agrees(emissions, chain, expected)
    finally:
        stop.set()
        if busy:
            other.join(SECONDS)
    assert crf.marginals(emissions, chain, threads=3).tobytes() == expected


def test_the_interpreter_runs_on_meanwhile(problem):
    emissions, chain, _ = problem
    many = emissions.select(np.tile(np.arange(64), 40))

    def turns() -> int:
        """How often this thread came to its turn while the other one was in the kernel."""
        caller = threading.Thread(target=lambda: crf.viterbi(many, chain, threads=1))
        taken = 0
        caller.start()
        while caller.is_alive():
            time.sleep(0)
            taken += 1
        return taken

    # With the interpreter locked it is one or two each time; on a busy machine now and then too.
    assert any(turns() > 10 for _ in range(10))


@counted
def test_threads_start_when_they_are_needed_and_end_at_the_exit():
    out = script("""
        one, before = run(1), alive()
        assert run(3) == one and alive() == before + 2
        assert run(2) == one and alive() == before + 2
        small = emissions.select([0])
        crf.marginals(small, chain, threads=8)  # not worth a thread
        assert alive() == before + 2
        isa.native_module().stop_threads()
        assert comes_to(before)
        assert run(3) == one and alive() == before  # after the end one thread does it all
        print("done")
    """)
    assert out == "done\n"


@counted
@pytest.mark.parametrize(("setting", "workers"), [("1", 0), ("3", 2)])
def test_the_environment_sets_the_threads(setting, workers):
    out = script(
        """
        before = alive()
        run(None)
        print(alive() - before, threads.get_num_threads())
        """,
        BIRNN_NUM_THREADS=setting,
    )
    assert out == f"{workers} {setting}\n"


def test_a_process_ends_while_a_thread_is_at_work():
    out = script("""
        at_work = threading.Event()

        def work():
            while True:
                run(2)
                at_work.set()

        run(3)
        threading.Thread(target=work, daemon=True).start()
        at_work.wait()
        print("ends")
    """)
    assert out == "ends\n"


@counted
def test_threads_that_cannot_start_leave_the_work_to_one():
    out = script("""
        import resource

        one, before = run(1), alive()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)
        assert run(2) == one and comes_to(before)
        print("done")
    """)
    assert out == "done\n"


# --------------------------------------------------------------- where others want a processor

STARVED = r"""
    import statistics, subprocess
    from birnn.engine import recurrent
    from birnn.engine.arrays import RowLayout

    native = isa.native_module()
    native.use_all_threads(True)
    here, there = sorted(os.sched_getaffinity(0))[:2]
    before = set(os.listdir("/proc/self/task"))
    one = run(1)
    assert run(2) == one
    (worker,) = {int(task) for task in os.listdir("/proc/self/task")} - {int(t) for t in before}
    os.sched_setaffinity(os.getpid(), {here})
    os.sched_setaffinity(worker, {there})

    def at_work():
        # Seconds that this thread ran, or would have but for others on its processor.
        return sum(map(int, open("/proc/thread-self/schedstat").read().split()[:2])) / 1e9

    def asleep(call):
        begun, ran = time.perf_counter(), at_work()
        call()
        return time.perf_counter() - begun - (at_work() - ran)

    class Others:
        def __init__(self, count):
            self.count = count

        def __enter__(self):
            loop = "import os; os.sched_setaffinity(0, {%d})\nprint(flush=True)\nwhile True: pass"
            command = [sys.executable, "-c", loop % there]
            self.loops = [
                subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(self.count)
            ]
            for each in self.loops:
                each.stdout.readline()

        def __exit__(self, *_):
            for loop in self.loops:
                loop.kill()
                loop.wait()
"""

two_processors = pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists() or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors, and Linux to tell threads where to run",
)


@two_processors
def test_a_worker_that_does_not_come_is_not_waited_for():
    # It runs when nobody else wants its processor, and there always somebody does.
    out = script(
        textwrap.dedent(STARVED)
        + textwrap.dedent("""
        def call():
            assert run(2) == one

        os.sched_setscheduler(worker, os.SCHED_IDLE, os.sched_param(0))
        with Others(1):
            waited = statistics.median(asleep(call) for _ in range(20))
        assert waited < 0.02, waited  # for the turn of such a worker it takes seconds
        print("done")
        """)
    )
    assert out == "done\n"


@two_processors
def test_calls_do_for_a_while_without_a_thread_that_was_kept_from_running():
    # Two directions of the same work, and others take two thirds of one's processor.
    out = script(
        textwrap.dedent(STARVED)
        + textwrap.dedent("""
        random = np.random.default_rng(0)
        shapes = (800, 128), (800, 200), (800,), (800,)
        weights = [tuple(0.1 * random.standard_normal(shape) for shape in shapes) for _ in range(2)]
        x, layout = random.standard_normal((3200, 128)), RowLayout.ragged(np.full(32, 100))

        def layer(threads=2):
            found = recurrent.forward("lstm", x, layout, weights, threads=threads)
            return found.output.tobytes()

        expected = layer(1)
        native.use_all_threads(False)
        assert native.threads_worth(2) == 2
        with Others(2):
            for _ in range(20):
                assert layer() == expected
                if native.threads_worth(2) == 1:
                    break
            else:
                sys.exit("nothing was noticed")
            assert layer() == expected
        while native.threads_worth(2) != 2:  # about a second
            time.sleep(0.1)
        assert native.threads_worth(1) == 1
        print("done")
        """)
    )
    assert out == "done\n"
