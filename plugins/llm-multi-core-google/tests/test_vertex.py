"""Vertex AI: its methods, its limits, and Google Cloud's credentials, found by the SDK itself."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image

from llm_multi_core.embedder import InvalidOptionError, MissingCredentialsError, create_text_embedder
from llm_multi_core.embedder.errors import EmbedderError
from llm_multi_core.embedder.testing.hosted.google import ACCESS_TOKEN

VERTEX = {"vertexai": True, "project": "some-project", "location": "europe-west4"}


@pytest.fixture
def service_account(server, tmp_path, monkeypatch):
    """A service account's file, whose tokens come from the double."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    account = {
        "type": "service_account",
        "project_id": "some-project",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "robot@some-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{server.base_url}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return file


def methods(server):
    return [record.path.rpartition(":")[2] for record in server.requests if record.path != "/token"]


def test_google_cloud_credentials_are_found(server, make, service_account):
    embedder = make(server, api_key=None, dimensions=256, **VERTEX)
    vectors = embedder.embed_batch(["a", "b", "c"], role="query")
    assert vectors.shape == (3, 256)
    assert methods(server) == ["embedContent"] * 3
    sent = [record for record in server.requests if record.path != "/token"]
    assert {record.headers["authorization"] for record in sent} == {f"Bearer {ACCESS_TOKEN}"}
    assert all("x-goog-api-key" not in record.headers for record in sent)
    place = "/v1beta1/projects/some-project/locations/europe-west4/publishers/google/models/gemini-embedding-001"
    assert {record.path for record in sent} == {f"{place}:embedContent"}
    config = json.loads(sent[0].body)["embedContentConfig"]
    assert config == {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256, "autoTruncate": False}
    assert server.violations == []


def test_a_key_in_the_environment_is_not_for_a_project(server, make, service_account, monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "of-the-gemini-api")
    make(server, api_key=None, **VERTEX).embed("a")
    assert all("of-the-gemini-api" not in record.headers.values() for record in server.requests)


def test_a_key_serves_without_a_project(server, make):
    embedder = make(server, vertexai=True)
    embedder.embed_batch(["a", "b"])
    assert {record.path for record in server.requests} == {
        "/v1beta1/publishers/google/models/gemini-embedding-001:embedContent"
    }
    assert server.violations == []


def test_the_space_is_the_same_wherever_the_model_is_asked(server, make):
    here, there = make(server), make(server, vertexai=True)
    assert here.space == there.space
    assert here.encoder_id != there.encoder_id
    np.testing.assert_allclose(here.embed("a"), there.embed("a"), atol=1e-6)


def test_missing_credentials_are_told(server, make, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(EmbedderError, match=r"none\.json was not found"):
        make(server, api_key=None, **VERTEX).embed_batch(["a", "b"])
    assert server.requests == []


def test_other_text_models_are_asked_by_predict(server, make):
    embedder = make(server, "text-embedding-005", vertexai=True)
    texts = [f"word {number} " * 20 for number in range(600)]  # about 80 tokens each by the host's estimate
    vectors = embedder.embed_batch(texts, role="document")
    assert vectors.shape == (600, 768)
    assert set(methods(server)) == {"predict"}
    assert max(len(call.contents) for call in server.calls) <= 250
    assert len(server.calls) < 10
    assert {call.role for call in server.calls} == {"RETRIEVAL_DOCUMENT|"}
    assert server.violations == []


def test_text_that_turns_out_too_long_is_shortened(server, make):
    """Vertex AI refuses it, so that a cautious estimate need not cut what would have fitted."""
    embedder = make(server, vertexai=True, truncation="truncate")
    fits, long = "a" * 7000, "a " * 3200  # by the estimate 2,334 and 2,134 tokens; by the double 1 and 3,200
    result = embedder.run([fits, long])
    assert [cut.index for cut in result.report.truncations] == [1]
    assert fits in {content.key for call in server.calls for content in call.contents}
    assert all(call.units <= 2048 for call in server.calls)


def test_media_go_one_a_request(server, make):
    file = io.BytesIO()
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(file, "PNG")
    embedder = make(server, modality="image", vertexai=True)
    report = embedder.run([file.getvalue(), np.ones((5, 5, 3), np.uint8)]).report
    assert methods(server) == ["embedContent"] * 2
    assert report.billed_units == 2 * 258
    assert server.violations == []


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(InvalidOptionError, match="project= of framework 'gemini' is for vertexai=True"):
        _ = create_text_embedder("gemini", api_key="k", project="some-project").dimension
    with pytest.raises(InvalidOptionError, match="cannot ask Vertex AI"):
        _ = create_text_embedder("gemini", vertexai=True, transport="google-generativeai").dimension
    with pytest.raises(MissingCredentialsError, match="GEMINI_API_KEY"):
        create_text_embedder("gemini", vertexai=False).embed("a")
