"""The interpreter's long pause comes while a model is loaded, and not in the middle of a call."""

from __future__ import annotations

import gc
import sys

import pytest

from llm_multi_core.embedder.pipeline import settling


@pytest.fixture
def collections(monkeypatch):
    """How often everything was looked through, counted from a process that has settled."""
    counted = []
    monkeypatch.setattr(settling, "_seen", len(sys.modules))
    monkeypatch.setattr(gc, "collect", lambda: counted.append(True))
    return counted


def imported(monkeypatch, count):
    for number in range(count):
        monkeypatch.setitem(sys.modules, f"never_imported_{number}", gc)


def test_large_libraries_are_looked_through_once(collections, monkeypatch):
    imported(monkeypatch, settling.MANY_MODULES)
    assert settling.settle()
    assert not settling.settle()
    assert len(collections) == 1


def test_small_ones_are_not(collections, monkeypatch):
    imported(monkeypatch, settling.MANY_MODULES - 1)
    assert not settling.settle()
    assert collections == []


def test_a_collector_that_was_turned_off_stays_off(collections, monkeypatch):
    imported(monkeypatch, settling.MANY_MODULES)
    gc.disable()
    try:
        settling.settle()
    finally:
        gc.enable()
    assert collections == []


def test_loading_a_model_settles(collections, monkeypatch, make_embedder):
    imported(monkeypatch, settling.MANY_MODULES)
    embedder = make_embedder()
    assert collections == []
    embedder.load()
    assert len(collections) == 1
