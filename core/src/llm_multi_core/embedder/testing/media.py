"""Encoders of images and sound that need no model, and the pictures and sounds to try them with.

Their vectors mean something, unlike those of the fakes of text: similar pictures and similar sounds
lie close together, so that the effect of a decoding step on a vector can be measured.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from llm_multi_core.embedder.encoders import Description, EncoderConfig, Intake, Limits, LocalEncoder, Measure
from llm_multi_core.embedder.frameworks import FrameworkSpec, OptionSpec
from llm_multi_core.embedder.inputs.audio import AudioSource, Waveform, split_audio
from llm_multi_core.embedder.items import Item, Modality, Task
from llm_multi_core.embedder.rows import FloatArray
from llm_multi_core.embedder.spaces import Space

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 8
"""The side in pixels of what the image fake sees of a picture."""
BANDS = 48
"""The bands of the spectrum that the audio fake sees."""
_FRAME, _HOP = 512, 256


class FakeImageEncoder(LocalEncoder):
    """The pixels of a thumbnail, `(8 * 8 * 3 + 1,)`; option `image_side` allows reduced decoding."""

    def describe(self) -> Description:
        """Without a limit; media is decoded ahead."""
        dimension = THUMBNAIL * THUMBNAIL * 3 + 1
        return Description(
            Space(f"fake-image/{self.config.model}", dimension, modalities=frozenset({Modality.IMAGE})),
            Limits(unit="image", items_per_batch=self.config.options.get("items_per_batch", 8), padded=False),
            dimension,
            intake=Intake(image_side=self.config.options.get("image_side")),
        )

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """One each."""
        return Measure([1] * len(items))

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The item itself."""
        return [item]

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> Any:
        """The thumbnails, `(n, 8, 8, 3)` from 0 to 1."""
        return np.stack([thumbnail(item.parts[0].payload) for item in items])

    def forward(self, batch: Any) -> npt.ArrayLike:
        """The thumbnails as rows, and a constant that keeps a grey picture from being a zero vector."""
        flat = batch.reshape(len(batch), -1) - 0.5
        return np.concatenate([flat, np.full((len(batch), 1), 0.1)], axis=1).astype(np.float32)


class FakeAudioEncoder(LocalEncoder):
    """A mean log spectrum, `(48,)`. A unit is a sample; options `sample_rate` and `max_samples`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.sample_rate: int = config.options.get("sample_rate", 16_000)

    def describe(self) -> Description:
        """With a limit in samples; over-long sound is cut by the pipeline."""
        return Description(
            Space(f"fake-audio/{self.config.model}", BANDS, modalities=frozenset({Modality.AUDIO})),
            Limits(unit="sample", units_per_item=self.config.options.get("max_samples", 160_000), items_per_batch=8),
            BANDS,
            intake=Intake(sample_rate=self.sample_rate),
        )

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Samples at the encoder's rate."""
        return Measure([round(item.parts[0].payload.seconds * self.sample_rate) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Stretches of `max_units` samples."""
        return split_audio(item, max_units / self.sample_rate)

    def prepare(self, items: Sequence[Item], task: Task, state: Sequence[Any] | None = None) -> Any:
        """The waveforms."""
        return [item.parts[0].payload for item in items]

    def forward(self, batch: Any) -> npt.ArrayLike:
        """The spectra as rows."""
        return np.stack([spectrum(sound.samples) for sound in batch])


def thumbnail(picture: Image) -> FloatArray:
    """`(8, 8, 3)` from 0 to 1, shrunk with the filter that most models use."""
    from PIL.Image import Resampling

    small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Resampling.BICUBIC)
    return np.asarray(small, np.float32) / np.float32(255)


def spectrum(samples: npt.NDArray[Any]) -> FloatArray:
    """`(48,)`: the mean power of linear frequency bands, as a logarithm."""
    padded = np.pad(samples, (0, max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * np.hanning(_FRAME)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
    bands = [band.mean() for band in np.array_split(power, BANDS)]
    return np.log10(np.asarray(bands) + 1e-6).astype(np.float32)


def fake_image_spec(encoder: type[Any] = FakeImageEncoder, name: str = "fake-image") -> FrameworkSpec:
    """A framework whose encoder is `encoder`, a module-level class."""
    return FrameworkSpec(
        name=name,
        modalities=(Modality.IMAGE,),
        target=f"{encoder.__module__}:{encoder.__qualname__}",
        default_model={Modality.IMAGE: "fake-small"},
        options=(
            OptionSpec("image_side", int, None, summary="what pictures are shrunk to"),
            OptionSpec("items_per_batch", int, 8, summary="pictures in a batch"),
        ),
        summary="A deterministic fake of an image model",
    )


def fake_audio_spec(encoder: type[Any] = FakeAudioEncoder, name: str = "fake-audio") -> FrameworkSpec:
    """A framework whose encoder is `encoder`, a module-level class."""
    return FrameworkSpec(
        name=name,
        modalities=(Modality.AUDIO,),
        target=f"{encoder.__module__}:{encoder.__qualname__}",
        default_model={Modality.AUDIO: "fake-small"},
        options=(
            OptionSpec("sample_rate", int, 16_000, affects_space=True, summary="rate in Hz"),
            OptionSpec("max_samples", int, 160_000, summary="longest sound, in samples"),
        ),
        summary="A deterministic fake of an audio model",
    )


def media_plugin(image: str = "fake-image", audio: str = "fake-audio") -> str:
    """The source of a plugin that offers the two fakes under these names, for `install_plugin`."""
    return f"""
from llm_multi_core.embedder import hookimpl
from llm_multi_core.embedder.testing import media


@hookimpl
def llm_multi_core_frameworks():
    return [media.fake_image_spec(name={image!r}), media.fake_audio_spec(name={audio!r})]
"""


def draw_picture(width: int = 96, height: int = 64, seed: int = 0) -> Image:
    """An RGB picture with soft shades, edges and some noise, about as hard to compress as a photo."""
    from PIL import Image as Pillow

    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.empty((height, width, 3))
    for channel in range(3):
        x, y, tilt = random.uniform(-2, 2, 3)
        pixels[:, :, channel] = 0.5 + 0.4 * np.sin(3 * x * across + 3 * y * down + tilt)
    for _ in range(12):
        x, y, radius = random.uniform(0, 1, 3)
        pixels[(across - x) ** 2 + (down - y) ** 2 < (radius / 5) ** 2] = random.uniform(0, 1, 3)
    pixels += random.normal(0, 0.02, pixels.shape)
    return Pillow.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


def encode_picture(picture: Image, format: str = "PNG", **settings: Any) -> bytes:  # noqa: A002 - Pillow's word
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **settings)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds next to nothing: a decompression bomb, if it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def synthesise(seconds: float = 0.5, sample_rate: int = 16_000, pitch: float = 440.0, seed: int = 0) -> FloatArray:
    """A tone with three overtones and some noise: mono samples `(frames,)` from -1 to 1."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = sum(0.3 / n * np.sin(2 * np.pi * n * pitch * time) for n in range(1, 5))
    noise = np.random.default_rng(seed).normal(0, 0.003, len(time))
    return np.asarray(tones + noise, np.float32)


def encode_sound(
    samples: npt.NDArray[Any],
    sample_rate: int = 16_000,
    format: str = "WAV",  # noqa: A002 - soundfile's word
    subtype: str | None = None,
) -> bytes:
    """Samples `(frames[, channels])` as a file's bytes."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=format, subtype=subtype)
    return buffer.getvalue()


def waveform_of(item: Item, sample_rate: int | None = None) -> Waveform:
    """The decoded sound of an audio item."""
    sound: AudioSource = item.parts[0].payload
    return sound.decode(sample_rate)


def picture_of(item: Item, shortest_side: int | None = None) -> Image:
    """The decoded picture of an image item."""
    payload = item.parts[0].payload
    picture: Image = payload.decode(shortest_side) if hasattr(payload, "decode") else payload
    return picture
