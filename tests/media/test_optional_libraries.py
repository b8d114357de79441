"""Pillow, soundfile and soxr are optional: nothing imports them early, and their lack has a clear name."""

import subprocess
import sys

import numpy as np
import pytest

from llm_multi_core.embedder import FrameworkUnavailableError
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise

PNG, WAV = encode_picture(draw_picture()), encode_sound(synthesise(0.1))


def test_the_host_imports_none_of_them():
    script = (
        "import sys\n"
        "from llm_multi_core.embedder.inputs import audio, image, urls\n"
        "from llm_multi_core.embedder.testing import media\n"
        "from llm_multi_core.embedder import ImageEmbedder, AudioEmbedder\n"
        "print(*{'PIL', 'soundfile', 'soxr', 'librosa'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("value", [PNG, np.zeros((4, 4, 3), np.uint8)])
@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_without_pillow(images, monkeypatch, value, on_error):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(
        FrameworkUnavailableError, match=r'images .* install with: pip install "llm-multi-core\[image\]"'
    ):
        images().run([value], on_error=on_error)


@pytest.mark.parametrize(
    ("module", "value"),
    [("soundfile", WAV), ("soxr", (synthesise(0.1), 8000)), ("soxr", encode_sound(synthesise(0.1), 44_100))],
)
@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_without_the_libraries_of_sound(sounds, monkeypatch, module, value, on_error):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FrameworkUnavailableError, match=rf'audio .*{module}.* "llm-multi-core\[audio\]"'):
        sounds().run([value], on_error=on_error)


def test_arrays_at_the_models_rate_need_no_library(sounds, monkeypatch):
    for module in ("soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, module, None)
    assert sounds().embed(synthesise(0.1)).shape == (48,)


def test_a_shared_library_that_cannot_be_loaded(sounds, monkeypatch):
    import importlib

    def broken(name):
        if name == "soundfile":
            raise OSError("sndfile library not found")
        return importlib.__import__(name)

    monkeypatch.setattr("llm_multi_core.embedder.libraries.import_module", broken)
    with pytest.raises(FrameworkUnavailableError, match="sndfile library not found"):
        sounds().embed(WAV)
