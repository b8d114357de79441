"""The environment variables that let plugins in, keep them out, and make faults fatal."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import FrameworkUnavailableError, Modality, PluginError
from llm_multi_core.embedder.host.discovery import PluginFilter

ALLOW, DENY, STRICT = "LLM_MULTI_CORE_PLUGINS", "LLM_MULTI_CORE_DISABLED_PLUGINS", "LLM_MULTI_CORE_STRICT"


@pytest.fixture
def two_plugins(install):
    install("acme-embeddings", "return [spec('acme')]", entry_point="acme_text")
    install("zebra-embeddings", "return [spec('zebra')]")


@pytest.mark.parametrize(
    ("environment", "active"),
    [
        ({}, ["acme-embeddings", "zebra-embeddings"]),
        ({ALLOW: "acme-embeddings"}, ["acme-embeddings"]),
        ({ALLOW: "ACME_Text"}, ["acme-embeddings"]),
        ({ALLOW: " acme-embeddings , zebra.embeddings "}, ["acme-embeddings", "zebra-embeddings"]),
        ({ALLOW: "none"}, []),
        ({ALLOW: "  "}, ["acme-embeddings", "zebra-embeddings"]),
        ({DENY: "zebra_embeddings"}, ["acme-embeddings"]),
        ({DENY: "acme-text,zebra-embeddings"}, []),
        ({ALLOW: "acme-embeddings", DENY: "acme-embeddings"}, []),
    ],
    ids=str,
)
def test_who_is_let_in(two_plugins, host, monkeypatch, environment, active):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert [record.distribution for record in host.plugins() if record.status == "active"] == active
    assert all(record.status == "disabled" for record in host.plugins() if record.distribution not in active)


def test_a_plugin_that_is_kept_out_is_not_loaded(install, host, monkeypatch):
    install("broken", source="raise ValueError")
    monkeypatch.setenv(DENY, "broken")
    monkeypatch.setenv(STRICT, "1")
    assert host.plugins()[0].status == "disabled"


@pytest.mark.parametrize(("variable", "value"), [(DENY, "llm-multi-core-cohere"), (ALLOW, "something-else")])
def test_asking_for_a_disabled_framework_names_the_variable(install, host, monkeypatch, variable, value):
    install("llm-multi-core-cohere", "return [spec('cohere')]")
    monkeypatch.setenv(variable, value)
    for name in ("cohere", "llm-multi-core-cohere/cohere"):
        with pytest.raises(FrameworkUnavailableError, match=f"'cohere' is disabled.* {variable} "):
            host.find(name, Modality.TEXT)
    assert not host.available()["text"]["cohere"]


@pytest.mark.parametrize("value", ["1", "true", " YES ", "on"])
def test_strict(install, host, monkeypatch, value):
    install("broken", source="raise ValueError('no luck')")
    monkeypatch.setenv(STRICT, value)
    with pytest.raises(PluginError, match="no luck"):
        host.plugins()


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_not_strict(value):
    assert not PluginFilter.from_environment({STRICT: value}).strict


def test_the_environment_is_read_again_by_a_refresh(two_plugins, host, monkeypatch):
    assert len(host.offers()) == 2
    monkeypatch.setenv(DENY, "acme-embeddings")
    assert len(host.offers()) == 2
    host.refresh()
    assert len(host.offers()) == 1
