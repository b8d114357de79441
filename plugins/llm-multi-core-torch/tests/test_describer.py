"""Describers of torch models: loaded once, run in inference mode, and tried with fewer media where memory runs out."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder import Bridge, EncoderConfig, InvalidOptionError, Modality
from llm_multi_core.embedder.inputs.image import image_item
from llm_multi_core.embedder.testing.media import draw_picture
from llm_multi_core_torch import TorchDescriber


class Teller(TorchDescriber):
    """Tells two pictures at most at a time."""

    modality, via = Modality.IMAGE, "caption"
    loads = 0

    def load_model(self):
        type(self).loads += 1

    def prepare(self, media):
        import torch

        assert not torch.is_autocast_enabled("cpu")
        return [one.size[0] for one in media]

    def words(self, prepared):
        import torch

        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu") == self.precision.autocast
        if len(prepared) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3 TiB.")
        if 13 in prepared:
            raise RuntimeError("a fault of another kind")
        return [f"{width} wide" for width in prepared]

    def unload(self):
        type(self).loads -= 1


@pytest.fixture
def tell():
    made = []

    def make(**settings):
        config = EncoderConfig("teller", "tests", "model", **({"device": "cpu"} | settings))
        made.append(Bridge(Modality.IMAGE, "caption", lambda: Teller(config), "the teller"))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()
    assert Teller.loads == 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_that_runs_out_of_memory_is_asked_with_fewer(tell, precision):
    items = [image_item(draw_picture(width, 8)) for width in range(10, 16)]
    bridge = tell(precision=precision)
    texts = bridge.texts(items)
    assert [text for text in texts if isinstance(text, str)] == [f"{width} wide" for width in (10, 11, 12, 14, 15)]
    assert "RuntimeError: a fault of another kind" in str(texts[3])
    bridge.texts([image_item(draw_picture(30, 8))])
    assert Teller.loads == 1


def test_memory_that_runs_out_is_named_as_that():
    teller = Teller(EncoderConfig("teller", "tests", "model", device="cpu", precision="float32"))
    with pytest.raises(MemoryError, match=r"^CUDA out of memory\. Tried to allocate 3 TiB\.$"):
        teller.describe([draw_picture(9, 8)] * 3)


@pytest.mark.parametrize("settings", [{"device": "abacus"}, {"precision": "float16"}])
def test_what_the_machine_cannot_do_is_refused(tell, settings):
    with pytest.raises(InvalidOptionError, match=r"this machine has|is not for CPUs"):
        tell(**settings).texts([image_item(draw_picture(9, 8))])
