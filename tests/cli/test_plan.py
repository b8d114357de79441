"""`llm-multi-core plan`: what a run would take, without taking it; and what a hosted run shows while it goes."""

from __future__ import annotations

import json

import pytest

PRICED_PLUGIN = """
from llm_multi_core.embedder import Credentials, FrameworkSpec, ModelSpec, hookimpl
from llm_multi_core.embedder.hosted import HOSTED_OPTIONS
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder


class Offline(FakeHostedEncoder):
    async def request(self, items, task):
        raise AssertionError("a plan sends nothing")


@hookimpl
def llm_multi_core_frameworks():
    yield FrameworkSpec(
        "priced",
        ("text",),
        f"{__name__}:Offline",
        default_model={"text": "dear"},
        options=HOSTED_OPTIONS,
        hosted=True,
        credentials=Credentials(("PRICED_KEY",)),
        models=(ModelSpec("dear", ("text",), 8, unit="word", price=2.0),),
    )
"""


@pytest.fixture
def priced(install_plugin, monkeypatch):
    """Installs a hosted framework with a catalogue that knows the price of one model."""
    install_plugin("priced", entry_points={"priced": "priced_plugin"}, modules={"priced_plugin": PRICED_PLUGIN})
    monkeypatch.setenv("PRICED_KEY", "k-123")
    return "priced"


def rows_of(output):
    return dict(line.split("  ", 1) for line in output.splitlines()[1:])


def test_a_hosted_run_is_planned_and_priced_but_not_sent(run, priced):
    done = run("plan", "one two", "three", "one two", "--framework", priced)
    assert done.exit_code == 0, done.stderr
    rows = {name: value.strip() for name, value in rows_of(done.stdout).items()}
    assert (rows["inputs"], rows["duplicates"], rows["words"], rows["requests"]) == ("3", "1", "3", "1")
    assert rows["cost"] == "about $0.000006"


def test_the_price_may_be_given_and_may_be_unknown(run, priced):
    given = run("plan", "one two", "--framework", priced, "--option", "price=1000000", "--json")
    assert json.loads(given.stdout)["cost"] == pytest.approx(2.0)
    unknown = run("plan", "one two", "--framework", priced, "--model", "another")
    assert "unknown" in rows_of(unknown.stdout)["cost"]
    assert json.loads(run("plan", "x", "--framework", priced, "--model", "another", "--json").stdout)["cost"] is None


def test_a_local_run_is_planned_in_batches(run, fake_framework):
    done = run("plan", "one two", "three", "--framework", fake_framework, "--json")
    entry = json.loads(done.stdout)
    assert (entry["items"], entry["units"], entry["unit"], entry["requests"], entry["cost"]) == (2, 3, "word", 1, None)
    assert "padding" in rows_of(run("plan", "one two", "three", "--framework", fake_framework).stdout)


def test_what_would_be_cut_is_counted(run, fake_framework):
    done = run("plan", "word " * 40, "--framework", fake_framework, "--json")
    assert [entry["units"] for entry in json.loads(done.stdout)["truncations"]] == [40]


def test_what_would_be_refused_is_named_with_its_line(run, fake_framework, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("fine\n" + "word " * 40 + "\n")
    done = run("plan", "--file", file, "--framework", fake_framework, "--truncation", "error")
    assert done.exit_code == 1
    assert f"{file}, line 2" in done.stderr
    assert rows_of(done.stdout)["would be refused"].strip() == "1"


def test_a_missing_key_is_told_before_anything_is_read(run, priced, monkeypatch):
    monkeypatch.delenv("PRICED_KEY")
    done = run("plan", "x", "--framework", priced)
    assert done.exit_code != 0
    assert "PRICED_KEY" in done.stderr


def test_the_catalogue_shows_prices(run, priced):
    assert "$2 per million words" in run("models", priced).stdout
    assert json.loads(run("models", priced, "--json").stdout)[0]["models"][0]["price"] == 2.0


def test_a_hosted_run_shows_requests_and_units_beside_its_bar(on_terminal):
    texts = [f"text {number}" for number in range(40)]
    code, seen, _ = on_terminal(
        "embed", *texts, "--framework", "fake-hosted", "--progress", streams=("stderr",), columns=200
    )
    assert code == 0
    assert "2 requests, 80 units" in seen
