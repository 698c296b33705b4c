"""`birnn serve` as a process of its own: crowds, slow and broken clients, signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from serving_models import model_of, running

from birnn.bundle import save
from birnn.cli.main import main
from birnn.errors import OutputError
from birnn.runtime import Predictor
from birnn.serving import server

CROWD = 1000
IN_FLIGHT = 50
# Short times, so that the tests of slow clients are short.
BOUNDED = """
import sys
from birnn.runtime import Predictor
from birnn.serving import Limits, app
from birnn.serving.server import serve

limits = Limits(body_seconds=0.4, header_seconds=0.4, idle_seconds=1, body_bytes=2000)
def started(address, port):
    print(f"serving at http://{address}:{port}/ (", file=sys.stderr, flush=True)
serve(app({"ner": Predictor.load(sys.argv[1])}, limits), limits, host="127.0.0.1", port=0,
      started=started)
"""


@pytest.fixture(scope="module")
def folder(made_once: Callable[..., Path]) -> Path:
    def make(path: Path) -> None:
        save(model_of("words", "tags").bundle, path)

    return made_once("served", make)


def request(text: str, **headers: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    lines = ["POST /predict HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def crowd(port: int, texts: list[str], then: Callable[[], None] = lambda: None):
    """Answers to requests that are all sent before one of them is read."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in texts]
    for text, (_, writer) in zip(texts, connections, strict=True):
        writer.write(request(text))
    then()
    found = [await asyncio.wait_for(answer_of(reader), 60) for reader, _ in connections]
    for _, writer in connections:
        writer.close()
    return found


def test_a_crowd_is_answered_and_a_signal_loses_no_request(folder: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * CROWD)), hard))
    model = Predictor.load(folder)
    texts = [f"Ada lives in {'London ' * (n % 7)}{n} ." for n in range(CROWD)]
    try:
        with running("-m", "birnn", "serve", f"ner={folder}", "--port", "0") as (process, port):
            found = asyncio.run(crowd(port, texts))
            assert {status for status, _ in found} <= {200, 429}
            refused = sum(status == 429 for status, _ in found)
            assert refused < CROWD // 2
            records = [one.record() for one in model.annotate(texts)]
            for record, (status, body) in zip(records, found, strict=True):
                if status == 200:
                    assert body == {"model": "ner", "answer": record}
            long = [f"{text} {'in London ' * 200}" for text in texts[:IN_FLIGHT]]
            found = asyncio.run(crowd(port, long, lambda: process.send_signal(signal.SIGTERM)))
            assert [status for status, _ in found] == [200] * IN_FLIGHT
            tags = [body["answer"]["tags"] for _, body in found]
            assert tags == [model.predict([text])[0] for text in long]
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_second_signal_ends_it_at_once_without_a_traceback(folder: Path) -> None:
    with running("-m", "birnn", "serve", f"ner={folder}", "--port", "0") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            body = json.dumps({"texts": ["Ada lives in London " * 180] * 256})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/predict", body, headers)
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            response = connection.getresponse()
            assert (response.status, "at once" in response.read().decode()) == (503, True)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""


def test_a_port_is_taken_from_the_start() -> None:
    with server._socket("127.0.0.1", 0) as first, pytest.raises(OutputError, match="in use"):
        server._socket("127.0.0.1", first.getsockname()[1])


def test_what_a_client_that_left_asked_is_not_answered(folder: Path) -> None:
    body = json.dumps({"texts": ["Ada lives in London " * 60] * 256})
    headers = {"Content-Type": "application/json"}
    with (
        running("-m", "birnn", "serve", f"ner={folder}", "--port", "0") as (_, port),
        contextlib.ExitStack() as open_ones,
    ):

        def ask(method: str, path: str, body: str | None = None) -> http.client.HTTPConnection:
            asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            open_ones.callback(asking.close)
            asking.request(method, path, body, headers)
            return asking

        stays, leaves = ask("POST", "/predict", body), ask("POST", "/predict", body)
        leaves.close()
        begun = time.perf_counter()
        assert ask("POST", "/predict", '{"text": "Ada"}').getresponse().status == 200
        waited = time.perf_counter() - begun
        assert len(json.load(stays.getresponse())["answers"]) == 256
        assert waited < (time.perf_counter() - begun) / 2  # the large one let it go before
        lines = ask("GET", "/metrics").getresponse().read().decode().splitlines()
        assert 'birnn_requests_total{path="/predict",status="499"} 1.0' in lines
        assert {"birnn_held_bytes 0.0", "birnn_queue_texts 0.0"} <= set(lines)
        [tokens] = [line for line in lines if line.startswith("birnn_tokens_total")]
        assert float(tokens.split()[1]) < 2 * 256 * 240


def test_slow_and_broken_clients_are_let_go_and_others_are_answered(folder: Path) -> None:
    async def sent(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
        """All that comes back until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    whole = request("Ada")
    head = whole[: whole.index(b"\r\n\r\n") + 4]
    closing = request("Ada", Connection="close")

    async def all_at_once(port: int) -> list[bytes]:
        return await asyncio.gather(
            sent(port, whole[:-5]),  # a body that does not end
            sent(port, *[whole[i : i + 1] for i in range(14)], pause=0.05),  # a header by drops
            sent(port),  # nothing
            sent(port, b"nonsense\r\n\r\n"),
            sent(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000),
            sent(port, head[:-4] + b"0\r\n\r\n"),  # announces ten times as much
            sent(port, closing.replace(b"/predict", b"/%2e%2e/%00\xff")),
            sent(port, closing),
        )

    with running("-c", BOUNDED, str(folder)) as (process, port):
        body, drops, nothing, nonsense, header, much, path, good = asyncio.run(all_at_once(port))
        assert body.startswith(b"HTTP/1.1 408")
        assert b"did not come within" in body
        assert drops == b""
        assert nothing == b""
        assert nonsense.startswith(b"HTTP/1.1 400")
        assert header == b""
        assert much.startswith(b"HTTP/1.1 408")
        assert path.startswith(b"HTTP/1.1 4")
        assert good.startswith(b"HTTP/1.1 200")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predict", b"x" * 3000, headers)
        assert connection.getresponse().status == 413
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_what_cannot_be_served_is_said_in_one_line(folder, capsys, tmp_path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(folder), "--port", str(port)]) == 1
        assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err
    for arguments, status, told in (
        ([str(tmp_path / "none")], 1, "none"),
        ([str(folder), str(folder)], 2, "two models are called"),
        ([f"={folder}"], 2, "NAME=DIR"),
        ([str(folder), "--host", "no.such.host.invalid"], 2, "--host is"),
        ([str(folder), "--queue", "8"], 2, "texts is 256 and queue 8"),
    ):
        assert main(["serve", *arguments]) == status
        said = capsys.readouterr().err
        assert told in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("package", ["fastapi", "prometheus_client", "uvicorn", "httptools"])
def test_what_is_not_installed_is_said_in_one_line(package, tmp_path, capsys, monkeypatch) -> None:
    for name in ("birnn.serving", "birnn.serving.server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve", str(tmp_path / "none")]) == 2  # before any model is loaded
    assert capsys.readouterr().err == (f"birnn: this needs {package}: pip install 'birnn[serve]'\n")


def test_the_process_is_as_before_once_the_server_ends(models: Mapping[str, Predictor]) -> None:
    """While it serves, what is loaded is frozen for the collector, and notices are not logged."""
    from birnn.serving import Limits, app
    from birnn.serving.server import serve

    def state() -> tuple[Any, ...]:
        levels = [logging.getLogger(name).level for name in ("birnn", "uvicorn.error")]
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return gc.get_freeze_count(), sys.getswitchinterval(), levels, handlers

    seen: list[tuple[Any, ...]] = []

    def started(address: str, port: int) -> None:
        seen.append(state())
        signal.raise_signal(signal.SIGTERM)

    assert threading.current_thread() is threading.main_thread()
    before, limits = state(), Limits()
    serve(app(models, limits), limits, host="localhost", port=0, started=started)
    [(frozen, interval, levels, handlers)] = seen
    assert frozen > before[0]
    assert interval < before[1]
    assert levels == [logging.ERROR] * 2
    assert handlers != before[3]
    assert state() == before
