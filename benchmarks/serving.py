"""Requests per second of `birnn serve` beside Flair's tagger and ONNX Runtime behind FastAPI.

    python benchmarks/serving.py DIR FILE [--flair PYTHON] [--seconds 10] [--connections 1 8 64]
        [--threads N] [--overload 60] [--json]

DIR is the folder of a trained tagger of words, FILE has sentences in a format that birnn reads; a
request asks for the tags of one of them, as a raw text. `wrk` asks, on a thread of its own. Of each
server: requests per second, median and 99th percentile of the time of an answer, and the CPU time
of the server's process for a request, which tells most where the machine has other work. The peers
answer with tags alone: ONNX Runtime runs the model that `birnn export` wrote, one request at a time
in a thread; Flair runs a tagger of the same size with random weights, in the environment of
--flair, a Python that has flair, fastapi and uvicorn.

--overload asks for so many seconds on four times as many connections as the queue has places, which
is more than twice what can be answered, and looks for statuses other than 200 and 429 and at the
memory of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from birnn.cli.printing import markdown
from birnn.runtime import Predictor

SENTENCES = 1000
WARM_SECONDS = 2.0
PARTS = 6  # of the overload, after each of which memory is looked at
PEERS = Path(__file__).with_name("serving_peers.py")

# Each connection walks through the sentences; what is not 200 is counted by its status.
LUA = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local at = 0
local statuses = {}
local threads = {}
function setup(thread) table.insert(threads, thread) end
function request()
  at = at %% #bodies + 1
  return wrk.format("POST", "/predict", {["Content-Type"] = "application/json"}, bodies[at])
end
refused = ""
counts = {}
function response(status)
  counts[status] = (counts[status] or 0) + 1
  local parts = {}
  for s, n in pairs(counts) do parts[#parts + 1] = s .. "=" .. n end
  refused = table.concat(parts, " ")
end
function done(summary, latency)
  io.write(string.format("FOUND %%d %%d %%f %%f\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
  local e = summary.errors
  io.write(string.format("ERRORS %%d\\n", e.connect + e.read + e.write + e.timeout))
  for _, thread in ipairs(threads) do io.write("STATUS " .. thread:get("refused") .. "\\n") end
end
"""


@dataclass(frozen=True)
class Found:
    """What came of asking a server."""

    server: str
    connections: int
    per_second: float
    median_ms: float
    p99_ms: float
    cpu_ms: float
    statuses: dict[str, int]
    errors: int


def bodies_of(model: Predictor, path: str, to: Path) -> None:
    """Write a body for each of the first sentences of a file."""
    with to.open("w", encoding="utf-8") as out:
        for number, example in enumerate(model.read(path)):
            if number == SENTENCES:
                break
            text = example.text or " ".join(map(str, example.inputs))
            out.write(json.dumps({"text": text}) + "\n")


def asked(
    server: str,
    process: subprocess.Popen[str],
    port: int,
    lua: Path,
    connections: int,
    seconds: float,
) -> Found:
    """Ask for some seconds on so many connections at once."""
    before = cpu_seconds(process.pid)
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"),
            *("-s", str(lua), f"http://127.0.0.1:{port}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    spent = cpu_seconds(process.pid) - before
    found = re.search(r"FOUND (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    errors = re.search(r"ERRORS (\d+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert errors is not None
    requests, microseconds = int(found[1]), int(found[2])
    statuses: dict[str, int] = {}
    for line in re.findall(r"STATUS (.*)", done.stdout):
        for part in line.split():
            status, _, count = part.partition("=")
            statuses[status] = statuses.get(status, 0) + int(count)
    return Found(
        server,
        connections,
        1e6 * requests / microseconds,
        float(found[3]) / 1000,
        float(found[4]) / 1000,
        1000 * spent / max(1, requests),
        statuses,
        int(errors[1]),
    )


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server and its port, which it tells in its first line with an address."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        while (address := re.search(r"http://127\.0\.0\.1:(\d+)", said)) is None:
            line = process.stderr.readline()
            if not line:
                raise SystemExit(f"{' '.join(command)} did not start:\n{said}")
            said += line
        yield process, int(address[1])
    finally:
        process.terminate()
        process.communicate()


def overloaded(
    process: subprocess.Popen[str], port: int, lua: Path, seconds: float, queue: int
) -> dict[str, object]:
    """Four times as many connections as the queue has places: what is answered, and memory."""
    connections = 4 * queue
    asked("birnn", process, port, lua, connections, WARM_SECONDS)
    memory, parts = [memory_mb(process.pid)], []
    for _ in range(PARTS):
        parts.append(asked("birnn", process, port, lua, connections, seconds / PARTS))
        memory.append(memory_mb(process.pid))
    statuses = Counter[str]()
    for part in parts:
        statuses.update(part.statuses)
    return {
        "seconds": seconds,
        "connections": connections,
        "asked_per_second": round(sum(part.per_second for part in parts) / PARTS),
        "answered_per_second": round(statuses["200"] / seconds),
        "statuses": dict(statuses),
        "errors": sum(part.errors for part in parts),
        "memory_mb": [round(each, 1) for each in memory],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--flair", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--overload", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    threads = [] if given.threads is None else ["--threads", str(given.threads)]
    serve = [sys.executable, "-m", "birnn", "serve", given.model, "--port", "0", *threads]
    servers = {
        "birnn serve": serve,
        "ONNX Runtime": [sys.executable, str(PEERS), "onnx", given.model],
    }
    if given.flair:
        servers["Flair"] = [given.flair, str(PEERS), "flair", given.model]
    rows: list[Found] = []
    overload = None
    with tempfile.TemporaryDirectory() as folder:
        bodies, lua = Path(folder, "bodies.jsonl"), Path(folder, "ask.lua")
        bodies_of(Predictor.load(given.model), given.file, bodies)
        lua.write_text(LUA % bodies)
        for name, command in servers.items():
            with running(command) as (process, port):
                asked(name, process, port, lua, 4, WARM_SECONDS)
                for connections in given.connections:
                    rows.append(asked(name, process, port, lua, connections, given.seconds))
                    print(rows[-1], file=sys.stderr, flush=True)
        if given.overload:
            # So few places that twice the load that can be answered is refused, not delayed.
            small = [*serve, "--queue", "64", "--max-texts", "64"]
            with running(small) as (process, port):
                overload = overloaded(process, port, lua, given.overload, 64)
    if given.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "overload": overload}))
        return
    header = ["server", "connections", "requests/s", "p50 ms", "p99 ms", "CPU ms each", "not 200"]
    print(
        markdown(
            header,
            [
                [
                    row.server,
                    str(row.connections),
                    f"{row.per_second:,.0f}",
                    f"{row.median_ms:.1f}",
                    f"{row.p99_ms:.1f}",
                    f"{row.cpu_ms:.2f}",
                    str(sum(n for s, n in row.statuses.items() if s != "200") + row.errors),
                ]
                for row in rows
            ],
        )
    )
    if overload is not None:
        print(f"overload: {overload}")


if __name__ == "__main__":
    main()
