"""The frameworks table, in every state that a framework can be in."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import Host, Modality, PluginWarning
from llm_multi_core.embedder.host.known import KNOWN_FRAMEWORKS


def only(host, name):
    return [row for row in host.statuses() if row.name == name]


def test_nothing_installed():
    rows = Host(list).statuses()
    assert [row.name for row in rows] == [known.name for known in KNOWN_FRAMEWORKS]
    assert {row.status for row in rows} == {"not installed"}
    assert all(
        row.version is None and f'pip install "llm-multi-core[{row.distribution[15:]}]"' in row.reason for row in rows
    )


def test_available(install, host):
    install("acme", "return [spec('acme', Modality.TEXT, Modality.IMAGE, summary='Models of Acme')]", version="2.1")
    [row] = only(host, "acme")
    assert (row.modalities, row.distribution, row.version) == ((Modality.TEXT, Modality.IMAGE), "acme", "2.1")
    assert (row.status, row.reason, row.hosted, row.key_present, row.summary) == (
        "available",
        "",
        False,
        None,
        "Models of Acme",
    )
    assert host.statuses()[-1] == row


def test_missing(install, host):
    install("acme", "return [spec('acme', requires=['no-such-thing>=3'])]")
    [row] = only(host, "acme")
    assert row.status == "missing"
    assert 'pip install "no-such-thing>=3"' in row.reason


def test_ambiguous(install, host):
    install("acme", "return [spec('shared')]")
    install("zebra", "return [spec('shared'), spec('apart', Modality.TEXT)]")
    install("other", "return [spec('apart', Modality.IMAGE)]")
    assert [(row.distribution, row.status, row.reason) for row in only(host, "shared")] == [
        ("acme", "ambiguous", "also offered as zebra/shared; write 'acme/shared'"),
        ("zebra", "ambiguous", "also offered as acme/shared; write 'zebra/shared'"),
    ]
    assert [row.status for row in only(host, "apart")] == ["available", "available"]


def test_broken_and_known(install, host):
    install("llm-multi-core-timm", source="raise ValueError('no luck')", version="0.3")
    with pytest.warns(PluginWarning):
        host.plugins()
    rows = [row for row in host.statuses() if row.distribution == "llm-multi-core-timm"]
    assert [(row.name, row.status, row.version) for row in rows] == [
        ("timm", "broken", "0.3"),
        ("resnet", "broken", "0.3"),
    ]
    assert rows[0].reason == "failed at load: ValueError: no luck"
    assert rows[0].modalities == (Modality.IMAGE,)


def test_broken_and_unknown(install, host):
    install("acme", source="raise ValueError('no luck')", entry_point="Acme_Text")
    with pytest.warns(PluginWarning):
        host.plugins()
    [row] = only(host, "acme-text")
    assert (row.status, row.modalities, row.distribution) == ("broken", (), "acme")


@pytest.mark.parametrize("variable", ["LLM_MULTI_CORE_DISABLED_PLUGINS", "LLM_MULTI_CORE_PLUGINS"])
def test_disabled(install, host, monkeypatch, variable):
    install("llm-multi-core-jina", "return [spec('jina')]")
    monkeypatch.setenv(variable, "llm-multi-core-jina" if "DISABLED" in variable else "another")
    [row] = only(host, "jina")
    assert (row.status, row.reason) == ("disabled", f"excluded by the environment variable {variable}")


def test_half_of_a_distribution_is_broken(install_plugin, host):
    good = """
    from llm_multi_core.embedder import FrameworkSpec, hookimpl

    @hookimpl
    def llm_multi_core_frameworks():
        return [FrameworkSpec("huggingface", ("text",), "m:E")]
    """
    install_plugin(
        "llm-multi-core-transformers",
        entry_points={"text": "good_half", "audio": "bad_half"},
        modules={"good_half": good, "bad_half": "raise ValueError('no luck')"},
    )
    with pytest.warns(PluginWarning):
        host.plugins()
    states = {row.name: row.status for row in host.statuses()}
    assert (states["huggingface"], states["whisper"], states["vit"]) == ("available", "broken", "broken")
    assert len(only(host, "huggingface")) == 1


def test_an_installed_plugin_that_does_not_offer_it_yet(install, host):
    install("llm-multi-core-openai", "return [spec('openai')]")
    offered, absent = only(host, "openai")
    assert (offered.status, offered.modalities) == ("available", (Modality.TEXT,))
    assert (absent.status, absent.modalities, absent.version) == ("missing", (Modality.IMAGE, Modality.AUDIO), "1.0")
    assert 'pip install --upgrade "llm-multi-core[openai]"' in absent.reason


def test_a_stranger_may_offer_a_known_name(install, host):
    install("acme", "return [spec('stella')]")
    [row] = only(host, "stella")
    assert (row.distribution, row.status) == ("acme", "available")


@pytest.mark.parametrize(
    ("credentials", "environment", "present", "reason"),
    [
        ("Credentials(('ACME_KEY', 'ACME_TOKEN'))", {}, False, "needs a key: set ACME_KEY or ACME_TOKEN"),
        ("Credentials(('ACME_KEY', 'ACME_TOKEN'))", {"ACME_TOKEN": "s3cret"}, True, ""),
        ("Credentials(('ACME_KEY',))", {"ACME_KEY": "  "}, False, "needs a key: set ACME_KEY"),
        ("Credentials(('ACME_KEY',), chain='azure')", {}, None, ""),
        ("Credentials(('ACME_KEY',), chain='azure')", {"ACME_KEY": "s3cret"}, True, ""),
    ],
)
def test_keys(install, host, monkeypatch, credentials, environment, present, reason):
    for variable in ("ACME_KEY", "ACME_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    install("acme", f"return [spec('acme', hosted=True, credentials={credentials})]")
    [row] = only(host, "acme")
    assert (row.status, row.hosted, row.key_present, row.reason) == ("available", True, present, reason)
    assert "s3cret" not in repr(row)
