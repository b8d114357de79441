"""Joined rankings, against the formulas written out by hand."""

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.analysis import (
    fuse_scores,
    fused_scores,
    normalized_scores,
    reciprocal_rank_fusion,
    reciprocal_ranks,
)

TEXT = [("a", 0.9), ("b", 0.8), ("c", 0.5)]
IMAGE = [("d", 30.0), ("b", 20.0)]


def test_min_max_sums_weighted_and_scaled_scores():
    fused = fuse_scores([TEXT, IMAGE], weights=[3, 1])
    assert [name for name, _ in fused] == ["a", "b", "d", "c"]
    expected = {"a": 0.75, "b": 0.75 * 0.75, "c": 0, "d": 0.25}
    assert dict(fused) == pytest.approx(expected)


def test_z_scores_count_a_document_that_a_list_does_not_have_as_its_last():
    fused = dict(fuse_scores([TEXT, IMAGE], normalization="z-score"))
    z = (np.array([0.9, 0.8, 0.5]) - 2.2 / 3) / np.std([0.9, 0.8, 0.5])
    expected = {"a": z[0] - 1, "b": z[1] - 1, "c": z[2] - 1, "d": z[2] + 1}
    assert fused == pytest.approx({name: value / 2 for name, value in expected.items()})


def test_without_normalisation():
    fused = dict(fuse_scores([TEXT, IMAGE], normalization="none", weights=[1, 3]))
    expected = {"a": 0.9 + 60, "b": 0.8 + 60, "c": 0.5 + 60, "d": 0.5 + 90}
    assert fused == pytest.approx({name: value / 4 for name, value in expected.items()})


def test_a_list_of_one_result_still_counts():
    assert fuse_scores([[("a", 5.0)], [("b", 1.0), ("a", 0.5)]]) == [("a", 0.5), ("b", 0.5)]
    assert fuse_scores([[("a", 0.1), ("b", 0.1), ("c", 0.1)], [("d", 1.0)]])[3] == ("d", 0.5)
    for method, value in (("min-max", 1.0), ("z-score", 0.0), ("none", 0.1)):
        np.testing.assert_array_equal(normalized_scores([0.1] * 3, method), [value] * 3)


def test_reciprocal_ranks_are_those_of_the_paper():
    fused = reciprocal_rank_fusion([TEXT, IMAGE])
    assert dict(fused) == pytest.approx({"a": 1 / 61, "b": 2 / 62, "c": 1 / 63, "d": 1 / 61})
    assert [name for name, _ in fused] == ["b", "a", "d", "c"]
    weighted = dict(reciprocal_rank_fusion([TEXT, IMAGE], weights=[2, 0], k=0))
    assert weighted == pytest.approx({"a": 2, "b": 1, "c": 2 / 3, "d": 0})


@pytest.mark.parametrize("fuse", [fuse_scores, reciprocal_rank_fusion])
def test_order_and_repetition_within_a_list_do_not_matter(fuse):
    assert dict(fuse([TEXT[::-1], IMAGE])) == dict(fuse([TEXT, IMAGE]))
    repeated = [("b", 0.2), *TEXT, ("a", 0.6)]  # other chunks of b and a
    assert dict(fuse([repeated, IMAGE])) == dict(fuse([TEXT, IMAGE]))


@pytest.mark.parametrize("fuse", [fuse_scores, reciprocal_rank_fusion])
def test_empty_lists(fuse):
    assert fuse([]) == fuse([[], []]) == []
    assert [name for name, _ in fuse([[], IMAGE])] == ["d", "b"]
    assert fuse([[("x", 1.0)], [("y", 1.0)]])[0][0] == "x"  # equals come as they first appear


def test_arrays_give_what_lists_give():
    table = np.array([[0.9, 0.8, 0.5, np.nan], [np.nan, 20, np.nan, 30]])
    names = ["a", "b", "c", "d"]
    for method in ("min-max", "z-score", "none"):
        values = fused_scores(table, [2, 1], method)
        assert dict(zip(names, values, strict=True)) == pytest.approx(dict(fuse_scores([TEXT, IMAGE], [2, 1], method)))
    values = reciprocal_ranks(table, [2, 1], k=7)
    expected = dict(reciprocal_rank_fusion([TEXT, IMAGE], [2, 1], k=7))
    assert dict(zip(names, values, strict=True)) == pytest.approx(expected)
    assert fused_scores(np.empty((2, 0))).shape == (0,)


@pytest.mark.parametrize("fuse", [fuse_scores, reciprocal_rank_fusion])
@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [1, -1], [0, 0], [np.nan, 1]])
def test_weights_that_do_not_fit(fuse, weights):
    with pytest.raises(InvalidOptionError, match="weights="):
        fuse([TEXT, IMAGE], weights)


@pytest.mark.parametrize("fuse", [fuse_scores, reciprocal_rank_fusion])
@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite(fuse, score):
    with pytest.raises(InvalidInputError, match=r"input 1: document 'z' has the score"):
        fuse([TEXT, [("z", score)]])


def test_arrays_and_settings_that_do_not_fit():
    with pytest.raises(InvalidInputError, match=r"shape \(3,\) are not one row a list"):
        fused_scores([1, 2, 3])
    with pytest.raises(InvalidInputError, match="input 1: the list has an infinite score"):
        reciprocal_ranks([[1, 2], [1, np.inf]])
    with pytest.raises(InvalidInputError, match="input 1: the score is not finite"):
        normalized_scores([1, np.nan])
    with pytest.raises(InvalidOptionError, match="normalization='minmax' does not exist; use one of 'min-max'"):
        fuse_scores([TEXT], normalization="minmax")
    for k in (-1, np.nan, np.inf, True, "60"):
        with pytest.raises(InvalidOptionError, match="k="):
            reciprocal_rank_fusion([TEXT], k=k)
