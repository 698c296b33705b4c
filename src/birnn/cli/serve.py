"""``birnn serve``."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from birnn.cli.options import with_threads
from birnn.errors import UsageError, print_notice, require

LOCAL = ("localhost", "127.0.0.1", "[::1]")


@with_threads
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]DIR...", help="Folders of models; a name is else the folder's."
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Interface to listen on; by default only this machine may ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer for this name in Host, too; repeatable."),
    ] = None,
    queue: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Texts that may wait; 1,024.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest wait in the queue; 10.")
    ] = None,
    max_texts: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most texts of a request; 256.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most tokens of a text; 5,000.")
    ] = None,
    max_body: Annotated[
        int | None, typer.Option(metavar="BYTES", min=1, help="Longest body; 1 MiB.")
    ] = None,
) -> int:
    """Answer over HTTP, and on a page: POST /predict, /explain; GET /model, /healthz, /metrics."""
    from birnn.runtime import Predictor
    from birnn.serving import Limits, app

    for package in ("uvicorn", "httptools"):
        require(package, extra="serve")
    from birnn.serving.server import serve as run

    given = {
        "queue": queue,
        "wait_seconds": wait,
        "texts": max_texts,
        "tokens": max_tokens,
        "body_bytes": max_body,
    }
    limits = Limits.of({name: value for name, value in given.items() if value is not None})
    loaded = {
        name: Predictor.load(folder, tell=print_notice) for name, folder in _named(models).items()
    }
    local = _is_local(host)
    hosts = {*LOCAL, host, *(allow_host or ())} if local or allow_host else None

    def started(address: str, bound: int) -> None:
        shown = f"[{address}]" if ":" in address else address
        tasks = ", ".join(f"{name} ({model.spec.task})" for name, model in loaded.items())
        print_notice(f"serving {tasks} at http://{shown}:{bound}/ (Ctrl-C stops)")
        if not local:
            print_notice(f"{host} can be reached from other machines: whoever can, may ask.")

    run(app(loaded, limits, hosts=hosts), limits, host=host, port=port, started=started)
    return 0


def _named(models: Sequence[str]) -> dict[str, str]:
    """Folders and addresses by name.

    Example:
        >>> _named(["models/pos/", "names=models/ner", "hf://ada/mood@v1"])
        {'pos': 'models/pos/', 'names': 'models/ner', 'mood': 'hf://ada/mood@v1'}
    """
    from birnn.bundle.addresses import Address, is_address

    named: dict[str, str] = {}
    for given in models:
        name, equals, folder = given.partition("=")
        if not equals:
            whole = Address.of(given).repository if is_address(given) else Path(given).resolve()
            name, folder = Path(whole).name, given
        if not name or not folder:
            raise UsageError(f"{given!r} is no model. Write it as DIR or NAME=DIR.")
        if name in named:
            raise UsageError(
                f"two models are called {name}: {named[name]} and {folder}. "
                f"Name one: other={folder}."
            )
        named[name] = folder
    return named


def _is_local(host: str) -> bool:
    """Whether only this machine can reach it.

    Example:
        >>> _is_local("localhost"), _is_local("127.0.0.2"), _is_local("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
