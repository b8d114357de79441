"""Discovery happens once, for all threads, and again when it is asked to."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_multi_core.embedder import Host, PluginWarning, get_available_embedders
from llm_multi_core.embedder.host import default_host


def test_thirty_two_threads_discover_once(install, entry_points):
    source = """
    from llm_multi_core.embedder import FrameworkSpec, hookimpl

    calls = []

    @hookimpl
    def llm_multi_core_frameworks():
        calls.append(1)
        return [FrameworkSpec("acme", ("text",), "m:E")]
    """
    install("acme", source=source)
    looks = []

    def counted():
        looks.append(1)
        return entry_points()

    host = Host(counted)
    barrier = threading.Barrier(32)

    def ask(_):
        barrier.wait()
        return host.available()

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(ask, range(32)))
    assert len(looks) == 1
    assert sys.modules["fake_acme"].calls == [1]
    assert all(answer == answers[0] and answer["text"]["acme"] for answer in answers)


def test_refresh_sees_what_was_installed_since(install, host):
    install("acme", "return [spec('acme')]")
    assert "acme" in host.available()["text"]
    install("zebra", "return [spec('zebra')]")
    assert "zebra" not in host.available()["text"]
    host.refresh()
    assert "zebra" in host.available()["text"]


def test_the_fixture_refreshes_the_public_functions(install):
    assert "acme" not in get_available_embedders()["text"]
    install("acme", "return [spec('acme')]")
    assert get_available_embedders()["text"]["acme"]


def test_a_warning_made_an_error_does_not_lose_what_was_found(install, host):
    install("acme", "return [spec('acme')]")
    install("broken", source="raise ValueError")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PluginWarning):
            host.available()
    assert host.available()["text"]["acme"]


def test_nothing_is_looked_up_before_the_first_question():
    def fail():
        raise AssertionError("looked up")

    host = Host(fail)
    host.refresh()
    with pytest.raises(AssertionError, match="looked up"):
        host.plugins()
    with pytest.raises(AssertionError, match="looked up"):  # a failed look does not count as a look
        host.plugins()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_is_looking_does_not_hang_the_child():
    host = default_host()
    held, done = threading.Event(), threading.Event()

    def hold():
        with host._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks with threads
        child = os.fork()
    if child == 0:
        os._exit(0 if host._lock.acquire(timeout=10) else 1)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
