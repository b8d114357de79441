"""`frameworks`, `plugins`, `--version` and `--help`."""

from __future__ import annotations

import json
import re
from importlib import metadata

import pytest

from llm_multi_core.embedder.testing.distributions import write_distribution

NEEDY = """
from llm_multi_core.embedder import FrameworkSpec, hookimpl


@hookimpl
def llm_multi_core_frameworks():
    return [
        FrameworkSpec("zebra", ("text",), "zebra:Encoder", requires=("zebra-sdk[audio]>=2",)),
        FrameworkSpec("scribe", ("audio",), describer="zebra:Scribe", bridge={"audio": "transcript"}),
    ]
"""


def test_version(run):
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"llm-multi-core {metadata.version('llm-multi-core')}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_the_commands(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.stderr == ""
    for command in ("frameworks", "plugins", "models", "embed", "similarity"):
        assert re.search(rf"^  {command} +\w", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ["frameworks", "plugins", "models", "embed", "similarity"])
def test_each_command_has_help(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout
    assert "api" not in result.stdout


def test_the_installed_command_is_this_one():
    [point] = metadata.entry_points(group="console_scripts", name="llm-multi-core")
    from llm_multi_core.embedder.cli import main

    assert point.load() is main


def test_frameworks_in_a_pipe_are_lines_of_columns(run, install_plugin, fake_framework):
    install_plugin("acme", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": "raise ValueError('no luck')"})
    install_plugin("zebra", entry_points={"zebra": "zebra_plugin"}, modules={"zebra_plugin": NEEDY})
    result = run("frameworks")
    assert result.exit_code == 0
    assert "…" not in result.stdout
    assert "\x1b" not in result.stdout
    header, *lines = [re.split(r"\s{2,}", line) for line in result.stdout.splitlines()]
    assert header == ["framework", "modalities", "plugin", "version", "status", "key", "why not"]
    rows = {line[0]: line for line in lines}
    assert rows["fake"] == ["fake", "text", "llm-multi-core-fake", "1.0", "available", "-"]
    assert rows["acme"][1:6] == ["?", "acme", "1.0", "broken", "-"]
    assert rows["acme"][6] == "failed at load: ValueError: no luck"
    assert rows["zebra"][4:] == [
        "missing",
        "-",
        'needs zebra-sdk[audio]>=2 (not installed); install with: pip install "zebra-sdk[audio]>=2"',  # no markup
    ]
    assert rows["scribe"][1] == "audio to text"
    assert result.stderr.startswith("warning: plugin 'acme' of acme 1.0 is broken")
    assert result.stderr.count("\n") == 1


def test_frameworks_as_json(run, fake_framework):
    rows = json.loads(run("frameworks", "--json").stdout)
    assert {"openai", "clip", "whisper", "fake"} <= {row["framework"] for row in rows}
    [fake] = [row for row in rows if row["framework"] == "fake"]
    assert fake == {
        "framework": "fake",
        "modalities": ["text"],
        "embeds": True,
        "plugin": "llm-multi-core-fake",
        "version": "1.0",
        "status": "available",
        "reason": "",
        "hosted": False,
        "key_present": None,
        "summary": "A deterministic fake for tests",
    }


def test_frameworks_of_one_modality(run, fake_framework):
    rows = json.loads(run("frameworks", "--modality", "audio", "--json").stdout)
    names = {row["framework"] for row in rows}
    assert {"whisper", "hubert", "openai", "gemini"} <= names
    assert not {"fake", "timm", "cohere"} & names
    assert "fake " not in run("frameworks", "--modality", "audio").stdout


def test_a_modality_that_does_not_exist(run):
    result = run("frameworks", "--modality", "smell")
    assert result.exit_code == 2
    assert "'smell' is not one of text, image, audio" in result.stderr


def test_keys(run, install_plugin, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "s3cret")
    source = """
    from llm_multi_core.embedder import Credentials, FrameworkSpec, hookimpl

    @hookimpl
    def llm_multi_core_frameworks():
        for name, variable in (("with-key", "ACME_KEY"), ("without-key", "NO_SUCH_KEY")):
            yield FrameworkSpec(name, ("text",), "m:E", hosted=True, credentials=Credentials((variable,)))
    """
    install_plugin("acme", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": source})
    result = run("frameworks")
    assert re.search(r"^with-key .* available +yes$", result.stdout, re.MULTILINE)
    assert re.search(r"^without-key .* available +no +needs a key: set NO_SUCH_KEY$", result.stdout, re.MULTILINE)
    assert "s3cret" not in result.output


def test_plugins(run, install_plugin, fake_framework, monkeypatch):
    install_plugin("acme", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": "raise ValueError('no luck')"})
    install_plugin("zebra", entry_points={"zebra": "zebra_plugin"}, modules={"zebra_plugin": ""})
    monkeypatch.setenv("LLM_MULTI_CORE_DISABLED_PLUGINS", "zebra")
    result = run("plugins")
    rows = {line.split()[0]: re.split(r"\s{2,}", line) for line in result.stdout.splitlines()}
    assert rows["plugin"] == ["plugin", "version", "status", "frameworks", "fault"]
    assert rows["llm-multi-core-fake"] == ["llm-multi-core-fake", "1.0", "active", "fake,fake-hosted"]
    assert rows["acme"] == ["acme", "1.0", "broken", "-", "load: ValueError: no luck"]
    assert rows["zebra"] == ["zebra", "1.0", "disabled", "-", "excluded by LLM_MULTI_CORE_DISABLED_PLUGINS"]

    entries = {entry["plugin"]: entry for entry in json.loads(run("plugins", "--json").stdout)}
    assert entries["acme"] == {
        "plugin": "acme",
        "entry_point": "acme",
        "version": "1.0",
        "status": "broken",
        "frameworks": [],
        "fault": "load: ValueError: no luck",
        "disabled_by": None,
    }
    assert entries["llm-multi-core-fake"]["frameworks"] == ["fake", "fake-hosted"]
    assert entries["zebra"]["disabled_by"] == "LLM_MULTI_CORE_DISABLED_PLUGINS"


def test_no_plugin_at_all(run, monkeypatch):
    monkeypatch.setattr("llm_multi_core.embedder.host.host._default_host._entry_points", list)
    from llm_multi_core.embedder.host import default_host

    default_host().refresh()
    try:
        result = run("plugins")
        assert result.exit_code == 0
        assert "no plugin is installed" in result.stderr
        assert json.loads(run("plugins", "--json").stdout) == []
    finally:
        monkeypatch.undo()
        default_host().refresh()


def test_strict_mode_is_an_error_of_one_line(run, install_plugin, monkeypatch):
    install_plugin("acme", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": "raise ValueError('no luck')"})
    monkeypatch.setenv("LLM_MULTI_CORE_STRICT", "1")
    result = run("frameworks")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: plugin 'acme' of acme 1.0 is broken (load: ValueError: no luck)\n"


def test_everything_broken_and_nothing_heavy_loaded(start, site_packages):
    for name, source in {"a": "raise SystemExit", "b": "import no_such_thing", "c": "1 / 0"}.items():
        module = f"broken_{name}"
        write_distribution(site_packages, f"broken-{name}", entry_points={name: module}, modules={module: source})
    environment = {"LLM_MULTI_CORE_PLUGINS": "a,b,c", "PYTHONPROFILEIMPORTTIME": "1"}
    process = start("frameworks", environment=environment)
    output, errors = process.communicate()
    assert process.returncode == 0
    assert output.count(b"broken") == 6  # each in the columns of its plugin and of its status
    assert errors.count(b"warning: plugin") == 3
    imported = set(re.findall(r"\| +([\w.]+)$", errors.decode(), re.MULTILINE))
    assert {"typer", "numpy"} <= imported
    assert not imported & {
        "torch",
        "transformers",
        "sentence_transformers",
        "httpx",
        "openai",
        "PIL",
        "pandas",
        "scipy",
    }


def test_a_narrow_terminal_loses_nothing(on_terminal):
    code, seen, errors = on_terminal("plugins", columns=40)
    assert (code, errors) == (0, "")
    assert "…" not in seen
    text = re.sub(r"\x1b\[[\d;]*m", "", seen)
    assert re.search(r"^llm-multi-core-fake +1\.0 +active +fake,fake-hosted\s*$", text, re.MULTILINE)


def test_a_wide_terminal_folds_the_last_column_only(on_terminal):
    code, seen, errors = on_terminal("frameworks", columns=160)
    assert (code, errors) == (0, "")
    assert "…" not in seen
    assert "──" in seen
    text = re.sub(r"\x1b\[[\d;]*m", "", seen)
    assert re.search(r"^ +fake +text +llm-multi-core-fake +1\.0 +available +-\s*$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 160
