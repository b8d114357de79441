"""`models`: a framework's well-known models and its options."""

from __future__ import annotations

import json
import re

import pytest

SOURCE = """
    from llm_multi_core.embedder import FrameworkSpec, Modality, ModelSpec, OptionSpec, hookimpl

    MODELS = (
        ModelSpec("acme/small", (Modality.TEXT,), 64, (16, 32), 512, note="the usual one", source="https://acme.example"),
        ModelSpec("acme/coded", (Modality.TEXT, Modality.IMAGE), trust_remote_code=True),
    )
    OPTIONS = (
        OptionSpec("pooling", str, "mean", affects_space=True, choices=("mean", "cls"), summary="how tokens join"),
        OptionSpec("layers", (list, tuple), None, summary="which layers"),
        OptionSpec("fast", bool, False),
    )

    @hookimpl
    def llm_multi_core_frameworks():
        yield FrameworkSpec(
            "acme",
            ("text", "image"),
            "nowhere:Nothing",
            default_model={"text": "acme/small", "image": "acme/unlisted"},
            options=OPTIONS,
            summary="Acme's models",
            models=MODELS,
        )
        yield FrameworkSpec("plain", ("audio",), "nowhere:Nothing")
"""


@pytest.fixture(autouse=True)
def acme(install_plugin):
    install_plugin("acme-plugin", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": SOURCE})


def cells(text):
    return [re.split(r"\s{2,}", line) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", ["acme", "acme-plugin/acme"])
def test_the_tables(run, name):
    result = run("models", name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert cells(result.stdout) == [
        ["acme of acme-plugin 1.0: Acme's models"],
        ["model", "modalities", "dimensions", "longest input", "own code", "note"],
        ["acme/small *", "text", "16, 32, 64", "512 tokens", "no", "the usual one"],
        ["acme/coded", "text,image", "-", "-", "yes"],
        ["acme/unlisted *", "image", "-", "-", "-"],
        ["option", "type", "default", "changes the space", "what it is"],
        ["pooling", "mean|cls", "mean", "yes", "how tokens join"],
        ["layers", "list or tuple", "-", "no", "which layers"],
        ["fast", "bool", "False", "no"],
    ]


def test_json(run):
    (entry,) = json.loads(run("models", "acme", "--json").stdout)
    assert (entry["framework"], entry["plugin"], entry["version"]) == ("acme", "acme-plugin", "1.0")
    assert entry["default_model"] == {"text": "acme/small", "image": "acme/unlisted"}
    assert entry["models"][0] == {
        "name": "acme/small",
        "modalities": ["text"],
        "dimension": 64,
        "dimensions": [16, 32],
        "max_units": 512,
        "unit": "token",
        "trust_remote_code": False,
        "note": "the usual one",
        "source": "https://acme.example",
        "price": None,
    }
    assert entry["options"][0] == {
        "name": "pooling",
        "type": ["str"],
        "default": "mean",
        "choices": ["mean", "cls"],
        "affects_space": True,
        "summary": "how tokens join",
    }


def test_a_framework_with_neither(run):
    result = run("models", "plain")
    assert result.exit_code == 0
    assert "note: plain names no models" in result.stderr
    assert "note: plain has no options of its own" in result.stderr


def test_an_unknown_framework(run):
    result = run("models", "acmee")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no framework 'acmee'")
    assert "did you mean 'acme'" in result.stderr


def test_one_that_is_not_installed_has_its_install_line(run, monkeypatch):
    monkeypatch.setattr("llm_multi_core.embedder.host.host._default_host._entry_points", list)
    result = run("models", "openai")
    assert result.exit_code == 2
    assert 'pip install "llm-multi-core[openai]"' in result.stderr


def test_one_whose_requirement_is_missing_says_which(run, missing_framework):
    result = run("models", missing_framework)
    assert result.exit_code == 2
    assert "llm-multi-core-never-written" in result.stderr


def test_frameworks_that_put_media_into_words_have_a_catalogue_as_well(run, tmp_path):
    for name, modality in (("caption", "image"), ("transcript", "audio")):
        (entry,) = json.loads(run("models", name, "--json").stdout)
        assert entry["modalities"] == [modality]
        assert entry["default_model"][modality] in [model["name"] for model in entry["models"]]
        assert {"prompt", "max_new_tokens", "revision"} <= {option["name"] for option in entry["options"]}
        file = tmp_path / "no.file"
        file.write_bytes(b"nothing that is looked at")
        refused = run("embed", "--modality", modality, "--framework", name, str(file))
        assert refused.exit_code != 0
        assert f"turns {modality} into text and embeds nothing by itself" in refused.stderr
