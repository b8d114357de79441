"""The demo uses a joint model where there is one, and teaches itself what that does not serve."""

import pytest

from llm_multi_core.embedder import create_multimodal_embedder

SIDE = 32
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture
def clip_folder(tmp_path):
    """A tiny CLIP model of random weights, in a folder."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

    torch.manual_seed(3)
    text = TOWER | {"vocab_size": 300, "max_position_embeddings": 40, "bos_token_id": 0, "eos_token_id": 1}
    vision = TOWER | {"image_size": SIDE, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    folder = tmp_path / "clip"
    model.save_pretrained(folder)
    letters = ByteLevelBPETokenizer()
    letters.train_from_iterator([], vocab_size=300, special_tokens=["<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters._tokenizer, eos_token="</s>", pad_token="</s>")
    tokenizer.model_max_length = 40
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(
        folder
    )
    return folder


@pytest.fixture
def written(tmp_path):
    from media_folder import write_media_folder

    return write_media_folder(tmp_path / "media", renderings=1)


def test_a_joint_model_serves_pictures_and_sound_is_carried_into_its_space(clip_folder, written):
    from joint_space import joint_settings

    settings = joint_settings(written, "clip-transformers", str(clip_folder))
    assert "image_framework" not in settings
    assert settings["audio_framework"] == "classic"
    with create_multimodal_embedder(**settings) as embedder:
        ways = embedder.ways()
        assert embedder.dimension == 24
        assert embedder.embed_joint(["a red circle", *written.pictures, *written.recordings]).shape == (49, 24)
    assert "clip-transformers" in ways["text"]
    assert ways["image"] == ways["text"]
    assert "aligned to" in ways["audio"]
