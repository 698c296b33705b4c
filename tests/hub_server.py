"""A stand-in for the Hugging Face Hub on loopback, in memory: what ``huggingface_hub`` calls.

Repositories have commits of files. Small files are kept by git, ``.safetensors`` by LFS, as there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants

# Of huggingface_hub's own call of httpx.
IN_UPLOADS = "ignore:Use 'content=:DeprecationWarning"

TOKEN = "hf_stand_in"


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        history = json.dumps([len(self.commits), sorted(files), message]).encode()
        oid = hashlib.sha1(history + b"".join(files.values())).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def find(self, revision: str) -> str | None:
        oid = self.branches.get(revision, revision)
        return oid if oid in self.commits else None


@dataclass
class Hub:
    """What the stand-in holds, and what it was asked; `spoil` changes what a file is sent as."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # of LFS, by digest
    asked: list[str] = field(default_factory=list)
    spoil: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    status: int | None = None  # of every answer
    refuses: int | None = None  # status of whatever would change something

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        repository = self.repositories[name]
        return repository.commits[repository.branches.get(revision, revision)]


class Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub  # of the subclass that a server has

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        try:
            if self.hub.status is not None:
                raise Refused(self.hub.status)
            if self.hub.refuses is not None and self.command not in ("GET", "HEAD"):
                raise Refused(self.hub.refuses)
            for pattern, method in ROUTES.items():
                if found := re.fullmatch(pattern, f"{self.command} {path}"):
                    method(self, **found.groupdict())
                    return
            raise Refused(404)
        except Refused as refused:
            headers = {"X-Error-Code": refused.code} if refused.code else {}
            self._send(b"{}", status=refused.status, headers=headers)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def _send(
        self, content: bytes, *, status: int = 200, headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if length is not None and length != len(content):
            self.close_connection = True

    def _json(self, told: Any, status: int = 200) -> None:
        self._send(
            json.dumps(told).encode(), status=status, headers={"Content-Type": "application/json"}
        )

    def _repository(self, name: str, *, write: bool = False) -> Repository:
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not known):
            # As the Hub: who is not known is not told what there is.
            raise Refused(404 if known else 401, "RepoNotFound")
        if repository.gated and not write:
            raise Refused(403, "GatedRepo")
        if write and not known:
            raise Refused(401)
        return repository

    def _commit(self, repository: Repository, revision: str) -> tuple[str, dict[str, bytes]]:
        oid = repository.find(revision)
        if oid is None:
            raise Refused(404, "RevisionNotFound")
        return oid, repository.commits[oid]

    # ------------------------------------------------------------------ reading

    def get_info(self, name: str, revision: str | None = None) -> None:
        repository = self._repository(name)
        oid, files = self._commit(repository, revision or "main")
        self._json({
            "id": name, "sha": oid, "private": repository.private, "tags": [], "downloads": 0,
            "siblings": [{"rfilename": path} for path in files],
        })  # fmt: skip

    def get_tree(self, name: str, revision: str) -> None:
        _, files = self._commit(self._repository(name), revision)
        entries = []
        for path, content in files.items():
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content)}
            entry["oid"] = git_digest(content)
            if path.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
            entries.append(entry)
        self._json(entries)

    def get_file(self, name: str, revision: str, path: str) -> None:
        oid, files = self._commit(self._repository(name), revision)
        if path not in files:
            raise Refused(404, "EntryNotFound")
        content = files[path]
        headers = {"X-Repo-Commit": oid, "ETag": f'"{git_digest(content)}"'}
        if path.endswith(".safetensors"):
            headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            headers["X-Linked-Size"] = str(len(content))
        sent = content
        if self.command == "GET" and path in self.hub.spoil:
            sent = self.hub.spoil[path](content)
        self._send(sent, headers=headers, length=len(content))

    def head_file(self, name: str, revision: str, path: str) -> None:
        self.get_file(name, revision, path)

    # ------------------------------------------------------------------ writing

    def post_create(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401)
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        there = name in self.hub.repositories
        private = asked.get("visibility") == "private" or asked.get("private") is True
        repository = self.hub.repositories.setdefault(name, Repository(private=private))
        if not there:
            repository.commit({".gitattributes": b""})
        self._json({"url": f"{self.hub.endpoint}/{name}"}, status=409 if there else 200)

    def post_validate(self) -> None:
        text = json.loads(self.body)["content"]
        found = re.match("---\n(.*?)\n---\n", text, re.DOTALL)
        try:
            whole = found is not None and isinstance(yaml.safe_load(found[1]), dict)
        except yaml.YAMLError:
            whole = False
        if not whole:
            return self._json({"errors": [{"message": "no metadata"}], "warnings": []}, status=400)
        return self._json({"errors": [], "warnings": []})

    def post_branch(self, name: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        if revision in repository.branches:
            raise Refused(409)
        repository.branches[revision] = repository.branches["main"]
        self._json({})

    def post_preupload(self, name: str, revision: str) -> None:
        del revision
        self._repository(name, write=True)
        self._json({"files": [
            {
                "path": file["path"], "shouldIgnore": False, "oid": None,
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
            }
            for file in json.loads(self.body)["files"]
        ]})  # fmt: skip

    def post_batch(self, name: str) -> None:
        self._repository(name, write=True)
        self._json({"transfer": "basic", "objects": [
            {
                "oid": one["oid"], "size": one["size"], "authenticated": True,
                "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}},
            }
            for one in json.loads(self.body)["objects"]
        ]})  # fmt: skip

    def put_object(self, digest: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != digest:
            raise Refused(400)
        self.hub.objects[digest] = self.body
        self._json({})

    def post_commit(self, name: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        before, files = self._commit(repository, revision)
        changed, message = dict(files), ""
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    message = value["summary"]
                    if value.get("parentCommit") not in (None, before):
                        raise Refused(412)
                case "file":
                    changed[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    changed[value["path"]] = self.hub.objects[value["oid"]]
                case "deletedFile":
                    del changed[value["path"]]
        oid = repository.commit(changed, revision, message)
        url = f"{self.hub.endpoint}/{name}/commit/{oid}"
        self._json({"commitUrl": url, "commitOid": oid, "success": True})


_NAME = r"(?P<name>[^/]+/[^/]+)"
_AT = r"(?P<revision>[^/]+)"
ROUTES: dict[str, Callable[..., None]] = {
    rf"GET /api/models/{_NAME}(/revision/{_AT})?": Handler.get_info,
    rf"GET /api/models/{_NAME}/tree/{_AT}/?": Handler.get_tree,
    rf"HEAD /{_NAME}/resolve/{_AT}/(?P<path>.+)": Handler.head_file,
    rf"GET /{_NAME}/resolve/{_AT}/(?P<path>.+)": Handler.get_file,
    r"POST /api/repos/create": Handler.post_create,
    r"POST /api/validate-yaml": Handler.post_validate,
    rf"POST /api/models/{_NAME}/branch/{_AT}": Handler.post_branch,
    rf"POST /api/models/{_NAME}/preupload/{_AT}": Handler.post_preupload,
    rf"POST /{_NAME}\.git/info/lfs/objects/batch": Handler.post_batch,
    r"PUT /lfs/(?P<digest>\w+)": Handler.put_object,
    rf"POST /api/models/{_NAME}/commit/{_AT}": Handler.post_commit,
}


@contextmanager
def running() -> Iterator[Hub]:
    """The stand-in, as long as the context lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """The cache of the Hub in this folder, nobody logged in."""
    with pytest.MonkeyPatch.context() as patch:
        # huggingface_hub reads its variables once, when it is imported.
        patch.setattr(constants, "HF_HUB_CACHE", str(folder))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_URL_HOSTS", constants.HF_URL_HOSTS | {"127.0.0.1"})
        yield
        huggingface_hub.close_session()


@contextmanager
def standing_in(cache: Path) -> Iterator[Hub]:
    """The stand-in in the place of the Hub, with a cache of its own and somebody logged in."""
    with own_cache(cache), running() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.setenv("HF_TOKEN", TOKEN)
        yield hub
