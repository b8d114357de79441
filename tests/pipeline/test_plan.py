"""The arithmetic of batches."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_multi_core.embedder import Item, Limits
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.pipeline.plan import Batch, plan_batches

SIZES = st.lists(st.integers(1, 600), max_size=120)


def items_of(units):
    return [text_item(f"{place}") for place in range(len(units))]


@settings(derandomize=True, deadline=None)
@given(SIZES, st.integers(1, 40), st.integers(1, 4000), st.booleans())
def test_every_item_is_in_one_batch_within_the_limits(units, most_items, most_units, padded):
    limits = Limits(items_per_batch=most_items, units_per_batch=most_units, padded=padded)
    batches = plan_batches(items_of(units), units, ["text"] * len(units), limits)
    members = [member for batch in batches for member in batch.members]
    assert sorted(members) == list(range(len(units)))
    for batch in batches:
        sizes = [units[member] for member in batch.members]
        cost = max(sizes) * len(sizes) if padded else sum(sizes)
        assert batch.cost == cost
        assert len(sizes) <= most_items
        assert cost <= most_units or len(sizes) == 1


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 600), min_size=2, max_size=120))
def test_padded_batches_hold_items_of_like_length(units):
    batches = plan_batches(items_of(units), units, ["text"] * len(units), Limits(items_per_batch=8))
    spans = [[units[member] for member in batch.members] for batch in batches]
    for before, after in pairwise(spans):
        assert min(before) >= max(after)


def test_unpadded_batches_keep_the_order():
    units = [3, 1, 2, 5, 4]
    batches = plan_batches(items_of(units), units, ["text"] * 5, Limits(items_per_batch=2, padded=False))
    assert [batch.members for batch in batches] == [[0, 1], [2, 3], [4]]


def test_items_of_different_keys_never_share_a_batch():
    units = [1] * 9
    keys = ["a", "b", "c"] * 3
    for batch in plan_batches(items_of(units), units, keys, Limits()):
        assert len({keys[member] for member in batch.members}) == 1


def test_a_group_stays_together_even_beyond_the_limit():
    items = [Item(text_item(str(place)).parts, group="g" if place % 2 else None) for place in range(20)]
    batches = plan_batches(items, [1] * 20, ["text"] * 20, Limits(items_per_batch=4))
    groups = [batch.members for batch in batches if any(items[member].group for member in batch.members)]
    assert groups == [list(range(1, 20, 2))]


def test_bytes_bound_a_request():
    items = [text_item("x" * 40) for _ in range(5)]
    batches = plan_batches(items, [1] * 5, ["text"] * 5, Limits(bytes_per_batch=100, padded=False))
    assert [len(batch.members) for batch in batches] == [2, 2, 1]


def test_the_users_bounds_only_tighten():
    units = [10] * 64
    assert len(plan_batches(items_of(units), units, ["t"] * 64, Limits(), max_items=8)) == 8
    assert len(plan_batches(items_of(units), units, ["t"] * 64, Limits(), max_items=64)) == 2
    assert len(plan_batches(items_of(units), units, ["t"] * 64, Limits(), max_units=100)) == 7


def test_halving_loses_nothing():
    batch = Batch(((0,), (1, 2), (3,)), 30)
    first, second = batch.halve()
    assert first.members + second.members == batch.members
    assert first.cost + second.cost == batch.cost
