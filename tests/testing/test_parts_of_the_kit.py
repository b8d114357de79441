"""The kit's own parts: tolerances, comparisons, the watch for I/O, the guard."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llm_multi_core.embedder import Rows
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance, Tolerance
from llm_multi_core.embedder.testing.conformance.case import API_KEY, SAMPLE_TEXTS
from llm_multi_core.embedder.testing.conformance.compare import (
    agreement,
    assert_changed,
    assert_distinct,
    assert_finite,
    assert_same,
    vectors_of,
)
from llm_multi_core.embedder.testing.conformance.watch import watch_io
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder, fake_offer

ONE = np.ones((1, 4))


@pytest.mark.parametrize("bad", [{"cosine": 0.998}, {"cosine": 1.1}, {"error": 0.06}, {"error": -1}])
def test_tolerance_cannot_be_loosened_beyond_the_floor(bad):
    with pytest.raises(ValueError, match="outside the kit's bounds"):
        Tolerance(**bad)


def test_tolerance_can_be_loosened_to_the_floor():
    assert Tolerance(0.999, 0.05).cosine == 0.999


def test_a_case_needs_samples():
    with pytest.raises(ValueError, match="at least 8 samples"):
        EncoderCase(fake_offer(), samples=SAMPLE_TEXTS[:7])


def test_sample_texts_are_distinct_and_varied():
    lengths = {len(text.split()) for text in SAMPLE_TEXTS}
    assert len(set(SAMPLE_TEXTS)) == len(SAMPLE_TEXTS) >= 8
    assert len(lengths) >= 5


@pytest.mark.parametrize("kit", [EncoderConformance, PluginConformance])
def test_the_guard_itself_cannot_be_overridden(kit):
    with pytest.raises(TypeError, match="overrides test_no_standard_test_is_overridden"):
        type("TestSly", (kit,), {"test_no_standard_test_is_overridden": lambda self: None, "__module__": "sly"})


def test_hosted_cases_get_a_key_only_where_one_is_taken():
    offer = fake_offer(FakeHostedEncoder)
    assert EncoderCase(offer).settings(offer, {}).secret is None
    assert API_KEY not in repr(EncoderCase(offer).settings(offer, {"max_words": 3}))


def test_agreement_states_cosine_and_largest_error():
    found = agreement(ONE, ONE * [1, 1, 1, 0.5])
    assert found.error == 0.5
    assert found.cosine == pytest.approx(3.5 / (2 * np.sqrt(3.25)))
    assert "maximum absolute error 0.5" in str(found)


@pytest.mark.parametrize(
    "other",
    [ONE * np.nan, ONE * 1.1, -ONE, ONE * 0, np.ones((2, 4)), np.ones((1, 3)), ONE * [1, 1, 1, 0.9]],
    ids=["nan", "longer", "opposite", "zero", "more vectors", "fewer components", "turned"],
)
def test_what_is_not_the_same(other):
    with pytest.raises(AssertionError, match=r"row 0 differs"):
        assert_same([other], [ONE], Tolerance(), "here")
    assert_changed([other], [ONE], Tolerance(), "here")


def test_what_is_the_same():
    tokens = np.arange(12.0).reshape(3, 4)
    for vectors in (ONE, tokens, ONE * 0, np.empty((0, 4))):
        assert_same([vectors], [vectors + 1e-6 * vectors], Tolerance(), "here")
        with pytest.raises(AssertionError, match="stay the same"):
            assert_changed([vectors], [vectors], Tolerance(), "here")


def test_one_differing_token_is_found():
    tokens = np.ones((50, 4))
    other = tokens.copy()
    other[17] = [1, -1, 1, 1]
    assert agreement(tokens, other).cosine == 0.5


def test_a_row_of_another_item_is_named():
    rows = [ONE, ONE * [1, -1, 1, 1]]
    with pytest.raises(AssertionError, match=r"row 0 differs.*it is the row of item 1"):
        assert_same(rows[::-1], rows, Tolerance(), "reversed")


def test_count_is_compared_first():
    for check in (assert_same, assert_changed):
        with pytest.raises(AssertionError, match="1 rows where 2 are due"):
            check([ONE], [ONE, ONE], Tolerance(), "here")


def test_samples_that_look_alike_make_other_tests_vacuous():
    near = [ONE, ONE * [1, 1, 1, 0.9], ONE * [1, 1, 1, 1.1]]
    with pytest.raises(AssertionError, match="control pair"):
        assert_distinct(near, Tolerance())
    with pytest.raises(AssertionError, match="samples 0 and 3 have one vector"):
        assert_distinct([*near, ONE], Tolerance())
    assert_distinct([*near, ONE * [1, -1, 1, 1]], Tolerance())


@pytest.mark.parametrize(
    ("bad", "message"), [(ONE * np.inf, "not finite"), (ONE * 0, "is zero"), (ONE[:0], "has no vector")]
)
def test_bad_vectors_are_named(bad, message):
    with pytest.raises(AssertionError, match=f"row 1 {message}|row 1 is {message}"):
        assert_finite([ONE, bad], "here")


def test_rows_of_every_kind_become_vectors():
    values = np.arange(1, 7, dtype=np.float32)
    offsets = np.array([0, 1, 1, 3])
    dense = vectors_of(Rows(values.reshape(3, 2)), 2)
    multi = vectors_of(Rows(values.reshape(3, 2), offsets), 2)
    sparse = vectors_of(Rows(values[:3], offsets, np.array([4, 0, 2])), 5)
    assert [rows.tolist() for rows in dense] == [[[1, 2]], [[3, 4]], [[5, 6]]]
    assert [rows.tolist() for rows in multi] == [[[1, 2]], [], [[3, 4], [5, 6]]]
    assert [rows.tolist() for rows in sparse] == [[[0, 0, 0, 0, 1]], [[0] * 5], [[2, 0, 3, 0, 0]]]


def test_watch_sees_files_and_hosts_but_no_imports(tmp_path, monkeypatch):
    (tmp_path / "imported_here.py").write_text("")
    (tmp_path / "data.txt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with watch_io() as seen:
        import imported_here  # noqa: F401

        (tmp_path / "data.txt").read_bytes()
        with socket.socket() as client, pytest.raises(OSError, match=r".*"):
            client.connect(("127.0.0.1", 0))
    with watch_io() as nothing:
        pass
    (tmp_path / "data.txt").read_bytes()
    assert seen == [f"open {tmp_path / 'data.txt'}", "socket.connect ('127.0.0.1', 0)"]
    assert nothing == []


def test_watch_sees_other_threads_if_asked(tmp_path):
    (tmp_path / "data.txt").write_text("")
    with watch_io() as own, watch_io(any_thread=True) as every, ThreadPoolExecutor(1) as thread:
        thread.submit((tmp_path / "data.txt").read_bytes).result()
    assert own == []
    assert every == [f"open {tmp_path / 'data.txt'}"]
