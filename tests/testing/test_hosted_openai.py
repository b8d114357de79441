"""OpenAI's double over a bare HTTP client: what it answers, and what it refuses. The SDK's tests are the plugin's."""

from __future__ import annotations

import base64

import httpx
import numpy as np
import pytest

from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults, HostedServer
from llm_multi_core.embedder.testing.hosted.openai import (
    MAX_FILE_BYTES,
    AzureWire,
    OpenAIWire,
    ServedModel,
    caption_of,
    media_key,
    transcript_of,
)

PNG = base64.b64encode(b"a picture").decode()
SMALL = "text-embedding-3-small"


@pytest.fixture
def server():
    with HostedServer(OpenAIWire(blank=[media_key(b"silence")], refused=[media_key(b"refused")])) as server:
        yield server


def post(server, path, body=None, headers=None, **keywords):
    headers = {"authorization": "Bearer k"} if headers is None else headers
    return httpx.post(f"{server.base_url}{path}", json=body, headers=headers, **keywords)


def expected(text, dimension, model=SMALL):
    return OpenAIWire().vector(Content(text, 0, 0), EmbeddingCall((), model, dimension))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(server, encoding):
    reply = post(server, "/embeddings", {"model": SMALL, "input": ["a b", "c"], "encoding_format": encoding}).json()
    assert [entry["index"] for entry in reply["data"]] == [0, 1]
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for entry, text in zip(reply["data"], ["a b", "c"], strict=True):
        vector = entry["embedding"]
        found = np.frombuffer(base64.b64decode(vector), "<f4") if encoding == "base64" else vector
        np.testing.assert_allclose(found, expected(text, 1536), rtol=1e-6)


def test_fewer_dimensions_are_the_first_ones(server):
    (entry,) = post(server, "/embeddings", {"model": SMALL, "input": "a", "dimensions": 8}).json()["data"]
    first = expected("a", 1536)[:8]
    np.testing.assert_allclose(entry["embedding"], first / np.linalg.norm(first), rtol=1e-5)


def test_tokens_are_inputs_as_well(server):
    assert len(post(server, "/embeddings", {"model": SMALL, "input": [1, 2, 3]}).json()["data"]) == 1
    assert len(post(server, "/embeddings", {"model": SMALL, "input": [[1, 2], [3]]}).json()["data"]) == 2
    assert [call.units for call in server.calls] == [3, 3]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"model": "text-embedding-9"}, 404, "model_not_found"),
        ({"input": []}, 400, "empty"),
        ({"input": [""]}, 400, "empty"),
        ({"input": [1.5]}, 400, "invalid_type"),
        ({"input": ["a"] * 2049}, 400, "too_many"),
        ({"input": ["a " * 8193]}, 400, None),
        ({"input": ["a " * 8000] * 38}, 400, "max_tokens_per_request"),
        ({"dimensions": 1537}, 400, "invalid_value"),
        ({"dimensions": True}, 400, "invalid_type"),
        ({"model": "text-embedding-ada-002", "dimensions": 256}, 400, "unsupported_dimensions"),
        ({"encoding_format": "hex"}, 400, "invalid_value"),
        ({"input_type": "query"}, 400, "unknown_parameter"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(server, change, status, code):
    reply = post(server, "/embeddings", {"model": SMALL, "input": ["a"], **change})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert len(server.violations) == 1


def test_a_required_field_and_a_key_and_a_path_are_needed(server):
    assert post(server, "/embeddings", {"input": "a"}).json()["error"]["code"] == "missing_required_parameter"
    assert post(server, "/embeddings", {"model": SMALL, "input": "a"}, headers={}).status_code == 401
    assert post(server, "/nothing", {}).status_code == 404
    assert httpx.get(f"{server.base_url}/embeddings", headers={"authorization": "Bearer k"}).status_code == 405


def test_servers_without_base64_or_dimensions():
    with HostedServer(OpenAIWire({"bge": ServedModel(16)}, base64=False)) as server:
        assert len(post(server, "/embeddings", {"model": "bge", "input": "a"}).json()["data"][0]["embedding"]) == 16
        refused = post(server, "/embeddings", {"model": "bge", "input": "a", "encoding_format": "base64"})
    assert refused.json()["error"]["code"] == "invalid_value"


def chat(data=PNG, **changes):
    url = {"url": f"data:image/png;base64,{data}", "detail": "low"}
    content = [{"type": "text", "text": "Describe it"}, {"type": "image_url", "image_url": url}]
    return {"model": "gpt-6-luna", "messages": [{"role": "user", "content": content}], **changes}


def test_a_chat_gives_the_caption_of_a_picture(server):
    reply = post(server, "/chat/completions", chat(reasoning_effort="none", max_completion_tokens=9)).json()
    assert reply["choices"][0]["message"]["content"] == caption_of(b"a picture")
    assert reply["usage"] == {"prompt_tokens": 87, "completion_tokens": 5, "total_tokens": 92}
    assert server.calls == []


@pytest.mark.parametrize(
    "body", [chat(data="&&"), chat(reasoning_effort="much"), chat(stream=True), chat(messages=[]), chat(messages=[1])]
)
def test_a_chat_that_is_not_as_documented_is_refused(server, body):
    assert post(server, "/chat/completions", body).status_code == 400


def transcribe(server, data, name="sound.wav", **fields):
    return post(
        server, "/audio/transcriptions", data={"model": "gpt-transcribe", **fields}, files={"file": (name, data)}
    )


def test_transcriptions_of_any_bytes(server):
    data = bytes(range(256)) * 1000 + b"\r\n--\r\n"
    reply = transcribe(server, data).json()
    assert reply["text"] == transcript_of(data)
    assert reply["usage"] == {"type": "duration", "seconds": len(data) / 32000}
    assert transcribe(server, data, model="gpt-4o-transcribe").json()["usage"]["type"] == "tokens"


def test_transcriptions_that_are_refused(server):
    assert transcribe(server, b"x", name="sound.txt").status_code == 400
    assert transcribe(server, b"x", speaker="me").status_code == 400
    assert transcribe(server, b"x" * (MAX_FILE_BYTES + 1)).status_code == 413
    assert post(server, "/audio/transcriptions", {"model": "gpt-transcribe"}).status_code == 400
    assert transcribe(server, b"refused").json()["error"]["code"] == "content_policy_violation"
    assert transcribe(server, b"silence").json()["text"] == ""


def test_a_refused_key_is_repeated_in_full():
    with HostedServer(OpenAIWire(), faults=Faults(denied_keys=frozenset({"sk-secret"}))) as server:
        headers = {"authorization": "Bearer sk-secret"}
        error = post(server, "/embeddings", {"model": SMALL, "input": "a"}, headers=headers).json()["error"]
    assert error["code"] == "invalid_api_key"
    assert "sk-secret" in error["message"]


def test_azure():
    path = "/openai/deployments/mine/embeddings"
    with HostedServer(AzureWire({"mine": SMALL})) as server:
        for headers in ({"api-key": "k"}, {"authorization": "Bearer t"}):
            reply = post(server, f"{path}?api-version=2026-01-01", {"input": "a"}, headers=headers)
            assert reply.json()["model"] == SMALL
        assert post(server, f"{path}?api-version=1", {"input": "a"}, headers={}).status_code == 401
        assert post(server, path, {"input": "a"}).status_code == 404
        other = post(server, path.replace("mine", "yours") + "?api-version=1", {"input": "a"})
        assert other.json()["error"]["code"] == "DeploymentNotFound"
    np.testing.assert_allclose(reply.json()["data"][0]["embedding"], expected("a", 1536), rtol=1e-6)
