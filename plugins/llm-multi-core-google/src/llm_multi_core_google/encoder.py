"""The encoders of `gemini`, one for each modality; any of them also takes items that mix modalities.

They differ in what they count and in how much a request may hold. What an item becomes is the same.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar

from llm_multi_core.embedder.encoders import (
    Description,
    EncoderConfig,
    HostedEncoder,
    Intake,
    Limits,
    Measure,
    Reply,
    Usage,
    Verdict,
)
from llm_multi_core.embedder.errors import (
    InvalidInputError,
    InvalidOptionError,
    MissingCredentialsError,
    UnsupportedDimensionsError,
)
from llm_multi_core.embedder.hosted import rows_of, split_by_estimate
from llm_multi_core.embedder.inputs.audio import split_audio
from llm_multi_core.embedder.inputs.text import estimate_tokens
from llm_multi_core.embedder.items import Item, Modality, Part, Role, Task
from llm_multi_core.embedder.spaces import Space
from llm_multi_core_google import catalogue
from llm_multi_core_google.failures import classify
from llm_multi_core_google.genai import GenaiTransport
from llm_multi_core_google.generativeai import GenerativeaiTransport
from llm_multi_core_google.transport import EmbeddingReply, EmbeddingRequest, Parts, Transport

_ROLE_TASKS = {
    Role.QUERY: "RETRIEVAL_QUERY",
    Role.DOCUMENT: "RETRIEVAL_DOCUMENT",
    Role.SYMMETRIC: "SEMANTIC_SIMILARITY",
}


class GeminiEncoder(HostedEncoder):
    """What the three have in common."""

    modality: ClassVar[Modality]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._model = catalogue.model_of(config.model)
        self._vertex = bool(config.options.get("vertexai"))
        self._task_type: str | None = config.options.get("task_type")
        self._legacy = config.options.get("transport") == "google-generativeai"
        _check_settings(config.options, legacy=self._legacy)
        self._transport: Transport = (GenerativeaiTransport if self._legacy else GenaiTransport)(config.options)

    def describe(self) -> Description:
        """By the catalogue, and by the options for what it lacks.

        Raises:
            InvalidOptionError: if the dimension is not known.
            UnsupportedDimensionsError: if the model has fewer or more than those asked for.
        """
        native = self._model.dimension or self.config.options.get("native_dimension")
        wanted = self.config.dimensions
        if native is None and wanted is None:
            raise InvalidOptionError(
                f"the dimension of gemini model {self._model.name!r} is not known: pass native_dimension=..., or "
                "dimensions=... if it can be chosen"
            )
        native = native or wanted or 0
        wanted = wanted or native
        if not self._model.fewest <= wanted <= native:
            raise UnsupportedDimensionsError(
                f"gemini model {self._model.name!r} gives {self._model.fewest} to {native} dimensions, not {wanted}"
            )
        return Description(
            space=Space(
                f"google/{self._model.name}",
                wanted,
                options=(("task_type", repr(self._task_type)),) if self._has_one_task else (),
                modalities=self._model.modalities,
                label=self._model.name,
            ),
            limits=self._limits(),
            native_dimension=native,
            sliceable=True,
            roles=self._roles(),
            interleaves=self._model.multimodal and not self._legacy,
            intake=Intake(
                sample_rate=catalogue.SAMPLE_RATE,
                formats=catalogue.IMAGE_FORMATS + catalogue.AUDIO_FORMATS,
                max_bytes=catalogue.MEDIA_BYTES,
            ),
        )

    def identity(self) -> Mapping[str, str]:
        """The service and what says to it what vectors are for."""
        tasks = [self._task_of(Task(role)) for role in Role]
        prompts = [catalogue.PROMPTS[task] for task in tasks] if self._model.multimodal else tasks
        return {"service": "vertex" if self._vertex else "gemini", "tasks": "\n".join(prompts)}

    def load(self) -> None:
        """Import the SDK, and find out whether there is a key.

        Raises:
            FrameworkUnavailableError: if the SDK is not installed.
            MissingCredentialsError: if there is no key.
        """
        self.key()
        self._transport.load()

    def key(self) -> str | None:
        """The key to use now; `None` leaves it to Google Cloud's application default credentials.

        With Vertex AI a key counts if it was passed, or if no project is named.

        Raises:
            MissingCredentialsError: if there is no key, and it is not Vertex AI.
        """
        project = self.config.options.get("project") or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if self._vertex and project and self.config.secret is None:
            return None
        key = super().key()
        if key is None and not self._vertex:
            raise MissingCredentialsError(
                "framework 'gemini' needs a key: pass api_key=... or set GEMINI_API_KEY or GOOGLE_API_KEY; with "
                "vertexai=True Google Cloud's credentials are used"
            )
        return key

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Estimated sizes, with the prompt where there is one.

        Raises:
            InvalidInputError: for an item that the model does not take.
        """
        return Measure([self._units(item, task) for item in items], exact=False)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """A text or recording in pieces.

        Raises:
            InvalidInputError: for an item of several parts, or an image, of which there are no pieces.
        """
        if len(item.parts) > 1 or item.parts[0].modality is Modality.IMAGE:
            raise InvalidInputError(f"it is longer than {max_units} {self._limits().unit}s and cannot be cut")
        if item.parts[0].modality is Modality.AUDIO:
            return split_audio(item, max_units)
        return split_by_estimate(item, max_units, self._prompt_units(task))

    def batch_key(self, item: Item) -> Hashable:
        """An item of several parts may hold as many images as a request, and so has one of its own."""
        return item.signature if len(item.parts) == 1 else (item.signature, item.digest)

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request, each item as an input of its own.

        Raises:
            Exception: whatever the SDK raises.
        """
        reply = await self._transport.embed(
            self.key(),
            EmbeddingRequest(
                model=self.config.model,
                contents=[self._parts(item, task) for item in items],
                task_type=None if self._model.multimodal else self._task_of(task),
                dimension=self.config.dimensions,
            ),
        )
        return Reply(rows_of(reply.values), self._usage(reply))

    def classify(self, error: Exception) -> Verdict:
        """By what Google's refusals say beyond their status."""
        return classify(error) or super().classify(error)

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        await self._transport.aclose()

    @abstractmethod
    def _limits(self) -> Limits:
        """Of this modality. Vertex AI takes one input a request of Gemini models, and refuses what is too long."""

    def _roles(self) -> frozenset[Role]:
        return frozenset()

    @property
    def _has_one_task(self) -> bool:
        return self._task_type in catalogue.SYMMETRIC_TASKS

    def _task_of(self, task: Task) -> str:
        """The task type of a role."""
        if self._task_type is not None and (self._has_one_task or task.role is Role.QUERY):
            return self._task_type
        return _ROLE_TASKS[task.role]

    def _prompt(self, task: Task) -> str:
        """What goes before a text on its own."""
        return catalogue.PROMPTS[self._task_of(task)] if self._model.multimodal else ""

    def _prompt_units(self, task: Task) -> int:
        prompt = self._prompt(task)
        return estimate_tokens(prompt) if prompt else 0

    def _units(self, item: Item, task: Task) -> int:
        self._check(item)
        prompt = self._prompt_units(task) if item.signature == (Modality.TEXT,) else 0
        return prompt + sum(self._part_units(part) for part in item.parts)

    def _part_units(self, part: Part) -> int:
        """About how many tokens a part has."""
        if part.modality is Modality.TEXT:
            return estimate_tokens(part.payload)
        return (
            catalogue.IMAGE_TOKENS if part.modality is Modality.IMAGE else _seconds(part) * catalogue.TOKENS_PER_SECOND
        )

    def _check(self, item: Item) -> None:
        """Refuse an item that the model does not take."""
        for modality in item.signature:
            if modality not in self._model.modalities:
                takers = f"; {catalogue.MEDIA_MODEL} does" if modality in (Modality.IMAGE, Modality.AUDIO) else ""
                raise InvalidInputError(f"gemini model {self._model.name!r} does not take {modality}{takers}")
        for modality, most in ((Modality.IMAGE, catalogue.IMAGES), (Modality.AUDIO, catalogue.RECORDINGS)):
            if (count := item.signature.count(modality)) > most:
                raise InvalidInputError(f"an item may hold {most} {modality} part(s), not {count}")

    def _parts(self, item: Item, task: Task) -> Parts:
        """What an item is sent as. The guide gives prompts for texts alone; what is mixed goes as it is."""
        if item.signature == (Modality.TEXT,):
            return [self._prompt(task) + item.text]
        return [part.payload for part in item.parts]

    def _usage(self, reply: EmbeddingReply) -> Usage:
        """What was counted, with the cost where tokens of several prices are told apart."""
        prices, apart = self._model.prices, reply.tokens_by_modality
        cost = None
        if self.config.options.get("price") is None and len(apart) > 1:
            by_name = {modality.upper(): price for modality, price in prices.items()}
            if apart.keys() <= by_name.keys():
                cost = sum(count * by_name[name] for name, count in apart.items()) / 1e6
        return Usage(reply.tokens, cost=cost)


class GeminiTextEncoder(GeminiEncoder):
    """Counts tokens; the role goes as a task type, or as a prompt for models that know none."""

    modality = Modality.TEXT

    def _limits(self) -> Limits:
        limits = Limits(
            units_per_item=self._model.max_tokens,
            items_per_batch=catalogue.BATCH,
            bytes_per_batch=catalogue.TEXT_BYTES,
            padded=False,
            accepts_empty=False,
        )
        if not self._vertex:
            return limits
        limits = replace(limits, slack=1.5)
        if self._model.predicted:
            return replace(limits, items_per_batch=catalogue.PREDICT_BATCH, units_per_batch=catalogue.PREDICT_TOKENS)
        return replace(limits, items_per_batch=1, concurrency=16)

    def _roles(self) -> frozenset[Role]:
        return frozenset() if self._has_one_task else frozenset(Role)


class GeminiImageEncoder(GeminiEncoder):
    """Counts tokens, of which every image has the same number. Roles make no difference."""

    modality = Modality.IMAGE

    def _limits(self) -> Limits:
        return Limits(
            units_per_item=self._model.max_tokens,
            items_per_batch=1 if self._vertex else catalogue.IMAGES,
            bytes_per_batch=catalogue.MEDIA_BYTES,
            padded=False,
            accepts_empty=False,
        )


class GeminiAudioEncoder(GeminiEncoder):
    """Counts seconds of sound, which is what recordings are limited by. Roles make no difference."""

    modality = Modality.AUDIO

    def _limits(self) -> Limits:
        return Limits(
            unit="second",
            units_per_item=catalogue.AUDIO_SECONDS,
            items_per_batch=catalogue.RECORDINGS,
            bytes_per_batch=catalogue.MEDIA_BYTES,
            padded=False,
            accepts_empty=False,
        )

    def _part_units(self, part: Part) -> int:
        return _seconds(part) if part.modality is Modality.AUDIO else 0

    def _units(self, item: Item, task: Task) -> int:
        return max(1, super()._units(item, task))

    def _usage(self, reply: EmbeddingReply) -> Usage:
        """Tokens are not this encoder's unit: they only tell the cost, which the host otherwise estimates."""
        usage = super()._usage(reply)
        price = self._model.prices.get(Modality.AUDIO)
        if usage.cost is None and reply.tokens and price is not None and self.config.options.get("price") is None:
            return Usage(cost=reply.tokens * price / 1e6)
        return replace(usage, units=0)


def _seconds(part: Part) -> int:
    """Begun seconds of a recording; 1 where its length is not known any more."""
    return max(1, ceil(getattr(part.payload, "seconds", 1.0) - 1e-6))


def _check_settings(options: Mapping[str, Any], *, legacy: bool) -> None:
    if not options.get("vertexai"):
        named = [name for name in ("project", "location") if options.get(name) is not None]
        if named:
            raise InvalidOptionError(f"{named[0]}= of framework 'gemini' is for vertexai=True")
    elif legacy:
        raise InvalidOptionError("transport='google-generativeai' of framework 'gemini' cannot ask Vertex AI")
    if legacy and options.get("task_type") == "CODE_RETRIEVAL_QUERY":
        raise InvalidOptionError("transport='google-generativeai' of framework 'gemini' lacks CODE_RETRIEVAL_QUERY")
