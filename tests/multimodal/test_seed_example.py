"""The usage example of multimodal embedding runs as it is written, over fakes of the frameworks that it names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import soundfile

from llm_multi_core.embedder import IncompatibleSpacesError
from llm_multi_core.embedder.testing.media import draw_picture, synthesise

EMBEDDING = """
from llm_multi_core.embedder import create_multimodal_embedder
from PIL import Image
import librosa

# Create a multimodal embedder
embedder = create_multimodal_embedder(
    text_framework="sentence-transformers",
    image_framework="clip",
    audio_framework="wav2vec2"
)

# Generate embeddings for mixed inputs
inputs = [
    "A beautiful sunset",  # Text
    Image.open("sunset.jpg"),  # Image
    "A cute puppy",  # Text
    Image.open("puppy.jpg"),  # Image
    librosa.load("bird_chirping.wav", sr=16000)[0]  # Audio
]

embeddings = embedder.embed_batch(inputs)
"""

SIMILARITIES = """
# Calculate similarity between different modalities
similarity_text_image = embedder.similarity("A beautiful sunset", "sunset.jpg")
print(f"Text-Image Similarity: {similarity_text_image}")

similarity_image_audio = embedder.similarity("sunset.jpg", "bird_chirping.wav")
print(f"Image-Audio Similarity: {similarity_image_audio}")

similarity_text_audio = embedder.similarity("Bird sounds", "bird_chirping.wav")
print(f"Text-Audio Similarity: {similarity_text_audio}")
"""
WAYS = {
    "joint framework": 'joint_framework="trio"',
    "bridge": 'bridge={"image": "caption", "audio": "transcript"}',
    "alignment": "alignment=maps",
}


@pytest.fixture(autouse=True)
def place(install_plugin, tmp_path, monkeypatch, here):
    """Two of the fakes under the names that the example uses, and its files in the current folder."""
    monkeypatch.setenv("LLM_MULTI_CORE_PLUGINS", "renamed,llm-multi-core-sentence-transformers")
    modules = {name: (here / f"{name}.py").read_text() for name in ("digests", "digests_plugin")}
    for old, new in (("pictures", "clip"), ("sounds", "wav2vec2"), ("digests:", "renamed:")):
        modules = {name: source.replace(f'"{old}', f'"{new}') for name, source in modules.items()}
    modules = {name.replace("digests", "renamed"): source for name, source in modules.items()}
    install_plugin("renamed", entry_points={"renamed": "renamed_plugin"}, modules=modules)
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("sunset", "puppy")):
        draw_picture(64, 48, seed).save(f"{name}.jpg")
    soundfile.write("bird_chirping.wav", synthesise(0.5), 16_000)


def run(source, **names):
    pytest.importorskip("librosa")
    names = dict(names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # librosa's own
            exec(compile(source, "example", "exec"), names)
    finally:
        for picture in names["inputs"][1::2]:
            picture.close()  # the example leaves that to the garbage collector
    return names


def test_mixed_inputs_are_embedded_in_order():
    names = run(EMBEDDING)
    vectors = names["embeddings"]
    assert [vector.shape for vector in vectors] == [(384,), (6,), (384,), (6,), (5,)]
    assert all(vector.dtype == np.float32 for vector in vectors)
    embedder = names["embedder"]
    assert embedder.similarity_of_vectors(vectors[0], embedder.embed("A beautiful sunset")) == pytest.approx(1)
    assert np.array_equal(vectors[1], embedder.embed("sunset.jpg"))
    assert 0.9 < embedder.similarity("A beautiful sunset", "A lovely sunset") < 1
    embedder.close()


def test_similarities_across_modalities_say_how_to_get_them():
    with pytest.raises(IncompatibleSpacesError) as caught:
        run(EMBEDDING + SIMILARITIES)
    message = str(caught.value)
    assert message.startswith("text and image share no space")
    assert all(way.split("=")[0] + "=" in message for way in WAYS.values())


@pytest.mark.parametrize("way", WAYS)
def test_and_then_they_run(way, capsys):
    from llm_multi_core.embedder.analysis.alignment import fit_alignment

    names = run(EMBEDDING)
    spaces = [names["embedder"].space_of(modality) for modality in ("text", "image", "audio")]
    draw = np.random.default_rng(0)
    pairs = [draw.normal(size=(30, space.dimension)).astype(np.float32) for space in spaces]
    maps = [fit_alignment(pairs[place], pairs[0], spaces[place], spaces[0]) for place in (1, 2)]
    names["embedder"].close()
    source = EMBEDDING.replace('audio_framework="wav2vec2"', f'audio_framework="wav2vec2",\n    {WAYS[way]}')
    assert WAYS[way] in source
    names = run(source + SIMILARITIES, maps=maps)
    labels = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert labels == ["Text-Image Similarity", "Image-Audio Similarity", "Text-Audio Similarity"]
    found = [names[f"similarity_{pair}"] for pair in ("text_image", "image_audio", "text_audio")]
    assert all(-1 <= similarity <= 1 for similarity in found)
    expected = {
        "joint framework": [None] * 3,
        "bridge": ["caption", "caption + transcript", "transcript"],
        "alignment": ["alignment"] * 3,
    }
    assert [similarity.via for similarity in found] == expected[way]
    assert len({similarity.space.fingerprint for similarity in found}) == 1
    names["embedder"].close()
