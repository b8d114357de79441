"""Pictures and recordings in the space of a text model, over words that tiny models find for them."""

from __future__ import annotations

import pickle

import pytest

from llm_multi_core.embedder import (
    InvalidInputError,
    InvalidOptionError,
    Stamp,
    create_audio_embedder,
    create_image_embedder,
    create_multimodal_embedder,
    create_text_embedder,
    get_available_embedders,
)
from llm_multi_core.embedder.errors import IncompatibleSpacesError
from llm_multi_core.embedder.testing.media import encode_sound


@pytest.fixture
def embedder(folder_of):
    """Makes multimodal embedders of MiniLM with tiny models that write."""
    made = []

    def make(caption="blip", transcript="hubert", **settings):
        bridge = {
            "image": {"framework": "caption", "model": folder_of(caption), **settings},
            "audio": {"framework": "transcript", "model": folder_of(transcript)},
        }
        exact = {"device": "cpu", "precision": "float32"}
        made.append(create_multimodal_embedder("sentence-transformers", bridge=bridge, **exact))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_words_are_what_is_embedded(embedder, bridge, folder_of, pictures, make_sound):
    from llm_multi_core.embedder.inputs.audio import audio_item
    from llm_multi_core.embedder.inputs.image import image_item

    one, sounds = embedder(), [make_sound(0.9, seed) for seed in range(2)]
    inputs = ["a red house", pictures[0], sounds[0], "a boat", pictures[1], sounds[1], pictures[0]]
    result = one.run_joint(inputs, role="document")
    captions = bridge("caption", folder_of("blip")).texts([image_item(picture) for picture in pictures[:2]])
    transcripts = bridge("transcript", folder_of("hubert")).texts([audio_item(sound, 16_000) for sound in sounds])
    words = ["a red house", captions[0], transcripts[0], "a boat", captions[1], transcripts[1], captions[0]]
    with create_text_embedder(device="cpu", precision="float32") as texts:
        expected = texts.embed_batch(words, role="document")
    assert abs(result.joined() - expected).max() < 1e-6
    assert result.via == [None, "caption", "transcript", None, "caption", "transcript", "caption"]
    similarity = one.similarity(words[1], pictures[0])
    assert similarity > 0.9999
    assert similarity.via == "caption"
    assert one.ways()["audio"].endswith(f"over transcript model {str(folder_of('hubert'))!r}")


def test_what_has_no_words_is_named(embedder, pictures, make_sound, tmp_path):
    one = embedder(transcript="whisper-silent")
    path = tmp_path / "damaged.wav"
    path.write_bytes(encode_sound(make_sound(0.5))[:400])
    inputs = ["a text", make_sound(0.5), pictures[0]]
    with pytest.raises(InvalidInputError, match=r"^input 1: transcript model .* found no words for it$"):
        one.embed_joint(inputs)
    result = one.run_joint([*inputs, path], on_error="collect")
    assert result.ok.tolist() == [True, False, True, False]
    assert [failure.index for failure in result.failures] == [1, 3]
    assert "'damaged.wav'" in str(result.failures[1].error)


def test_an_index_knows_what_put_its_pictures_into_words(embedder):
    stamp = Stamp.from_json(Stamp.take(embedder()).to_json())
    assert stamp.check(embedder()) > 0.9999
    for other in (embedder(caption="git"), embedder(prompt="a photo of"), embedder(transcript="wav2vec2")):
        with pytest.raises(IncompatibleSpacesError, match=r"what puts (image|audio) into words is not the same"):
            stamp.check(other)


def test_bridges_of_equal_settings_share_a_model_and_copies_load_it_again(embedder, pictures):
    from llm_multi_core.embedder.pipeline.describing import describers

    one, other = embedder(), embedder()
    expected = one.embed_joint([pictures[0]])
    assert len(describers) == 1
    assert (other.embed_joint([pictures[0]]) == expected).all()
    assert len(describers) == 1
    one.close()
    assert (other.embed_joint([pictures[1]]) != expected).any()
    other.close()
    assert len(describers) == 0
    with pickle.loads(pickle.dumps(embedder())) as copy:
        assert abs(copy.embed_joint([pictures[0]]) - expected).max() < 1e-6


def test_they_are_no_embedders():
    assert not {"caption", "transcript"} & {name for row in get_available_embedders().values() for name in row}
    for create, name, modality in (
        (create_image_embedder, "caption", "image"),
        (create_audio_embedder, "transcript", "audio"),
    ):
        with pytest.raises(
            InvalidOptionError, match=rf"turns {modality} into text .* bridge=\{{'{modality}': '{name}'\}}"
        ):
            create(name)
    with pytest.raises(InvalidOptionError, match="turns image into text"):
        create_multimodal_embedder(framework="caption")
