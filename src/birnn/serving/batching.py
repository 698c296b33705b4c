"""The queue between the requests and the thread that answers them, batch by batch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from birnn.serving.limits import Limits

Answer = Callable[[Sequence[Any]], list[bytes]]
"""Answers the questions of a batch: for each the bytes of its answer."""
Outcome = bytes | Exception


class QueueFull(Exception):
    """There is no room for another request."""


class WaitedTooLong(Exception):
    """A request was not begun in time."""


@dataclass(slots=True, eq=False)
class Job:
    """A request in the queue.

    Args:
        kind: Jobs of the same kind are answered together.
        answer: How a batch of such jobs is answered.
        question: What is asked.
        texts: Texts in it.
        characters: Characters in these.
    """

    kind: Hashable
    answer: Answer
    question: Any
    texts: int
    characters: int
    number: int = 0
    done: asyncio.Future[bytes] = field(init=False)
    late: asyncio.TimerHandle = field(init=False)


class Batcher:
    """A bounded queue, and one thread that answers what waits in it.

    It belongs to one event loop, on which all of it but the answering runs.

    Args:
        limits: How much waits, how long, and how much is answered together.
        observe: Called after each batch with its number of texts and its seconds.

    Example:
        >>> async def double(number: int) -> bytes:
        ...     batcher = Batcher(Limits(), lambda texts, seconds: None)
        ...     batcher.start()
        ...     answer = lambda numbers: [str(2 * n).encode() for n in numbers]
        ...     found = await batcher.submit(Job("double", answer, number, texts=1, characters=1))
        ...     await batcher.stop()
        ...     return found
        >>> asyncio.run(double(21))
        b'42'
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
        """
        if self._texts + job.texts > self._limits.queue:
            raise QueueFull
        job.number, job.done = next(self._numbers), self._loop.create_future()
        job.late = self._loop.call_later(self._limits.wait_seconds, self._give_up, job)
        self._waiting.setdefault(job.kind, deque()).append(job)
        self._texts += job.texts
        self._filled.set()
        self._idle.clear()
        return await job.done

    def _give_up(self, job: Job) -> None:
        self._texts -= job.texts
        if not job.done.done():
            job.done.set_exception(WaitedTooLong())
        jobs = self._waiting[job.kind]
        jobs.remove(job)  # the oldest of its kind: the first
        if not jobs:
            del self._waiting[job.kind]

    def _take(self) -> list[Job]:
        """The jobs of the next batch: of the kind of the one that has waited longest."""
        kind = min(self._waiting, key=lambda kind: self._waiting[kind][0].number)
        jobs = self._waiting[kind]
        batch: list[Job] = []
        texts = characters = 0
        while jobs:
            texts, characters = texts + jobs[0].texts, characters + jobs[0].characters
            if batch and (
                texts > self._limits.batch_texts or characters > self._limits.batch_characters
            ):
                break
            job = jobs.popleft()
            job.late.cancel()
            self._texts -= job.texts
            batch.append(job)
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
                for job, outcome in zip(batch, outcomes, strict=True):
                    if job.done.done():  # whoever asked is gone
                        continue
                    if isinstance(outcome, bytes):
                        job.done.set_result(outcome)
                    else:
                        job.done.set_exception(_raisable(outcome))
            self._filled.clear()
            self._idle.set()

    def _answered(self, batch: Sequence[Job]) -> list[Outcome]:
        """In the thread: the outcomes of a batch."""
        begun = time.perf_counter()
        answer, questions = batch[0].answer, [job.question for job in batch]
        outcomes: list[Outcome]
        try:
            outcomes = [*answer(questions)]
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{len(batch)} questions have {len(outcomes)} answers")
        except Exception as error:
            outcomes = [error] if len(batch) == 1 else list(map(_alone(answer), questions))
        self._observe(sum(job.texts for job in batch), time.perf_counter() - begun)
        return outcomes


def _raisable(error: Exception) -> Exception:
    """An error that a future can hold: it refuses `StopIteration`."""
    return RuntimeError(repr(error)) if isinstance(error, StopIteration) else error


def _alone(answer: Answer) -> Callable[[Any], Outcome]:
    """A question on its own: what is wrong with another of its batch is none of its business."""

    def alone(question: Any) -> Outcome:
        try:
            return answer([question])[0]
        except Exception as error:
            return error

    return alone
