"""Retrieved nodes as content blocks for a multimodal language model."""

from __future__ import annotations

import io

import pytest
import soundfile
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, TextBlock
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from PIL import Image as Pillow

from llama_index.embeddings.llm_multi_core import MediaBlocks, nodes_of_file
from llm_multi_core.embedder import InvalidInputError
from llm_multi_core.embedder.media import MediaLibrary
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise


def found(nodes):
    return [NodeWithScore(node=node, score=0.5) for node in nodes]


def blocks_of(result):
    return result.node.get_content_blocks(metadata_mode=MetadataMode.LLM)


def test_a_file_is_given_by_its_path(media):
    picture, sound = media.picture(), media.sound()
    nodes = [*nodes_of_file(picture), *nodes_of_file(sound), TextNode(text="words", metadata={"author": "me"})]
    image, audio, text = MediaBlocks().postprocess_nodes(found(nodes))
    title, block = blocks_of(image)
    assert title == TextBlock(text="image picture.png")
    assert isinstance(block, ImageBlock)
    assert (block.path, block.image, block.image_mimetype) == (picture, None, "image/png")
    title, block = blocks_of(audio)
    assert title == TextBlock(text="audio sound.wav")
    assert isinstance(block, AudioBlock)
    assert (block.path, block.audio, block.format) == (sound, None, "wav")
    assert text.node is nodes[2]
    assert [one.score for one in (image, audio, text)] == [0.5] * 3
    assert image.node.metadata == nodes[0].metadata
    assert image.node.node_id == nodes[0].node_id


def test_a_stretch_of_a_recording_is_cut_out(media):
    path = media.sound(seconds=1.0)
    nodes = nodes_of_file(path, MediaLibrary(window_seconds=0.5, overlap_seconds=0.0))
    second = MediaBlocks().postprocess_nodes(found(nodes))[1]
    title, block = blocks_of(second)
    assert title.text == "audio sound.wav 0:00-0:01"
    assert (second.node.metadata["start_ms"], second.node.metadata["end_ms"]) == (500, 1000)
    samples, rate = soundfile.read(io.BytesIO(block.resolve_audio().read()))
    assert (len(samples), block.format) == (rate // 2, "wav")
    whole, _ = soundfile.read(path)
    assert samples == pytest.approx(whole[rate // 2 :], abs=1e-3)


def test_a_page_is_a_picture(media):
    path = media.folder / "report.pdf"
    Pillow.new("RGB", (60, 80), (40, 90, 200)).save(path)
    (page,) = MediaBlocks().postprocess_nodes(found(nodes_of_file(path)))
    title, block = blocks_of(page)
    assert title.text == "page 1 of report.pdf"
    assert (block.path, block.image_mimetype) == (None, "image/png")
    with Pillow.open(block.resolve_image()) as picture:
        red, green, blue = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
    assert (red, green, blue) == pytest.approx((40, 90, 200), abs=6)


def test_formats_that_models_do_not_take_are_written_anew(media):
    (media.folder / "a.bmp").write_bytes(encode_picture(draw_picture(), "BMP"))
    (media.folder / "a.flac").write_bytes(encode_sound(synthesise(), format="FLAC"))
    nodes = [*nodes_of_file(media.folder / "a.bmp"), *nodes_of_file(media.folder / "a.flac")]
    image, audio = (blocks_of(one)[1] for one in MediaBlocks().postprocess_nodes(found(nodes)))
    assert image.image_mimetype == "image/jpeg"
    assert image.resolve_image().read().startswith(b"\xff\xd8")
    assert audio.format == "wav"
    assert audio.resolve_audio().read().startswith(b"RIFF")
    (kept,) = MediaBlocks(image_formats=("image/png",)).postprocess_nodes(found(nodes[:1]))
    assert blocks_of(kept)[1].image_mimetype == "image/png"


def test_a_turned_photo_is_given_upright(media):
    path = media.folder / "turned.jpg"
    exif = Pillow.Exif()
    exif[0x0112] = 6
    draw_picture(60, 40).save(path, exif=exif)
    (photo,) = MediaBlocks().postprocess_nodes(found(nodes_of_file(path)))
    with Pillow.open(blocks_of(photo)[1].resolve_image()) as picture:
        assert picture.size == (40, 60)


def test_bounds_hold(media):
    sound, picture = media.sound(seconds=2.0), media.picture()
    nodes = [*nodes_of_file(sound), *nodes_of_file(picture)]
    loud, image = MediaBlocks(max_bytes=5_000).postprocess_nodes(found(nodes))
    (title,) = blocks_of(loud)
    assert title.text == "audio sound.wav (left out: it is too large)"
    assert len(blocks_of(image)[1].resolve_image().read()) <= 5_000
    size = sound.stat().st_size
    first, second = MediaBlocks(max_total_bytes=size + 10).postprocess_nodes(found([nodes[0], nodes[1]]))
    assert len(blocks_of(first)) == 2
    assert "left out" in blocks_of(second)[0].text


def test_modalities_that_a_model_does_not_take(media):
    nodes = [*nodes_of_file(media.picture()), *nodes_of_file(media.sound())]
    image, audio = MediaBlocks(modalities=("text", "image")).postprocess_nodes(found(nodes))
    assert len(blocks_of(image)) == 2
    assert [block.text for block in blocks_of(audio)] == [
        "audio sound.wav (left out: audio is not shown to this model)"
    ]


async def test_blocks_for_a_message(media):
    nodes = found([*nodes_of_file(media.picture()), TextNode(text="words")])
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), *MediaBlocks().blocks(nodes)])
    assert [block.block_type for block in message.blocks] == ["text", "text", "image", "text"]
    assert len(await MediaBlocks().apostprocess_nodes(nodes)) == 2


def test_a_file_that_no_longer_holds_what_was_indexed(media):
    nodes = nodes_of_file(media.picture(seed=1))
    media.picture(seed=2)
    with pytest.raises(InvalidInputError, match="was changed since"):
        MediaBlocks().blocks(found(nodes))
    (media.folder / "picture.png").unlink()
    with pytest.raises(InvalidInputError, match="cannot be found"):
        MediaBlocks().blocks(found(nodes))
