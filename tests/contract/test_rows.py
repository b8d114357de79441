"""`Rows`: reordering, joining, checking and scaling of every output kind."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llm_multi_core.embedder import InvalidOutputError, Rows

NAN, INF = np.nan, np.inf
TINY, HUGE = np.float32(1e-45), np.float32(3.4e38)
KINDS = ("dense", "multi", "sparse")
numbers = st.floats(-1e3, 1e3, width=32)


@st.composite
def rows_of(draw, kind, dimension=4, max_rows=6):
    """Rows of a kind, with empty ones among those with offsets."""
    count = draw(st.integers(0, max_rows))
    if kind == "dense":
        return Rows(draw(hnp.arrays(np.float32, (count, dimension), elements=numbers)))
    lengths = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    if kind == "multi":
        return Rows(draw(hnp.arrays(np.float32, (total, dimension), elements=numbers)), offsets)
    indices = draw(hnp.arrays(np.int64, total, elements=st.integers(0, dimension - 1)))
    return Rows(draw(hnp.arrays(np.float32, total, elements=numbers)), offsets, indices)


any_rows = st.sampled_from(KINDS).flatmap(rows_of)


def listed(rows):
    """Rows as plain lists, so that they can be compared."""
    if rows.offsets is None:
        return [row.tolist() for row in rows.values]
    spans = list(zip(rows.offsets[:-1], rows.offsets[1:], strict=True))
    if rows.indices is None:
        return [rows.values[a:b].tolist() for a, b in spans]
    return [list(zip(rows.indices[a:b].tolist(), rows.values[a:b].tolist(), strict=True)) for a, b in spans]


def dense(*rows):
    return Rows(np.array(rows, np.float32))


def multi(*rows):
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Rows(np.array([vector for row in rows for vector in row], np.float32).reshape(-1, 2), offsets)


def sparse(*rows):
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    pairs = [pair for row in rows for pair in row.items()]
    indices = np.array([index for index, _ in pairs], np.int64)
    return Rows(np.array([value for _, value in pairs], np.float32), offsets, indices)


# What encoders return.


def test_of_a_bare_array():
    rows = Rows.of([[1, 2], [3, 4]])
    assert rows.values.dtype == np.float32
    assert (rows.output, len(rows), rows.nbytes) == ("dense", 2, 16)


def test_of_rows_is_the_same_object():
    rows = dense([1, 2])
    assert Rows.of(rows) is rows


@pytest.mark.parametrize("bad", [None, "text", [[1, 2], [3]], [["a"]], object(), {}, [[1j, 2j]]])
def test_of_what_is_no_array_of_numbers(bad):
    with pytest.raises(InvalidOutputError):
        Rows.of(bad)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_of_an_array_of_another_shape(shape):
    with pytest.raises(InvalidOutputError, match=r"not \(n, d\)"):
        Rows.of(np.zeros(shape))


def test_of_numbers_beyond_float32_becomes_infinite_without_a_warning():
    assert Rows.of([[1e300, -1e300]]).values.tolist() == [[INF, -INF]]


def test_of_an_array_that_refuses():
    class NeedsGradient:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    with pytest.raises(InvalidOutputError, match="NeedsGradient"):
        Rows.of(NeedsGradient())


VALUES, OFFSETS, INDICES = np.zeros((3, 2), np.float32), np.array([0, 1, 3]), np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (Rows(VALUES.astype(np.float64)), "float32"),
        (Rows(VALUES.tolist()), "float32"),
        (Rows(None), "float32"),
        (Rows(VALUES[0]), "1 dimensions"),
        (Rows(VALUES, np.array([0, 2])), "rise from 0"),
        (Rows(VALUES, np.array([1, 3])), "rise from 0"),
        (Rows(VALUES, np.array([0, 2, 1, 3])), "rise from 0"),
        (Rows(VALUES, np.array([], np.int64)), "rise from 0"),
        (Rows(VALUES, [0, 3]), "offsets must be a flat array of signed integers"),
        (Rows(VALUES, np.array([0.0, 3.0])), "offsets must be a flat array of signed integers"),
        (Rows(VALUES, np.array([0, 3], np.uint64)), "offsets must be a flat array of signed integers"),
        (Rows(VALUES[:, 0], OFFSETS, INDICES.astype(float)), "indices must be a flat array of signed integers"),
        (Rows(VALUES[:, 0], OFFSETS, INDICES[:2]), "differ in length"),
        (Rows(VALUES[:, 0], None, INDICES), "need offsets"),
        (Rows(VALUES, OFFSETS, INDICES), "2 dimensions"),
    ],
)
def test_malformed_rows_are_refused(rows, message):
    with pytest.raises(InvalidOutputError, match=f"malformed rows: .*{message}"):
        Rows.of(rows)


def test_wellformed_rows_are_taken():
    for rows in (Rows(VALUES), Rows(VALUES, OFFSETS), Rows(VALUES[:, 0], OFFSETS, INDICES.astype(np.int32))):
        assert Rows.of(rows) is rows


@pytest.mark.parametrize("kind", KINDS)
def test_empty(kind):
    rows = Rows.empty(5, kind)
    rows.check_structure()
    assert (len(rows), rows.output) == (0, kind)
    assert rows.check(0, 5, kind).tolist() == []
    assert len(Rows.empty(5)) == 0
    for same in (rows.take([]), rows.normalize(), Rows.concat([rows, rows])):
        assert (len(same), same.output) == (0, kind)


# Reordering and joining.


@given(st.data(), any_rows)
def test_take_gives_the_rows_asked_for(data, rows):
    index = data.draw(st.lists(st.integers(-1, len(rows) - 1), max_size=8))
    taken = rows.take(index)
    taken.check_structure()
    blank = [NAN] * 4 if rows.output == "dense" else []
    expected = [blank if place < 0 else listed(rows)[place] for place in index]
    np.testing.assert_equal(listed(taken), expected)
    assert taken.output == rows.output


@given(any_rows)
def test_take_back_undoes_a_permutation(rows):
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    assert listed(rows.take(order).take(np.argsort(order))) == listed(rows)


def test_take_does_not_share_memory():
    rows = dense([1, 2], [3, 4])
    rows.take([0, -1]).values[0, 0] = 9
    assert rows.values[0, 0] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_take_of_nothing_gives_blanks_only_for_blanks(kind):
    rows = Rows.empty(3, kind)
    blank = rows.take([-1, -1])
    assert len(blank) == 2
    assert not blank.check(2, 3, kind).any() if kind == "dense" else not blank.nonzero().any()
    with pytest.raises(IndexError):
        rows.take([0])


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.lists(rows_of(kind), min_size=1, max_size=4)))
def test_concat_is_the_rows_in_order(blocks):
    joined = Rows.concat(blocks)
    joined.check_structure()
    assert listed(joined) == [row for block in blocks for row in listed(block)]


def test_concat_refuses_kinds_that_do_not_fit():
    with pytest.raises(InvalidOutputError, match="several kinds: dense, multi"):
        Rows.concat([dense([1, 2]), multi([[1, 2]])])


# Checking.


@pytest.mark.parametrize("rows", [dense([1, 2]), multi([[1, 2]]), sparse({0: 1.0})], ids=KINDS)
def test_check_refuses_what_is_not_as_declared(rows):
    with pytest.raises(InvalidOutputError, match="1 rows for 2 inputs"):
        rows.check(2, 2, rows.output)
    other = "multi" if rows.output == "dense" else "dense"
    with pytest.raises(InvalidOutputError, match=f"declares {other} output returned {rows.output}"):
        rows.check(1, 2, other)


def test_check_refuses_another_dimension():
    for rows in (dense([1, 2]), multi([[1, 2]])):
        with pytest.raises(InvalidOutputError, match="declares dimension 3 returned rows of 2"):
            rows.check(1, 3, rows.output)


@pytest.mark.parametrize("index", [-1, 5, 70_000])
def test_check_refuses_indices_outside_the_vocabulary(index):
    with pytest.raises(InvalidOutputError, match="outside its 5 dimensions"):
        sparse({0: 1.0, index: 1.0}).check(1, 5, "sparse")


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_check_marks_rows_that_are_not_finite(bad):
    assert dense([1, 2], [bad, 2], [0, 0]).check(3, 2, "dense").tolist() == [True, False, True]
    many = multi([[1, 2], [3, bad]], [], [[1, 1]])
    assert many.check(3, 2, "multi").tolist() == [False, True, True]
    few = sparse({0: 1.0}, {}, {1: 2.0, 3: bad})
    assert few.check(3, 4, "sparse").tolist() == [True, True, False]


def test_nonzero_marks_rows_with_a_direction():
    assert dense([0, 0], [0, TINY], [NAN, 0]).nonzero().tolist() == [False, True, True]
    assert multi([[0, 0], [0, 0]], [], [[0, 0], [1, 0]]).nonzero().tolist() == [False, False, True]
    assert sparse({1: 0.0}, {}, {1: 0.0, 2: -1.0}).nonzero().tolist() == [False, False, True]


# Scaling.


@given(any_rows)
def test_normalized_rows_have_length_one_or_zero(rows):
    scaled = rows.normalize()
    scaled.check_structure()
    if rows.output == "sparse":
        lengths = [np.linalg.norm([value for _, value in row]) for row in listed(scaled)]
        before = [np.linalg.norm([value for _, value in row]) for row in listed(rows)]
    else:
        lengths, before = (np.linalg.norm(block.values.astype(float), axis=1) for block in (scaled, rows))
    np.testing.assert_allclose(lengths, np.asarray(before) > 0, atol=1e-6)


@given(any_rows)
def test_normalizing_changes_nothing_else(rows):
    before = pickle.dumps(rows)
    scaled = rows.normalize()
    assert pickle.dumps(rows) == before, "the rows themselves were changed"
    assert len(scaled) == len(rows)
    assert (np.sign(scaled.values) == np.sign(rows.values)).all()
    np.testing.assert_allclose(scaled.normalize().values, scaled.values, atol=1e-6)


@pytest.mark.parametrize("scale", [TINY, np.float32(1e-38), np.float32(1e-20), np.float32(1e20), HUGE])
def test_tiny_and_huge_rows_keep_their_direction(scale):
    expected = np.full(2, np.sqrt(0.5), np.float32)
    for rows in (dense([scale, scale]), multi([[scale, scale]]), sparse({3: scale, 7: scale})):
        np.testing.assert_allclose(rows.normalize().values.reshape(-1), expected, rtol=1e-6)


def test_zero_rows_stay_zero_and_bad_rows_become_nan():
    rows = dense([0, 0], [NAN, 1], [INF, 1], [3, 4]).normalize()
    assert rows.values[0].tolist() == [0, 0]
    assert np.isnan(rows.values[1]).any()
    assert np.isnan(rows.values[2]).any()
    assert rows.values[3].tolist() == pytest.approx([0.6, 0.8])


def test_each_vector_of_a_multi_vector_row_is_scaled():
    rows = multi([[3, 4], [0, 2]], []).normalize()
    np.testing.assert_allclose(rows.values, [[0.6, 0.8], [0, 1]], rtol=1e-6)


@given(rows_of("dense"), st.integers(1, 4))
def test_cut_keeps_the_first_components(rows, dimension):
    cut = rows.cut(dimension)
    assert cut.values.tolist() == rows.values[:, :dimension].tolist()
    assert cut.values.flags.c_contiguous
    assert rows.cut(4) is rows


def test_cut_keeps_offsets_and_refuses_what_cannot_be_cut():
    assert listed(multi([[1, 2], [3, 4]], []).cut(1)) == [[[1], [3]], []]
    with pytest.raises(InvalidOutputError, match="sparse rows cannot be cut"):
        sparse({0: 1.0}).cut(1)
    with pytest.raises(InvalidOutputError, match="rows of 2 dimensions cannot be cut to 3"):
        dense([1, 2]).cut(3)


@given(st.data(), rows_of("dense", max_rows=8).filter(len))
def test_weighted_mean_is_numpys(data, rows):
    count = data.draw(st.integers(1, len(rows)))
    rest = st.integers(0, count - 1)
    owner = list(range(count)) + [data.draw(rest) for _ in range(len(rows) - count)]
    weight = data.draw(st.lists(st.integers(1, 512), min_size=len(rows), max_size=len(rows)))
    mean = rows.weighted_mean(owner, weight, count)
    assert len(mean) == count
    for result in range(count):
        mine = [place for place, who in enumerate(owner) if who == result]
        expected = np.average(rows.values[mine].astype(float), axis=0, weights=np.take(weight, mine))
        np.testing.assert_allclose(mean.values[result], expected, rtol=1e-5, atol=1e-4)


def test_weighted_mean_is_for_dense_rows():
    for rows in (multi([[1, 2]]), sparse({0: 1.0})):
        with pytest.raises(InvalidOutputError, match=f"{rows.output} rows have no mean"):
            rows.weighted_mean([0], [1], 1)


# Storing.


@given(any_rows)
def test_rows_survive_pickling_and_copying(rows):
    for same in (pickle.loads(pickle.dumps(rows)), copy.copy(rows), copy.deepcopy(rows)):
        assert same.output == rows.output
        assert listed(same) == listed(rows)


def test_nbytes_counts_every_array():
    assert dense([1, 2]).nbytes == 8
    assert multi([[1, 2], [3, 4]]).nbytes == 16 + 16
    assert sparse({0: 1.0}).nbytes == 4 + 16 + 8


def test_rows_cannot_be_reassigned():
    with pytest.raises(AttributeError):
        dense([1, 2]).values = None
