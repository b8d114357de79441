"""Search and the measures of rankings, against definitions written out by hand and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from llm_multi_core.embedder import IncompatibleSpacesError, InvalidInputError, InvalidOptionError
from llm_multi_core.embedder.analysis import median_rank, mrr, ndcg, ranks_in, ranks_of, recall_at_k, retrieval, top_k

from .conftest import unit


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return random.normal(size=(7, 5)), random.normal(size=(40, 5))


def by_hand(queries, documents):
    return np.argsort(-(unit(queries) @ unit(documents).T), axis=1, kind="stable")


@pytest.mark.parametrize("k", [1, 3, 40, 100])
def test_the_nearest_come_first(vectors, k):
    indices, scores = top_k(*vectors, k)
    np.testing.assert_array_equal(indices, by_hand(*vectors)[:, :k])
    cosines = unit(vectors[0]) @ unit(vectors[1]).T
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, indices, axis=1), atol=1e-6)
    assert (indices.dtype, scores.dtype) == (np.int64, np.float32)


def test_length_does_not_matter(vectors):
    queries, documents = vectors
    scale = np.linspace(1e-3, 1e3, 40)[:, None]
    np.testing.assert_array_equal(top_k(queries, documents * scale, 5)[0], top_k(queries, documents, 5)[0])


def test_equal_documents_come_in_their_order():
    documents = [[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]]
    np.testing.assert_array_equal(top_k([[1, 0], [0, 1]], documents, 3)[0], [[0, 2, 3], [1, 4, 0]])
    np.testing.assert_array_equal(top_k([[1, 0]], documents, 2)[0], [[0, 2]])
    np.testing.assert_array_equal(ranks_of([[1, 0]] * 3, documents, [0, 2, 1]), [1, 2, 4])


def test_blocks_of_queries_change_nothing(vectors, monkeypatch):
    whole, ranks = top_k(*vectors, 4), ranks_of(*vectors, np.arange(7))
    monkeypatch.setattr(retrieval, "_BLOCK_ENTRIES", 90)  # two queries at a time
    np.testing.assert_array_equal(top_k(*vectors, 4)[0], whole[0])
    np.testing.assert_array_equal(ranks_of(*vectors, np.arange(7)), ranks)


def test_ranks_are_places_in_the_search(vectors):
    relevant = np.array([0, 5, 39, 5, 7, 1, 2])
    expected = [int(np.flatnonzero(row == own)[0]) + 1 for row, own in zip(by_hand(*vectors), relevant, strict=True)]
    np.testing.assert_array_equal(ranks_of(*vectors, relevant), expected)


def test_no_queries_and_no_documents(vectors):
    queries, documents = vectors
    assert top_k(queries[:0], documents, 3)[0].shape == (0, 3)
    assert top_k(queries, documents[:0], 3)[0].shape == (7, 0)
    assert ranks_of(queries[:0], documents, []).shape == (0,)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_k_is_a_positive_whole_number(vectors, k):
    for call in (lambda: top_k(*vectors, k), lambda: recall_at_k([1], k), lambda: ndcg([1], k)):
        with pytest.raises(InvalidOptionError, match=f"k={k!r}"):
            call()


def test_vectors_that_cannot_be_compared(vectors):
    queries, documents = vectors
    with pytest.raises(IncompatibleSpacesError, match="queries of 5 and documents of 4 dimensions"):
        top_k(queries, documents[:, :4], 3)
    broken = documents.copy()
    broken[3] = 0
    with pytest.raises(InvalidInputError, match="input 3: the document vector is zero"):
        top_k(queries, broken, 3)
    broken[3, 1] = np.nan
    with pytest.raises(InvalidInputError, match="input 3: the document vector is not finite"):
        top_k(queries, broken, 3)
    for values in (np.zeros(3), np.zeros((2, 0)), "vectors", [[1, 2], [3]]):
        with pytest.raises(InvalidInputError, match="is not a matrix of query vectors"):
            top_k(values, documents, 3)


@pytest.mark.parametrize("relevant", [[0, 1], np.zeros((7, 1), int), np.zeros(7), [40] * 7, [-1] * 7])
def test_relevant_documents_that_do_not_exist(vectors, relevant):
    with pytest.raises(InvalidInputError, match=r"one position for each query|no document at its position"):
        ranks_of(*vectors, relevant)


def test_measures_of_one_relevant_document():
    ranks = [1, 3, 2, np.inf]
    assert [recall_at_k(ranks, k) for k in (1, 2, 3, 100)] == [0.25, 0.5, 0.75, 0.75]
    assert median_rank(ranks) == 2.5
    assert median_rank([1, 3, 9]) == 3
    assert median_rank([1, np.inf, np.inf]) == np.inf
    assert mrr(ranks) == pytest.approx((1 + 1 / 3 + 1 / 2) / 4)
    assert ndcg(ranks, 10) == pytest.approx((1 + 1 / 2 + 1 / np.log2(3)) / 4)


def test_measures_of_several_relevant_documents():
    ranks = ranks_in([["a", "b", "c", "d"], ["x", "y"]], [["c", "a", "z"], ["y"]])
    assert [query.tolist() for query in ranks] == [[3, 1, np.inf], [2]]
    assert recall_at_k(ranks, 1) == pytest.approx((1 / 3 + 0) / 2)
    assert recall_at_k(ranks, 3) == pytest.approx((2 / 3 + 1) / 2)
    assert median_rank(ranks) == 1.5
    assert mrr(ranks) == pytest.approx((1 + 1 / 2) / 2)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(any), st.integers(1, 15), st.randoms())
@settings(deadline=None, max_examples=50)
def test_ndcg_is_scikit_learns(gains, k, random):
    order = list(range(len(gains)))
    random.shuffle(order)
    scores = np.empty(len(gains))
    scores[order] = np.arange(len(gains), 0, -1)
    relevant = [document for document, gain in enumerate(gains) if gain]
    ranks = ranks_in([order], [relevant])
    ours = ndcg(ranks, k, [[gains[document] for document in relevant]])
    assert ours == pytest.approx(ndcg_score([gains], [scores], k=k))


def test_rankings_that_cannot_be_measured():
    with pytest.raises(InvalidInputError, match="2 rankings and the relevant documents of 1"):
        ranks_in([["a"], ["b"]], [["a"]])
    with pytest.raises(InvalidInputError, match="input 1: an id stands twice"):
        ranks_in([["a"], ["b", "b"]], [["a"], ["b"]])
    with pytest.raises(InvalidInputError, match="input 0: the query has no relevant"):
        ranks_in([["a"]], [[]])
    with pytest.raises(InvalidInputError, match="no ranks"):
        mrr([])
    for ranks in ([1, 0], [1, []], [1, np.nan], [1, [[2]]]):
        with pytest.raises(InvalidInputError, match="input 1: the ranks of a query"):
            median_rank(ranks)
    with pytest.raises(InvalidInputError, match="gains and ranks differ"):
        ndcg([[1, 2]], 3, [[1]])
    for gain in (0, -1, np.nan):
        with pytest.raises(InvalidInputError, match="input 0: a gain is not"):
            ndcg([[1, 2]], 3, [[1, gain]])
