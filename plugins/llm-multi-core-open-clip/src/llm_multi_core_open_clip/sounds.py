"""Recordings for the audio towers of open_clip 4: how long they may be, and how they are prepared.

Nothing here is random. open_clip takes a random crop of what is too long in training; here the truncation policy has
seen to that before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from llm_multi_core.embedder import ModelLoadError
from llm_multi_core_torch import Samples

if TYPE_CHECKING:
    import torch

_DEFAULTS = {
    "sample_rate": 48_000,
    "clip_samples": 480_000,
    "hop_size": 480,
    "mel_bins": 64,
    "patch_freq": 64,
    "patch_time": 4,
}
"""Of open_clip's `CLIPAudioCfg`."""
_SECONDS = 10
"""What open_clip evaluates towers of any length with, if their configuration names no number of tokens."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """How an audio tower takes recordings, as its configuration says.

    Attributes:
        sample_rate: in Hz.
        window: samples of the longest recording.
        fills_window: whether shorter ones are repeated and padded to fill the window; else they make fewer tokens.
        fusion: whether it takes four spectrograms of each.
        alone: whether it computes each by itself, since the loudest of a batch would shape the spectrograms of all.
    """

    sample_rate: int
    window: int
    fills_window: bool
    fusion: bool
    alone: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The format that an `audio_cfg` asks for."""
        config = {**_DEFAULTS, **config}
        rate, kind = int(config["sample_rate"]), str(config.get("model_type", "")).lower()
        fills = kind != "naflexvit"
        window = int(config["clip_samples"]) if fills else rate * _SECONDS
        if not fills and config.get("audio_seq_len"):
            # open_clip cuts whole patches of frames; there is a frame at every hop, the first one at 0.
            rows = int(config["mel_bins"]) // int(config["patch_freq"])
            frames = int(config["audio_seq_len"]) // rows * int(config["patch_time"])
            window = frames * int(config["hop_size"]) - 1
        window = window * 1000 // rate * rate // 1000  # recordings are measured and cut in milliseconds
        return cls(rate, window, fills, fills and bool(config.get("enable_fusion")), kind == "whisper")

    @property
    def milliseconds(self) -> int:
        """The longest recording, in milliseconds."""
        return self.window * 1000 // self.sample_rate

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what the tower takes."""
        if self.fills_window:
            return ("mel_fusion" if self.fusion else "waveform",)
        return ("patches", "patch_coord", "patch_valid")


class SoundInputs:
    """open_clip's own preprocessing: from samples to what the audio tower takes. Safe in several threads."""

    def __init__(self, config: Mapping[str, Any], label: str) -> None:
        """Set it up.

        Args:
            config: the `audio_cfg` of a model.
            label: how people know the model.

        Raises:
            ModelLoadError: if the configuration asks for something that open_clip does not know.
        """
        from open_clip.audio import AudioNaFlexCfg, AudioNaFlexTransformFactory, CLIPAudioCfg, audio_transform_v2

        self._format = SoundFormat.of(config)
        try:
            parsed = CLIPAudioCfg(**config)
            if self._format.fills_window:
                self._transform: Any = audio_transform_v2(parsed, is_train=False)
            else:
                factory = AudioNaFlexTransformFactory(AudioNaFlexCfg.from_clip_audio_cfg(parsed))
                self._transform = factory(max_seq_len=parsed.audio_seq_len)
        except (TypeError, ValueError) as error:
            raise ModelLoadError(f"the preprocessing of model {label!r} cannot be set up ({error})") from error

    def __call__(self, sounds: Sequence[Samples]) -> dict[str, torch.Tensor]:
        """The inputs of a batch, by name, each `(n, ...)`.

        Args:
            sounds: samples `(frames,)` at the rate of the format; what is beyond the window is left out.
        """
        import torch

        rate, window = self._format.sample_rate, self._format.window
        found = [self._transform((torch.from_numpy(samples[:window])[None], rate)) for samples in sounds]
        if self._format.fills_window:
            return {name: torch.stack([one[name] for one in found]) for name in self._format.inputs}
        # Patches of padding are not valid, which hides them from the others.
        pad = torch.nn.utils.rnn.pad_sequence
        return {name: pad([one[name] for one in found], batch_first=True) for name in self._format.inputs}
