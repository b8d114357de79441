"""Azure's client: deployments, keys, Entra ID."""

from __future__ import annotations

import json
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from llm_multi_core.embedder import AccessDeniedError, InvalidOptionError, MissingCredentialsError, create_text_embedder
from llm_multi_core.embedder.testing.hosted import Faults
from llm_multi_core.embedder.testing.media import draw_picture, synthesise

TOKEN = "entra-token-0123456789abcdef"


@pytest.fixture
def make_azure(azure, open_embedder):
    def maker(modality="text", **settings):
        settings = {"azure_endpoint": azure.base_url, "api_version": "2026-01-01", "api_key": "azure-key", **settings}
        return open_embedder("azure-openai", modality, **settings)

    return maker


def test_a_key_and_the_deployment_reach_the_wire(make_azure, azure, expected):
    embedder = make_azure(azure_deployment="mine", dimensions=64)
    texts = [f"text {number}" for number in range(300)]
    np.testing.assert_allclose(embedder.embed_batch(texts), expected(texts, dimension=64), atol=1e-6)
    for record in azure.requests:
        assert record.path == "/openai/deployments/mine/embeddings"
        assert record.query == {"api-version": "2026-01-01"}
        assert record.headers["api-key"] == "azure-key"
        assert "authorization" not in record.headers
    assert azure.violations == []


def test_a_deployment_is_called_like_its_model_by_default(make_azure, azure):
    make_azure().embed("a")
    assert azure.requests[0].path == "/openai/deployments/text-embedding-3-small/embeddings"


def test_images_and_audio(make_azure, azure):
    assert make_azure("image").embed(draw_picture(64, 48, 1)).shape == (1536,)
    assert make_azure("audio").embed(synthesise(0.3, seed=1)).shape == (1536,)
    assert [record.path.rpartition("deployments/")[2] for record in azure.requests] == [
        "gpt-6-luna/chat/completions",
        "text-embedding-3-small/embeddings",
        "gpt-transcribe/audio/transcriptions",
        "text-embedding-3-small/embeddings",
    ]
    assert azure.violations == []


def test_settings_from_the_environment(azure, open_embedder, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", azure.base_url)
    monkeypatch.setenv("OPENAI_API_VERSION", "2026-01-01")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-the-environment")
    monkeypatch.setenv("OPENAI_API_KEY", "openais")
    open_embedder("azure-openai").embed("a")
    assert azure.requests[0].headers["api-key"] == "from-the-environment"


@pytest.mark.parametrize(
    ("missing", "variable"), [("azure_endpoint", "AZURE_OPENAI_ENDPOINT"), ("api_version", "OPENAI_API_VERSION")]
)
def test_what_is_missing_is_named(make_azure, azure, missing, variable):
    with pytest.raises(InvalidOptionError, match=f"{missing}=... or the variable {variable}"):
        make_azure(**{missing: None}).embed("a")
    assert azure.requests == []


def test_an_entra_token_may_be_passed_and_rotates(make_azure, azure):
    tokens = iter([f"{TOKEN}{number}" for number in range(20)])
    embedder = make_azure(azure_auth="entra", api_key=lambda: next(tokens))
    embedder.embed("a")
    embedder.embed("b")
    sent = [record.headers["authorization"] for record in azure.requests]
    assert len(set(sent)) == 2
    assert all(value.startswith(f"Bearer {TOKEN}") for value in sent)
    assert all("api-key" not in record.headers for record in azure.requests)


@pytest.fixture
def azure_identity(monkeypatch):
    """A library `azure.identity` whose chain finds a token; the event is set when a credential is closed."""
    closed = threading.Event()

    class DefaultAzureCredential:
        async def get_token(self, scope):
            assert scope == "https://cognitiveservices.azure.com/.default"
            return SimpleNamespace(token=TOKEN)

        async def close(self):
            closed.set()

    names = ("azure", "azure.identity", "azure.identity.aio")
    modules = {name: ModuleType(name) for name in names}
    modules["azure.identity.aio"].DefaultAzureCredential = DefaultAzureCredential
    for name, module in modules.items():
        module.__spec__ = SimpleNamespace(name=name)
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    return closed


def test_without_a_key_azures_chain_is_asked(make_azure, azure, azure_identity):
    make_azure(api_key=None).embed("a")
    assert azure.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_token_of_the_chain_is_shown_nowhere(make_azure, azure, azure_identity):
    azure.faults = Faults(denied_keys=frozenset({TOKEN}))
    with pytest.raises(AccessDeniedError) as caught:
        make_azure(api_key=None).embed("a")
    assert TOKEN not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "401" in str(caught.value)


def test_a_chain_that_gives_no_token_ends_the_call(make_azure, azure, azure_identity, monkeypatch):
    async def fail(self, scope):
        raise RuntimeError("no managed identity here")

    credential = sys.modules["azure.identity.aio"].DefaultAzureCredential
    monkeypatch.setattr(credential, "get_token", fail)
    with pytest.raises(MissingCredentialsError, match="no managed identity here"):
        make_azure(api_key=None).embed_batch(["a", "b"])
    assert azure.requests == []


def test_the_chains_credential_is_closed(azure, azure_identity):
    settings = {"azure_endpoint": azure.base_url, "api_version": "1"}
    with create_text_embedder("azure-openai", **settings) as embedder:
        embedder.embed("a")
    assert azure_identity.wait(timeout=60)  # it is closed on the I/O loop, in its own time


def test_neither_key_nor_chain(make_azure, azure, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure", None)
    with pytest.raises(MissingCredentialsError, match=r"AZURE_OPENAI_API_KEY.*llm-multi-core-openai\[entra\]"):
        make_azure(api_key=None).embed("a")
    assert azure.requests == []


def test_a_deployment_that_does_not_exist_ends_the_call_at_once(make_azure, azure):
    with pytest.raises(Exception, match="deployment"):
        make_azure(azure_deployment="yours").embed_batch([f"text {number}" for number in range(500)])
    assert len(azure.requests) < 10
    assert json.loads(azure.requests[0].body)["model"] == "yours"
