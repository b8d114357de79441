"""A hub on the loopback interface, and a cache folder of the tests' own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(folder))
    return folder


class Hub:
    """Serves one repository as the hub's API does; notes what is asked for."""

    commit = COMMIT

    def __init__(
        self, files: dict[str, bytes], gated: bool = False, discussions: list[dict[str, object]] | None = None
    ) -> None:
        self.files = files
        self.gated = gated
        self.discussions = discussions
        self.requests: list[str] = []
        self.downloads: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self)

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        parts = request.path.partition("?")[0].strip("/").split("/")
        if parts[-1] == "discussions":
            self.list_discussions(request)
            return
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            if name != "acme/tiny":
                self.refuse(request, 404, "RepoNotFound")
            elif revision not in {"main", COMMIT}:
                self.refuse(request, 404, "RevisionNotFound")
            else:
                siblings = [self.sibling(file) for file in self.files]
                self.send(request, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())
            return
        file = "/".join(parts[4:])
        if self.gated:
            self.refuse(request, 403, "GatedRepo")
        elif file not in self.files:
            self.refuse(request, 404, "EntryNotFound")
        else:
            content = self.files[file]
            if request.command == "GET":
                self.downloads.append(file)
            digest = hashlib.sha256(content).hexdigest() if self.is_large(file) else hashlib.sha1(content).hexdigest()
            self.send(request, content, **{"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT})

    def list_discussions(self, request: BaseHTTPRequestHandler) -> None:
        if self.discussions is None:
            self.refuse(request, 404, "EntryNotFound")
            return
        repository = {"name": "acme/tiny", "type": "model"}
        listed = [{**each, "repo": repository} for each in self.discussions]
        page = {"discussions": listed, "count": len(listed), "start": 0}
        self.send(request, json.dumps(page).encode(), **{"Content-Type": "application/json"})

    def sibling(self, file: str) -> dict[str, object]:
        entry: dict[str, object] = {"rfilename": file, "size": len(self.files[file])}
        if self.is_large(file):
            digest = hashlib.sha256(self.files[file]).hexdigest()
            entry["lfs"] = {"sha256": digest, "size": entry["size"], "pointerSize": 130}
        return entry

    @staticmethod
    def is_large(file: str) -> bool:
        return file.endswith((".safetensors", ".bin", ".onnx"))

    @staticmethod
    def send(request: BaseHTTPRequestHandler, content: bytes, **headers: str) -> None:
        request.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)

    @staticmethod
    def refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """Starts a hub that serves `acme/tiny`, and makes it the hub of this process."""
    from huggingface_hub import constants, file_download

    started: list[Hub] = []

    def start(files: dict[str, bytes], **settings: Any) -> Hub:
        served = Hub(files, **settings)
        started.append(served)
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        for module in (constants, file_download):
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        return served

    yield start
    for served in started:
        served.server.shutdown()
        served.server.server_close()
