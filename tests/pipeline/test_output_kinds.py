"""Hosted, multi-vector, sparse, interleaved and grouped encoders all go the same way."""

import random
from dataclasses import replace

import numpy as np
import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    Item,
    MemoryCache,
    Modality,
    Part,
    Rows,
    document_chunks,
)
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core.embedder.pipeline.run import arun_windows, open_call, run_windows
from llm_multi_core.embedder.testing.fakes import (
    FakeHostedEncoder,
    FakeMultiVectorEncoder,
    FakeSparseEncoder,
    FakeTextEncoder,
    fake_vector,
)

GROUPS_SEEN: list[list[object]] = []


class ContextualEncoder(FakeTextEncoder):
    """Late chunking: each vector depends on all items of its group in the batch."""

    def describe(self):
        return replace(super().describe(), contextual=True)

    def forward(self, batch):
        items, _ = batch
        GROUPS_SEEN.append([item.group for item in items])
        rows = []
        for item in items:
            context = "".join(other.text for other in items if other.group == item.group) if item.group else ""
            rows.append(fake_vector(f"{context}|{item.text}", 8))
        return np.stack(rows)


def rows_of(embedder, items, **options):
    """What the pipeline makes of items, whatever their output kind."""
    resolved = embedder._resolve()
    with open_call(resolved, embedder._settings, Modality.TEXT, role=None, instruction=None) as call:
        rows = Rows.concat(list(run_windows(resolved, call, items, **options)))
    return rows, call.report


def texts(count=90):
    chooser = random.Random(1)
    return [" ".join(chooser.choices("abcdefghij", k=chooser.randint(1, 9))) for _ in range(count)]


def row(rows, place):
    taken = rows.take([place])
    return (
        taken.values if taken.indices is None else dict(zip(taken.indices.tolist(), taken.values.tolist(), strict=True))
    )


@pytest.mark.parametrize("encoder", [FakeTextEncoder, FakeHostedEncoder, FakeMultiVectorEncoder, FakeSparseEncoder])
@pytest.mark.parametrize("window", [7, 4096])
def test_every_kind_keeps_order_and_drops_duplicates(make_embedder, encoder, window):
    embedder, sample = make_embedder(encoder), texts()
    sample[20] = sample[3] = sample[70]
    together, report = rows_of(embedder, [text_item(text) for text in sample], size=window)
    assert len(together) == len(sample)
    if window == 4096:
        assert report.duplicates == len(sample) - len(set(sample))
    for place, text in enumerate(sample):
        alone, _ = rows_of(embedder, [text_item(text)])
        got, want = row(together, place), row(alone, 0)
        assert got == want if isinstance(got, dict) else np.allclose(got, want, atol=1e-6)


def test_multi_vector_rows_are_normalised_vector_by_vector(make_embedder):
    rows, _ = rows_of(make_embedder(FakeMultiVectorEncoder), [text_item("a b c"), text_item("d")])
    assert np.diff(rows.offsets).tolist() == [3, 1]
    np.testing.assert_allclose(np.linalg.norm(rows.values, axis=1), 1, atol=1e-6)


def test_sparse_rows_are_left_as_they_are(make_embedder):
    rows, _ = rows_of(make_embedder(FakeSparseEncoder), [text_item("a a b")])
    assert sorted(rows.values.tolist()) == [1.0, 2.0]


@pytest.mark.parametrize("encoder", [FakeMultiVectorEncoder, FakeSparseEncoder])
def test_what_is_not_dense_is_not_squeezed_into_an_array(make_embedder, encoder):
    with pytest.raises(InvalidOptionError, match="dense"):
        make_embedder(encoder).embed_batch(["a"])


@pytest.mark.parametrize("encoder", [FakeMultiVectorEncoder, FakeSparseEncoder, FakeTextEncoder])
def test_every_kind_is_cached(make_embedder, encoder):
    embedder = make_embedder(encoder, cache=MemoryCache())
    items = [text_item(text) for text in texts(20)]
    first, _ = rows_of(embedder, items)
    second, report = rows_of(embedder, [*reversed(items), text_item("new one")])
    assert report.cache_hits == len({item.digest for item in items})
    for place in range(len(items)):
        got, want = row(second, place), row(first, len(items) - 1 - place)
        assert got == want if isinstance(got, dict) else np.allclose(got, want, atol=1e-6)


async def test_asynchronous_runs_give_the_same_rows(make_embedder):
    embedder = make_embedder(FakeMultiVectorEncoder)
    items = [text_item(text) for text in texts()]
    want, _ = rows_of(embedder, items)
    resolved = embedder._resolve()
    with open_call(resolved, embedder._settings, Modality.TEXT, role=None, instruction=None) as call:
        got = Rows.concat([rows async for rows in arun_windows(resolved, call, items, 11)])
    np.testing.assert_allclose(got.values, want.values, atol=1e-6)
    np.testing.assert_array_equal(got.offsets, want.offsets)


def picture(number):
    return Part(Modality.IMAGE, f"picture {number}", bytes([number]) * 16)


def test_interleaved_items_batch_by_signature(make_embedder):
    embedder = make_embedder(modalities=(Modality.TEXT, Modality.IMAGE))
    items = []
    for number in range(30):
        text = text_item(f"caption {number % 5}").parts[0]
        items.append(Item(((text,), (picture(number % 7),), (text, picture(number % 7)))[number % 3]))
    vectors = embedder.embed_batch(items)
    for item, vector in zip(items, vectors, strict=True):
        np.testing.assert_allclose(embedder.embed(item), vector, atol=1e-6)
    assert embedder.plan(items).requests == 3
    assert len({vector.tobytes() for vector in vectors}) == len({item.digest for item in items})


def test_the_order_of_parts_matters():
    text = text_item("caption").parts[0]
    assert Item((text, picture(1))).digest != Item((picture(1), text)).digest


def test_items_of_a_modality_that_the_framework_lacks_are_refused(make_embedder):
    with pytest.raises(InvalidInputError, match=r"input 1: .*does not take image"):
        make_embedder().embed_batch(["a", Item((picture(1),))])


def test_a_group_is_embedded_in_one_batch_and_never_taken_apart(make_embedder):
    GROUPS_SEEN.clear()
    embedder = make_embedder(ContextualEncoder, cache=MemoryCache(), batch_size=4)
    items = []
    for document in range(5):
        items += [Item(text_item(f"chunk {number}").parts, group=f"document {document}") for number in range(6)]
    rows, report = rows_of(embedder, items, size=4)  # smaller than a group: windows stretch to its end
    assert report.duplicates == 0  # equal chunks of different documents are different items
    for document in range(5):
        assert sum(f"document {document}" in seen for seen in GROUPS_SEEN) == 1
        context = "".join(f"chunk {number}" for number in range(6))
        want = np.stack([fake_vector(f"{context}|chunk {number}", 8) for number in range(6)])
        want /= np.linalg.norm(want, axis=1, keepdims=True)
        np.testing.assert_allclose(rows.values[6 * document : 6 * document + 6], want, atol=1e-6)
    _, again = rows_of(embedder, items)
    assert again.cache_hits == 0


def test_a_group_means_nothing_to_an_encoder_without_context(make_embedder):
    """A document of many chunks is no larger a batch than other texts, and its chunks are kept like them."""
    cache = MemoryCache()
    embedder = make_embedder(cache=cache, batch_size=4)
    chunks = ["one", "two", "one", *(f"chunk {number}" for number in range(20))]
    rows, report = rows_of(embedder, document_chunks(chunks), size=7)
    np.testing.assert_allclose(rows.values, embedder.embed_batch(chunks), atol=1e-6)
    assert report.duplicates == 1
    _, again = rows_of(embedder, document_chunks(chunks))
    assert again.cache_hits == 22
    assert embedder.plan(document_chunks(chunks * 2)).requests == 0
    assert make_embedder(batch_size=4).plan(document_chunks(chunks)).requests == 6


def test_digests_tell_a_text_from_other_content():
    assert text_item("a").digest != Part(Modality.IMAGE, "a", b"a" * 16).digest
    assert text_item("a").digest == text_item("a").digest
    assert text_item("a").digest != text_item("b").digest
