"""Importing the library, and asking what is available, loads no framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from llm_multi_core.embedder.testing.distributions import write_distribution

HEAVY = {
    "PIL",
    "cohere",
    "google.genai",
    "httpx",
    "huggingface_hub",
    "langchain",
    "langchain_core",
    "llama_index",
    "onnxruntime",
    "open_clip",
    "openai",
    "pydantic",
    "requests",
    "rich",
    "safetensors",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "soundfile",
    "timm",
    "torch",
    "tqdm",
    "transformers",
    "typer",
}

PLUGIN = """
from llm_multi_core.embedder import FrameworkSpec, hookimpl

@hookimpl
def llm_multi_core_frameworks():
    return [FrameworkSpec("acme", ("text",), "acme_encoder:Encoder", requires=("numpy",))]
"""


def loaded(statement, folder):
    """The modules that a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


@pytest.fixture
def folder(tmp_path):
    modules = {"acme_plugin": PLUGIN, "acme_encoder": "raise AssertionError('imported')"}
    write_distribution(tmp_path, "acme", entry_points={"acme": "acme_plugin"}, modules=modules)
    return tmp_path


def test_importing_the_library(folder):
    modules = loaded("import llm_multi_core.embedder", folder)
    assert not modules & (HEAVY | {"pluggy", "acme_plugin"})
    assert not any(name.startswith("llm_multi_core_") for name in modules)


def test_asking_what_is_available(folder):
    statement = (
        "from llm_multi_core.embedder import get_available_embedders as ask, Host\n"
        "assert ask()['text']['acme']\n"
        "Host().statuses()"
    )
    modules = loaded(statement, folder)
    assert "acme_plugin" in modules
    assert not modules & (HEAVY | {"acme_encoder"})


def test_making_an_embedder(folder):
    statement = (
        "from llm_multi_core.embedder import create_text_embedder\nrepr(create_text_embedder('acme', model='small'))"
    )
    assert not loaded(statement, folder) & (HEAVY | {"acme_encoder"})
