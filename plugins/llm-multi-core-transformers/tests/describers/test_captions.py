"""Captions are the library's own, whatever else is in the batch, and their models are known by content."""

from __future__ import annotations

import json
from shutil import copytree

import numpy as np
import pytest

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, ModelLoadError
from llm_multi_core.embedder.inputs.image import image_item

KINDS = ["blip", "git", "vit-gpt2"]
LONGEST = 12


@pytest.fixture
def library(folder_of):
    """What transformers itself writes under one picture."""
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    def caption(kind, picture, prompt=None, **search):
        folder = folder_of(kind)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        inputs = dict(AutoImageProcessor.from_pretrained(folder, backend="pil")(picture, return_tensors="pt"))
        if prompt is not None and kind == "blip":
            inputs |= tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        elif prompt is not None:
            tokens = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
            inputs["input_ids"] = torch_cat([[tokenizer.cls_token_id]], tokens)
        model = AutoModelForImageTextToText.from_pretrained(folder).eval()
        written = model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False, **search)
        return tokenizer.decode(written[0], skip_special_tokens=True).strip()

    return caption


def torch_cat(first, rest):
    import torch

    return torch.cat([torch.tensor(first), rest], dim=1)


@pytest.fixture
def items(pictures):
    return [image_item(picture) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_the_librarys(kind, bridge, folder_of, library, pictures, items):
    expected = [library(kind, picture) for picture in pictures]
    assert len(set(expected)) >= 4
    assert bridge("caption", folder_of(kind), max_new_tokens=LONGEST).texts(items) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_in_a_batch_do_not_matter(kind, bridge, folder_of, items):
    together = bridge("caption", folder_of(kind)).texts(items)
    alone = bridge("caption", folder_of(kind))
    backwards = [alone.texts([item])[0] for item in reversed(items)]
    assert backwards == together[::-1]


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_a_prompt_begins_them(kind, bridge, folder_of, library, pictures, items):
    prompt = "a red house"
    texts = bridge("caption", folder_of(kind), prompt=prompt, max_new_tokens=LONGEST).texts(items)
    assert all(text.startswith(prompt) for text in texts)
    assert texts == [library(kind, picture, prompt) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_beams(kind, bridge, folder_of, library, pictures, items):
    texts = bridge("caption", folder_of(kind), num_beams=3, max_new_tokens=LONGEST).texts(items)
    assert texts == [library(kind, picture, num_beams=3) for picture in pictures]
    assert texts != bridge("caption", folder_of(kind), max_new_tokens=LONGEST).texts(items)


def test_a_folder_that_wants_samples_gets_none(bridge, folder_of, items, tmp_path):
    expected = bridge("caption", folder_of("git")).texts(items)
    folder = copytree(folder_of("git"), tmp_path / "sampling")
    change(folder / "generation_config.json", do_sample=True, temperature=3.0)
    assert bridge("caption", folder).texts(items) == expected


def test_half_precision(bridge, folder_of, items):
    texts = bridge("caption", folder_of("blip"), precision="bfloat16").texts(items)
    assert all(isinstance(text, str) and text for text in texts)


def test_no_longer_than_asked(bridge, folder_of, items):
    texts = bridge("caption", folder_of("vit-gpt2"), max_new_tokens=2).texts(items)
    assert max(len(text.split()) for text in texts) == 2


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("blip", {"max_new_tokens": 0}, "max_new_tokens=0 is not a number from 1 on"),
        ("blip", {"num_beams": 0}, "num_beams=0 is not a number from 1 on"),
        ("blip", {"max_new_tokens": 99}, "has room for 31 beyond the prompt"),
        ("git", {"max_new_tokens": 99, "prompt": "a red"}, "has room for 45 beyond the prompt"),
        ("vit-gpt2", {"prompt": "a"}, "takes no prompt"),
        ("blip", {"promt": "a"}, "did you mean 'prompt'"),
    ],
)
def test_options(kind, options, message, bridge, folder_of, items):
    with pytest.raises(InvalidOptionError, match=message):
        bridge("caption", folder_of(kind), **options).texts(items)


def test_models_of_other_types(bridge, folder_of, items):
    with pytest.raises(ModelLoadError, match=r"of type 'whisper', which caption does not run \(it runs blip, git, "):
        bridge("caption", folder_of("whisper")).texts(items)


def test_a_picture_that_cannot_be_read_leaves_the_others_alone(bridge, folder_of, pictures, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, picture in zip(paths, pictures, strict=False):
        picture.save(path)
    items = [image_item(path) for path in paths]
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    first, second, third = bridge("caption", folder_of("blip")).texts(items)
    assert isinstance(second, InvalidInputError)
    assert "'1.png'" in str(second)
    assert [first, third] == bridge("caption", folder_of("blip")).texts([items[0], items[2]])


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


class TestIdentity:
    def test_it_is_the_content_and_not_the_place(self, bridge, folder_of, tmp_path):
        folder = copytree(folder_of("blip"), tmp_path / "elsewhere")
        assert bridge("caption", folder).identity == bridge("caption", folder_of("blip")).identity

    @pytest.mark.parametrize("options", [{"prompt": "a"}, {"max_new_tokens": 5}, {"num_beams": 2}])
    def test_options_are_part_of_it(self, bridge, folder_of, options):
        plain, other = bridge("caption", folder_of("blip")), bridge("caption", folder_of("blip"), **options)
        assert plain.identity != other.identity
        assert plain.identity["model"] == other.identity["model"]

    def test_the_device_is_not(self, bridge, folder_of):
        folder = folder_of("blip")
        assert bridge("caption", folder).identity == bridge("caption", folder, precision="bfloat16").identity

    @pytest.mark.parametrize("name", ["config", "preprocessor_config", "tokenizer", "generation_config"])
    def test_every_file_that_shapes_words_is(self, bridge, folder_of, tmp_path, name):
        folder = copytree(folder_of("blip"), tmp_path / "changed")
        before = bridge("caption", folder).identity
        bridge("caption", folder).close()
        change(folder / f"{name}.json", something_else=1)
        assert bridge("caption", folder, num_beams=1, local_files_only=True).identity["model"] != before["model"]

    def test_weights_are(self, bridge, folder_of, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = copytree(folder_of("blip"), tmp_path / "swapped")
        weights = load_file(folder / "model.safetensors")
        name = next(name for name, tensor in weights.items() if tensor.ndim > 1)
        save_file(weights | {name: weights[name] + 1}, folder / "model.safetensors")
        assert bridge("caption", folder).identity["model"] != bridge("caption", folder_of("blip")).identity["model"]


class TestTrust:
    def test_pickled_weights(self, bridge, folder_of, items, tmp_path):
        import torch
        from safetensors.torch import load_file

        expected = bridge("caption", folder_of("blip")).texts(items)
        folder = copytree(folder_of("blip"), tmp_path / "pickled")
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelLoadError, match=r"pytorch_model\.bin.*allow_pickle=True"):
            bridge("caption", folder).texts(items)
        assert bridge("caption", folder, allow_pickle=True).texts(items) == expected

    def test_code_in_the_folder(self, bridge, folder_of, items, tmp_path):
        expected = bridge("caption", folder_of("git")).texts(items)
        folder = copytree(folder_of("git"), tmp_path / "odd")
        change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "odd.Tokenizer"]})
        change(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "odd.Processor"})
        change(folder / "config.json", auto_map={"AutoModelForImageTextToText": "odd.Model"})
        (folder / "odd.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')\n")
        assert bridge("caption", folder).texts(items) == expected
        assert not (folder / "sprung").exists()

    def test_weights_that_lack_the_half_that_writes(self, bridge, folder_of, items, tmp_path):
        from safetensors.torch import load_file, save_file

        folder = copytree(folder_of("blip"), tmp_path / "half")
        weights = load_file(folder / "model.safetensors")
        kept = {name: tensor for name, tensor in weights.items() if "crossattention" not in name}
        save_file(kept, folder / "model.safetensors")
        with pytest.raises(ModelLoadError, match="lack"):
            bridge("caption", folder).texts(items)


def test_pictures_in_every_form_are_described(bridge, folder_of, pictures):
    array = np.asarray(pictures[0])
    one, other = bridge("caption", folder_of("git")).texts([image_item(pictures[0]), image_item(array)])
    assert one == other
