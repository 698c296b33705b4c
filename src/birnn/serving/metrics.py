"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

# From half a millisecond to the longest that a request may wait by default.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one app, in a registry of its own.

    Args:
        waiting: Gives the texts that wait in the queue.
        held: Gives the bytes of all bodies under way.

    Example:
        >>> metrics = Metrics(lambda: 3, lambda: 0)
        >>> metrics.count("/predict", 200, 0.002)
        >>> lines = metrics.text().decode().splitlines()
        >>> [line for line in lines if line.startswith(("birnn_queue_texts", "birnn_requests_t"))]
        ['birnn_requests_total{path="/predict",status="200"} 1.0', 'birnn_queue_texts 3.0']
    """

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, waiting: Callable[[], float], held: Callable[[], float]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "birnn_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "birnn_request_seconds",
            "Seconds from the header of a request to its answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "birnn_batch_texts", "Texts answered together.", buckets=TEXTS, registry=registry
        )
        self._batch_seconds = Histogram(
            "birnn_batch_seconds", "Seconds of a batch.", buckets=SECONDS, registry=registry
        )
        self._tokens = Counter(
            "birnn_tokens", "Tokens or steps answered.", ["model"], registry=registry
        )
        for name, what, read in (
            ("birnn_queue_texts", "Texts that wait to be answered.", waiting),
            ("birnn_held_bytes", "Bytes of the bodies of all requests under way.", held),
        ):
            Gauge(name, what, registry=registry).set_function(read)
        ProcessCollector(registry=registry)

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_batch(self, texts: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.observe(texts)
        self._batch_seconds.observe(seconds)

    def count_tokens(self, model: str, tokens: int) -> None:
        """Count tokens of a model."""
        self._tokens.labels(model).inc(tokens)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
