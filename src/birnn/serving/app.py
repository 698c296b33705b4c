"""The endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

import birnn
from birnn.errors import BirnnError, DataError, UsageError, nearest
from birnn.runtime import Predictor
from birnn.serving.batching import Batcher, ClientLeft, Job, QueueFull, WaitedTooLong
from birnn.serving.limits import Limits
from birnn.serving.metrics import Metrics
from birnn.serving.middleware import BUSY, RETRY, RequestBodies, RequestMiddleware
from birnn.serving.schemas import (
    EXPLAINED,
    PREDICTED,
    Question,
    as_json,
    described,
    fault,
    questions,
)
from birnn.serving.served_model import ServedModel

PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
JSON = "application/json"
ASKED = (404, 408, 413, 415, 422, 429, 500, 503)


def app(
    models: Mapping[str, Predictor],
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
    *,
    hosts: Collection[str] | None = None,
) -> FastAPI:
    """An ASGI app that answers for models; `birnn serve` runs it.

    Args:
        models: The models by name; the first answers where a request names none.
        limits: What it takes at most.
        hosts: Names in ``Host`` that it answers for; None for all.

    Raises:
        UsageError: No model.

    Example:
        >>> import numpy as np
        >>> from birnn.bundle import Bundle, Encoder, Spec, Symbols, Tags
        >>> from starlette.testclient import TestClient
        >>> spec = Spec(inputs=Symbols(size=3, dim=2), encoder=Encoder(), head=Tags(size=2))
        >>> tensors = {name: np.zeros(s, np.float32) for name, s in spec.tensors().items()}
        >>> vocabularies = {"symbols": ("<unk>", "A", "C"), "labels": ("coil", "helix")}
        >>> with TestClient(app({"sst": Predictor(Bundle(spec, vocabularies, tensors))})) as client:
        ...     client.post("/predict", json={"text": "AC"}).json()["answer"]["tags"]
        ['coil', 'coil']
    """
    if not models:
        raise UsageError("there is no model to serve. Give at least one.")
    bodies = RequestBodies(limits)
    metrics = Metrics(lambda: batcher.texts, lambda: bodies.held)
    batcher = Batcher(limits, metrics.count_batch)
    served = {
        name: ServedModel(name, model, limits, metrics.count_tokens)
        for name, model in models.items()
    }
    default = next(iter(served))
    of_predict, of_explain = questions(
        limits,
        tokens=any(each.holds == "tokens" for each in served.values()),
        channels=[each.channels for each in served.values() if each.holds == "vectors"],
        ranks=any(each.ranks for each in served.values()),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    made = FastAPI(
        title="birnn",
        version=birnn.__version__,
        docs_url=None,  # its pages load scripts from a network
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # it would send clients to whatever `Host` says
        exception_handlers={HTTPException: _told},
    )
    made.state.stopping = False

    async def answered(
        request: Request, kind: type[Question], ask: Callable[[ServedModel, Question], Job]
    ) -> Response:
        body = await bodies.read(request)
        try:
            question = kind.model_validate_json(body)
            job = ask(_chosen(served, question.model or default), question)
            job.left = (
                request.receive
            )  # when all of the body is read, it returns as the client goes
            return Response(await batcher.submit(job), media_type=JSON)
        except ValidationError as error:
            raise HTTPException(422, fault(error, kind)) from None
        except (DataError, UsageError) as error:
            raise HTTPException(422, str(error)) from None
        except BirnnError as error:
            raise HTTPException(500, str(error)) from None
        except QueueFull:
            raise HTTPException(429, BUSY, headers=RETRY) from None
        except ClientLeft:
            raise ClientDisconnect from None
        except WaitedTooLong:
            waited = f"the request waited {limits.wait_seconds:g} s and was not begun. Try again."
            raise HTTPException(503, waited, headers=RETRY) from None
        except MemoryError:
            detail = "not enough memory to answer. Ask for less at once."
            raise HTTPException(503, detail, headers=RETRY) from None
        finally:
            bodies.release(body)

    @made.post("/predict", **described(PREDICTED, *ASKED, body=of_predict))
    async def predict(request: Request) -> Response:
        """Answers for one sequence or for several."""
        return await answered(request, of_predict, ServedModel.predict)

    @made.post("/explain", **described(EXPLAINED, *ASKED, body=of_explain))
    async def explain(request: Request) -> Response:
        """The answer for one sequence, and which half decided it, word by word."""
        return await answered(request, of_explain, ServedModel.explain)

    told = as_json(
        {
            "version": birnn.__version__,
            "default": default,
            "models": [each.description() for each in served.values()],
            "limits": limits.model_dump(),
        }
    )

    @made.get("/model", **described({"type": "object"}))
    async def model() -> Response:
        """What is served, and its limits."""
        return Response(told, media_type=JSON)

    @made.get("/healthz", **described({"type": "object"}, 503))
    async def healthz() -> Response:
        """Whether requests should be sent here."""
        if made.state.stopping:
            raise HTTPException(503, "the server is stopping.")
        return Response(b'{"status":"ok"}', media_type=JSON)

    @made.get("/metrics", **described({"type": "string"}, kind="text/plain"))
    async def prometheus() -> Response:
        """Counters for Prometheus."""
        return Response(metrics.text(), headers={"Content-Type": metrics.content_type})

    for path, kind, content in _page():
        _add_file(made, path, kind, content)
    paths = {route.path for route in made.routes if hasattr(route, "path")}
    made.add_middleware(RequestMiddleware, paths=paths, hosts=hosts, count=metrics.count)
    return made


def _chosen(served: Mapping[str, ServedModel], name: str) -> ServedModel:
    if name not in served:
        raise HTTPException(404, f"there is no model {name!r}: {nearest(name, served)}")
    return served[name]


async def _told(_: Request, error: HTTPException) -> Response:
    """An error as the object that all errors are; `Allow` and `Retry-After` stay."""
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _page() -> list[tuple[str, str, bytes]]:
    """Path, media type and content of the files of the page, read once."""
    return [
        (
            "/" if file.name == "index.html" else f"/page/{file.name}",
            _TYPES[file.suffix],
            file.read_bytes(),
        )
        for file in sorted(PAGE.iterdir())
    ]


def _add_file(made: FastAPI, path: str, kind: str, content: bytes) -> None:
    async def file() -> Response:
        return Response(content, headers={"Content-Type": kind})

    made.add_api_route(path, file, methods=["GET"], include_in_schema=False)
