"""The usage examples of image and audio embedding run as they are written, over the fakes."""

import warnings

import pytest
import soundfile

from llm_multi_core.embedder.testing.media import draw_picture, media_plugin, synthesise

IMAGES = """
from llm_multi_core.embedder import create_image_embedder
from PIL import Image

# Create an image embedder with CLIP
embedder = create_image_embedder(framework="clip")

# Generate embedding for a single image
image = Image.open("image.jpg")
embedding = embedder.embed(image)

# Generate embeddings for multiple images
images = [Image.open(f"image_{i}.jpg") for i in range(3)]
embeddings = embedder.embed_batch(images)

# Calculate similarity between two images
similarity = embedder.similarity("image1.jpg", "image2.jpg")
print(f"Similarity: {similarity}")
"""

AUDIO = """
from llm_multi_core.embedder import create_audio_embedder
import librosa

# Create an audio embedder with Wav2Vec2
embedder = create_audio_embedder(framework="wav2vec2")

# Generate embedding for a single audio file
audio, sr = librosa.load("audio.wav", sr=16000)
embedding = embedder.embed(audio)

# Generate embeddings for multiple audio files
audio_files = [f"audio_{i}.wav" for i in range(3)]
audio_data = [librosa.load(file, sr=16000)[0] for file in audio_files]
embeddings = embedder.embed_batch(audio_data)

# Calculate similarity between two audio files
similarity = embedder.similarity("audio1.wav", "audio2.wav")
print(f"Similarity: {similarity}")
"""


@pytest.fixture(autouse=True)
def place(install_plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_MULTI_CORE_PLUGINS", "fake-media")  # whatever else offers these names
    install_plugin(
        "llm-multi-core-fake-media",
        entry_points={"fake-media": "fake_media_plugin"},
        modules={"fake_media_plugin": media_plugin("clip", "wav2vec2")},
    )
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("", "_0", "_1", "_2", "1", "2")):
        draw_picture(seed=seed).save(f"image{name}.jpg")
        soundfile.write(f"audio{name}.wav", synthesise(0.2, 22_050, 300 + 100 * seed, seed), 22_050)


def run(source, capsys):
    names = {}
    exec(compile(source, "example", "exec"), names)
    assert -1 <= names["similarity"] <= 1
    assert capsys.readouterr().out == f"Similarity: {names['similarity']}\n"
    assert names["embedding"].shape == (names["embedder"].dimension,)
    assert names["embeddings"].shape == (3, names["embedder"].dimension)
    names["embedder"].close()
    return names


def test_images(capsys):
    names = run(IMAGES, capsys)
    for image in (names["image"], *names["images"]):
        image.close()  # the example leaves that to the garbage collector


def test_audio(capsys):
    pytest.importorskip("librosa")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own
        run(AUDIO, capsys)
