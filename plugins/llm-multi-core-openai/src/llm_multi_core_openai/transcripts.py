"""`TranscriptEncoder`: recordings by what is said in them, in the space of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar

from openai import omit
from openai.types.audio import Transcription
from openai.types.audio.transcription import UsageDuration, UsageTokens

from llm_multi_core.embedder import Description, Intake, InvalidOutputError, Item, Limits, Measure, Modality, Task
from llm_multi_core.embedder.inputs.audio import AudioSource, split_audio
from llm_multi_core_openai.bridge import BridgeEncoder, Words
from llm_multi_core_openai.catalogue import (
    AUDIO_FORMATS,
    AUDIO_LIMITS,
    AUDIO_RATE,
    LONGEST_RECORDING,
    MAX_AUDIO_BYTES,
    TRANSCRIPTION_MODELS,
    price_of,
)
from llm_multi_core_openai.encoder import Embedded

_SUFFIXES = {"audio/flac": "flac", "audio/wav": "wav", "audio/mpeg": "mp3", "audio/ogg": "ogg"}


class TranscriptEncoder(BridgeEncoder):
    """Recordings that are written down by a transcription model; the transcript is embedded."""

    modality: ClassVar[Modality] = Modality.AUDIO
    concurrency_option: ClassVar[str] = "transcription_concurrency"
    identifying_options: ClassVar[tuple[str, ...]] = ("transcription_model", "transcription_prompt", "language")

    def describe(self) -> Description:
        """The space of text, and the form in which recordings are sent."""
        intake = Intake(sample_rate=AUDIO_RATE, formats=AUDIO_FORMATS, max_bytes=MAX_AUDIO_BYTES)
        return replace(super().describe(), intake=intake)

    def limits(self) -> Limits:
        """How many recordings are embedded together, and how long one may be."""
        known = TRANSCRIPTION_MODELS.get(self.options["transcription_model"])
        return replace(AUDIO_LIMITS, units_per_item=known.seconds if known else LONGEST_RECORDING)

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Seconds, counted up."""
        return Measure([max(1, ceil(_sound(item).seconds)) for item in items])

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Consecutive stretches of at most `max_units` seconds."""
        return split_audio(item, max_units)

    async def put_into_words(self, media: Any) -> Words:
        """The transcript of a recording."""
        model = self.options["transcription_model"]
        reply = await self.client().audio.transcriptions.create(
            model=model,
            file=(f"recording.{_SUFFIXES[media.media_type]}", media.data, media.media_type),
            response_format="json",
            prompt=self.options["transcription_prompt"] or omit,
            language=self.options["language"] or omit,
        )
        if not isinstance(reply, Transcription):
            raise InvalidOutputError(f"the transcript came as {type(reply).__name__}")
        reason = f"the recording has no transcript: {model} heard no speech in it"
        seconds = reply.usage.seconds if isinstance(reply.usage, UsageDuration) else 0.0
        return Words(reply.text or "", ceil(seconds), self._cost(model, reply.usage), reason)

    def _cost(self, model: str, usage: UsageTokens | UsageDuration | None) -> float | None:
        price = price_of(model, self.options["prices"])
        if isinstance(usage, UsageDuration):
            return None if price.minute is None else usage.seconds / 60 * price.minute
        if usage is None or price.input is None or price.output is None:
            return None
        return (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6

    def usage_units(self, embedded: Embedded, words: Sequence[Words]) -> int:
        """Seconds that the transcription model says it heard."""
        return sum(said.units for said in words)


def _sound(item: Item) -> AudioSource:
    payload: AudioSource = item.parts[0].payload
    return payload
