"""Loading with transformers is quiet, leaves its settings as they were, and its errors help."""

from __future__ import annotations

import os
import threading
import time

import huggingface_hub.utils as hub_bars
import pytest
from transformers.utils import logging

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, UntrustedCodeError
from llm_multi_core_torch import loading_pretrained


@pytest.fixture(autouse=True)
def _as_before():
    """The settings of the whole process are not to depend on these tests."""
    verbosity, bars, hub = settings()
    yield
    logging.set_verbosity(verbosity)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    (hub_bars.disable_progress_bars if hub else hub_bars.enable_progress_bars)()


def settings():
    return logging.get_verbosity(), logging.is_progress_bar_enabled(), hub_bars.are_progress_bars_disabled()


@pytest.mark.parametrize("hub_is_quiet", [True, False])
@pytest.mark.parametrize("reports", [True, False])
def test_bars_are_off_only_while_loading(reports, hub_is_quiet):
    logging.set_verbosity_warning()
    logging.enable_progress_bar()
    (hub_bars.disable_progress_bars if hub_is_quiet else hub_bars.enable_progress_bars)()
    before = settings()
    with loading_pretrained("tiny", reports=reports):
        assert not logging.is_progress_bar_enabled()
        assert (logging.get_verbosity() == before[0]) is reports
    assert settings() == before
    with pytest.raises(ModelLoadError), loading_pretrained("tiny", reports=reports):
        raise OSError("gone")
    assert settings() == before


def test_whoever_raised_the_verbosity_sees_everything():
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    before = settings()
    with loading_pretrained("tiny", reports=False):
        assert settings() == before


def test_errors_name_the_model_and_the_reason():
    with (
        pytest.raises(ModelLoadError, match=r"model 'tiny' could not be loaded \(OSError: no such weights\)") as caught,
        loading_pretrained("tiny"),
    ):
        raise OSError("\n no such weights\nand a page of advice")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(UntrustedCodeError, match="pass trust_remote_code=True"), loading_pretrained("tiny"):
        raise ValueError("Please pass the argument `trust_remote_code=True`")


def test_an_error_that_says_it_all_stays_as_it_is():
    error = InvalidOptionError("max_length=0 is not a positive number of tokens")
    with pytest.raises(InvalidOptionError) as caught, loading_pretrained("tiny"):
        raise error
    assert caught.value is error


def test_one_model_is_loaded_at_a_time():
    inside, overlaps = [], []

    def load():
        with loading_pretrained("tiny"):
            inside.append(1)
            for _ in range(20):
                time.sleep(0)  # lets the others run
            overlaps.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_fork_while_another_thread_loads_does_not_block_the_child():
    loading, done = threading.Event(), threading.Event()

    def load():
        with loading_pretrained("tiny"):
            loading.set()
            done.wait(60)

    thread = threading.Thread(target=load)
    thread.start()
    loading.wait(60)
    child = os.fork()
    if child == 0:
        with loading_pretrained("tiny"):
            os._exit(0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
