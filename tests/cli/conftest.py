"""Running the command: in this process, as a process of its own, or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

import pytest
from typer.testing import CliRunner

from llm_multi_core.embedder.cli.app import app
from llm_multi_core.embedder.testing.distributions import FAKE_PLUGIN, write_distribution

# Encoders that go wrong at a given text, each in the way of its framework's name.
MOODY_PLUGIN = """
import os
import signal

from llm_multi_core.embedder import EncodingError, FrameworkSpec, InvalidInputError, OptionSpec, Verdict, hookimpl
from llm_multi_core.embedder.testing.fakes import FAKE_OPTIONS, FakeTextEncoder


class Picky(FakeTextEncoder):
    def prepare(self, items, task, state=None):
        if any("poison" in item.text for item in items):
            raise ValueError("it is poison")
        return super().prepare(items, task, state)


class Interrupted(FakeTextEncoder):
    def prepare(self, items, task, state=None):
        os.kill(os.getpid(), signal.SIGINT)
        return super().prepare(items, task, state)


class Buggy(FakeTextEncoder):
    def describe(self):
        raise RuntimeError("a bug\\nover two lines")


OPTIONS = (
    *FAKE_OPTIONS,
    OptionSpec("scale", float, 1.0),
    OptionSpec("pooling", str, "mean", choices=("mean", "cls")),
    OptionSpec("layers", (list, tuple), None),
    OptionSpec("limit", (int, str), None),
)


@hookimpl
def llm_multi_core_frameworks():
    for encoder in (Picky, Interrupted, Buggy):
        name = encoder.__name__.lower()
        yield FrameworkSpec(
            name, ("text",), f"{__name__}:{encoder.__name__}", default_model={"text": "m"}, options=OPTIONS
        )
"""


@pytest.fixture
def run():
    """Runs the command in this process."""

    def run(*arguments, stdin=None):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return run


@pytest.fixture
def moody(install_plugin):
    """Installs the frameworks that go wrong."""
    install_plugin("moody", entry_points={"moody": "moody_plugin"}, modules={"moody_plugin": MOODY_PLUGIN})


@pytest.fixture
def site_packages(tmp_path):
    """A folder with the fake and the moody plugin, for processes."""
    folder = tmp_path / "site-packages"
    folder.mkdir(exist_ok=True)
    write_distribution(
        folder,
        "llm-multi-core-fake",
        entry_points={"fake": "llm_multi_core_fake"},
        modules={"llm_multi_core_fake": FAKE_PLUGIN},
    )
    write_distribution(folder, "moody", entry_points={"moody": "moody_plugin"}, modules={"moody_plugin": MOODY_PLUGIN})
    return folder


@pytest.fixture
def start(site_packages):
    """Starts the command as a process of its own; keywords are those of `Popen`."""
    running = []

    def start(*arguments, environment=None, **keywords):
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_multi_core.embedder.cli", *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(site_packages), **(environment or {})},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def on_terminal(start):
    """Runs the command with some of its streams on a terminal; its exit code, and what the terminal and stderr got."""

    def on_terminal(*arguments, streams=("stdout",), columns=60):
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        process = start(*arguments, environment={"TERM": "xterm"}, **dict.fromkeys(streams, slave))
        os.close(slave)
        seen = bytearray()
        try:
            while block := os.read(master, 65536):
                seen += block
        except OSError:  # how Linux says that nobody holds the other end any more
            pass
        os.close(master)
        _, errors = process.communicate()
        return process.returncode, seen.decode(), (errors or b"").decode()

    return on_terminal
