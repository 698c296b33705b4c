"""The queue: parts of large jobs, turns, and jobs of those who left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any

import pytest

from birnn.serving import Limits
from birnn.serving.batching import Batcher, ClientLeft, Job, WaitedTooLong


class Doubling:
    """Doubles numbers once it is let, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int], first: int) -> list[bytes]:
        self.asked.append(list(numbers))
        self.begun.set()
        assert self.let.wait(10)
        if -1 in numbers:
            raise ValueError(f"number {first + numbers.index(-1)}")
        return [str(2 * number).encode() for number in numbers]

    def job(self, *numbers: int, left: Callable[[], Awaitable[Any]] | None = None) -> Job:
        return Job("double", self, numbers, [1] * len(numbers), b" ".join, left)


def answered(limits: Limits, work: Callable[[Batcher, Doubling], Awaitable[None]]) -> Doubling:
    """Run work on a queue that is started; when it ends nothing waits."""

    async def run() -> None:
        batcher = Batcher(limits, lambda texts, seconds: None)
        batcher.start()
        await work(batcher, double)
        await batcher.stop()
        assert batcher.texts == 0

    double = Doubling()
    asyncio.run(run())
    return double


def test_a_large_job_is_answered_in_parts_between_which_others_have_their_turn() -> None:
    async def work(batcher: Batcher, double: Doubling) -> None:
        double.let.set()
        jobs = [double.job(*range(10)), double.job(50), double.job(), double.job(60, 70)]
        found = await asyncio.gather(*map(batcher.submit, jobs))
        assert found == [b" ".join(str(2 * n).encode() for n in job.texts) for job in jobs]

    double = answered(Limits(batch_texts=4), work)
    assert double.asked == [[0, 1, 2, 3], [50, 60, 70], [4, 5, 6, 7], [8, 9]]


def test_a_fault_is_that_of_its_job_alone_and_told_by_its_number() -> None:
    async def work(batcher: Batcher, double: Doubling) -> None:
        double.let.set()
        jobs = [double.job(0, 1, 2, 3, 4, -1, 6), double.job(5), double.job(-1)]
        asked = map(batcher.submit, jobs)
        large, good, small = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(large), good, str(small)] == ["number 5", b"10", "number 0"]

    answered(Limits(batch_texts=4), work)


def test_who_left_is_not_answered_nor_the_rest_of_what_is_begun() -> None:
    async def work(batcher: Batcher, double: Doubling) -> None:
        gone = asyncio.Event()
        jobs = [double.job(*range(8), left=gone.wait), double.job(50, left=gone.wait)]
        asked = [asyncio.ensure_future(batcher.submit(job)) for job in jobs]
        await asyncio.to_thread(double.begun.wait)
        stays = asyncio.ensure_future(batcher.submit(double.job(60)))
        gone.set()
        with pytest.raises(ClientLeft):
            await asked[1]
        assert batcher.texts == 1
        double.let.set()
        with pytest.raises(ClientLeft):
            await asked[0]
        assert await stays == b"120"

    double = answered(Limits(batch_texts=4), work)
    assert double.asked[0] == [0, 1, 2, 3]
    asked = [*chain.from_iterable(double.asked)]
    assert 50 not in asked
    # Four and the one; four more if they were begun before it was known.
    assert len(asked) <= 9


def test_it_is_also_given_up_in_time_where_nobody_leaves() -> None:
    async def work(batcher: Batcher, double: Doubling) -> None:
        first = asyncio.ensure_future(batcher.submit(double.job(1)))
        await asyncio.to_thread(double.begun.wait)
        with pytest.raises(WaitedTooLong):
            await batcher.submit(double.job(2, left=asyncio.Event().wait))
        assert batcher.texts == 0
        double.let.set()
        assert await first == b"2"

    assert answered(Limits(wait_seconds=0.3), work).asked == [[1]]
