"""The queue between the requests and the thread that answers them, batch by batch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from birnn.serving.limits import Limits

Answer = Callable[[Sequence[Any], int], list[bytes]]
"""Answers texts, each with bytes; the number is that of the first in its request, for messages."""
Outcome = bytes | Exception | None  # None: only a part of the job is answered

WATCH_SECONDS = 0.1  # waits that are shorter are not worth looking whether the client has left


class QueueFull(Exception):
    """There is no room for another request."""


class WaitedTooLong(Exception):
    """A request was not begun in time."""


class ClientLeft(Exception):
    """Whoever asked is gone."""


@dataclass(slots=True, eq=False)
class Job:
    """A request in the queue.

    Args:
        kind: Jobs of the same kind are answered together.
        answer: How texts of such jobs are answered.
        texts: What is asked: texts, or other sequences.
        characters: Of each text.
        whole: Makes the answer to the request of those to its texts.
        left: Returns once whoever asks is gone.
    """

    kind: Hashable
    answer: Answer
    texts: Sequence[Any]
    characters: Sequence[int]
    whole: Callable[[Sequence[bytes]], bytes]
    left: Callable[[], Awaitable[object]] | None = None
    number: int = 0
    answers: list[bytes] = field(default_factory=list)
    done: asyncio.Future[bytes] = field(init=False)
    late: asyncio.TimerHandle = field(init=False)
    watch: asyncio.Task[None] | None = None

    @property
    def waits(self) -> int:
        """Texts that are not answered yet."""
        return len(self.texts) - len(self.answers)


class Batcher:
    """A bounded queue, and one thread that answers what waits in it.

    It belongs to one event loop, on which all of it but the answering runs. A job that is larger
    than a batch is answered in parts, and between two of them the others have their turn.

    Args:
        limits: How much waits, how long, and how much is answered together.
        observe: Called after each batch with its number of texts and its seconds.

    Example:
        >>> async def double(*numbers: int) -> bytes:
        ...     batcher = Batcher(Limits(), lambda texts, seconds: None)
        ...     batcher.start()
        ...     answer = lambda numbers, first: [str(2 * n).encode() for n in numbers]
        ...     job = Job("double", answer, numbers, [1] * len(numbers), b" ".join)
        ...     found = await batcher.submit(job)
        ...     await batcher.stop()
        ...     return found
        >>> asyncio.run(double(21, 4))
        b'42 8'
    """

    def __init__(self, limits: Limits, observe: Callable[[int, float], None]) -> None:
        self._limits, self._observe = limits, observe
        self._waiting: dict[Hashable, deque[Job]] = {}
        self._texts = 0
        self._numbers = itertools.count()
        self._pump: asyncio.Task[None] | None = None

    @property
    def texts(self) -> int:
        """Texts that wait."""
        return self._texts

    def start(self) -> None:
        """Begin to answer; to be called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="birnn-answers")
        self._filled, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._pump = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Answer all that waits, and end the thread."""
        assert self._pump is not None, "it was started"
        await self._idle.wait()
        self._pump.cancel()
        await asyncio.wait([self._pump])
        self._thread.shutdown()

    async def submit(self, job: Job) -> bytes:
        """The answer to a job.

        Raises:
            QueueFull: It was refused, at once.
            WaitedTooLong: It was not begun in time.
            ClientLeft: Whoever asked is gone, and what was not begun was not answered.
        """
        if self._texts + job.waits > self._limits.queue:
            raise QueueFull
        job.done = self._loop.create_future()
        wait = self._limits.wait_seconds
        job.late = self._loop.call_later(min(WATCH_SECONDS, wait), self._still_waits, job, wait)
        self._append(job)
        try:
            return await job.done
        finally:
            if job.watch is not None:
                job.watch.cancel()

    def _append(self, job: Job) -> None:
        job.number = next(self._numbers)
        self._waiting.setdefault(job.kind, deque()).append(job)
        self._texts += job.waits
        self._filled.set()
        self._idle.clear()

    def _still_waits(self, job: Job, wait: float) -> None:
        """Have an eye on who asks, and give up in time."""
        if wait <= WATCH_SECONDS:
            self._drop(job, WaitedTooLong())
            return
        rest = wait - WATCH_SECONDS
        job.late = self._loop.call_later(rest, self._drop, job, WaitedTooLong())
        self._watch(job)

    def _watch(self, job: Job) -> None:
        if job.left is not None and job.watch is None:
            job.watch = self._loop.create_task(self._until_left(job, job.left))

    async def _until_left(self, job: Job, left: Callable[[], Awaitable[object]]) -> None:
        await left()
        self._drop(job, ClientLeft())

    def _drop(self, job: Job, why: Exception) -> None:
        """Give a job up; what of it is being answered is not waited for."""
        if not job.done.done():
            job.done.set_exception(why)
        jobs = self._waiting.get(job.kind)
        if jobs is not None and job in jobs:
            self._texts -= job.waits
            job.late.cancel()
            jobs.remove(job)
            if not jobs:
                del self._waiting[job.kind]

    def _take(self) -> list[tuple[Job, int]]:
        """The next batch: of the kind of the job that has waited longest, jobs and texts of each.

        Jobs as wholes; of one that is larger than a batch as much as fits.
        """
        kind = min(self._waiting, key=lambda kind: self._waiting[kind][0].number)
        jobs = self._waiting[kind]
        batch: list[tuple[Job, int]] = []
        texts = characters = 0
        while jobs:
            job, taken = jobs[0], 0
            for size in job.characters[len(job.answers) :]:
                if texts + taken and (
                    texts + taken == self._limits.batch_texts
                    or characters + size > self._limits.batch_characters
                ):
                    break
                taken, characters = taken + 1, characters + size
            if batch and taken < job.waits:
                break
            jobs.popleft()
            job.late.cancel()
            self._texts -= job.waits
            texts += taken
            batch.append((job, taken))
        if not jobs:
            del self._waiting[kind]
        return batch

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            while self._waiting:
                batch = self._take()
                try:
                    outcomes = await self._loop.run_in_executor(self._thread, self._answered, batch)
                except Exception as error:  # whatever it is, the others are answered
                    outcomes = [error] * len(batch)
                for (job, _), outcome in zip(batch, outcomes, strict=True):
                    if job.done.done():  # whoever asked is gone
                        continue
                    if outcome is None:
                        self._append(job)
                        self._watch(job)
                    elif isinstance(outcome, bytes):
                        job.done.set_result(outcome)
                    else:
                        job.done.set_exception(_raisable(outcome))
            self._filled.clear()
            self._idle.set()

    def _answered(self, batch: Sequence[tuple[Job, int]]) -> list[Outcome]:
        """In the thread: the outcomes of a batch."""
        begun = time.perf_counter()
        outcomes = _outcomes(batch)
        self._observe(sum(taken for _, taken in batch), time.perf_counter() - begun)
        return outcomes


def _outcomes(batch: Sequence[tuple[Job, int]]) -> list[Outcome]:
    asked = [
        text
        for job, taken in batch
        for text in job.texts[len(job.answers) : len(job.answers) + taken]
    ]
    first = len(batch[0][0].answers) if len(batch) == 1 else 0
    try:
        found = batch[0][0].answer(asked, first)
        if len(found) != len(asked):
            raise RuntimeError(f"{len(asked)} texts have {len(found)} answers")
        outcomes: list[Outcome] = []
        at = 0
        for job, taken in batch:
            job.answers += found[at : at + taken]
            at += taken
            outcomes.append(None if job.waits else job.whole(job.answers))
    except Exception as error:
        if len(batch) == 1:
            return [error]
    else:
        return outcomes
    # What is wrong with another of its batch is none of a job's business.
    return [_outcomes([part])[0] for part in batch]


def _raisable(error: Exception) -> Exception:
    """An error that a future can hold: it refuses `StopIteration`."""
    return RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
