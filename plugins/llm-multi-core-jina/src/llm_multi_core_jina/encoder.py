"""The client of Jina's embeddings: texts, images and recordings in, vectors out, one request at a time."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from math import ceil
from typing import Any

import httpx

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    HostedEncoder,
    Intake,
    InvalidInputError,
    InvalidOptionError,
    Item,
    Limits,
    Measure,
    Modality,
    Reply,
    Role,
    Space,
    Task,
    UnsupportedDimensionsError,
    Verdict,
)
from llm_multi_core.embedder.hosted import split_by_estimate
from llm_multi_core.embedder.inputs.audio import split_audio
from llm_multi_core.embedder.inputs.text import estimate_tokens
from llm_multi_core_jina import catalogue
from llm_multi_core_jina.catalogue import JinaModel
from llm_multi_core_jina.replies import TOO_LONG, JinaAPIError, read_reply, verdict_of
from llm_multi_core_jina.tasks import distinct_roles, tasks_of

_SLACK = 1.5
"""How far beyond the context an estimate may lie; what is really too long, Jina refuses."""


class JinaEncoder(HostedEncoder):
    """A model of Jina's, in the cloud or in a container of one's own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self._model = catalogue.find_model(config.model)
        self._client: httpx.AsyncClient | None = None

    # What it is.

    def describe(self) -> Description:
        """By the catalogue.

        Raises:
            InvalidOptionError: for a task or late chunking that the model does not have, or a model
                that the catalogue lacks and whose dimension is not given.
            UnsupportedDimensionsError: for dimensions that the model does not give.
        """
        model, options = self._model, self.config.options
        if options["late_chunking"] and not model.late_chunking:
            able = " and ".join(known.name for known in catalogue.MODELS if known.late_chunking)
            raise InvalidOptionError(f"jina model {model.name!r} has no late chunking; {able} have")
        return Description(
            self._space(),
            self._limits(),
            model.dimension or self._dimension(),
            sliceable=model.takes_dimensions,
            roles=distinct_roles(self._tasks()),
            intake=self._intake(),
            contextual=options["late_chunking"],
        )

    def identity(self) -> Mapping[str, str]:
        """The tasks that the roles become, and late chunking, which changes the vectors of groups."""
        tasks = {f"task_{role}": task or "" for role, task in self._tasks().items()}
        return tasks | {"late_chunking": str(self.config.options["late_chunking"])}

    def _tasks(self) -> Mapping[Role, str | None]:
        return tasks_of(self._model, self.config.options["task"])

    def _dimension(self) -> int:
        model, wanted = self._model, self.config.dimensions
        if wanted is None:
            if not model.dimension:
                raise InvalidOptionError(
                    f"jina model {model.name!r} is not in the catalogue, which has to tell its dimension: pass "
                    "dimensions="
                )
            return model.dimension
        if not model.dimension or wanted == model.dimension:
            return wanted
        if not model.takes_dimensions or wanted > model.dimension:
            most = f"1 to {model.dimension}" if model.takes_dimensions else f"{model.dimension}"
            raise UnsupportedDimensionsError(f"jina model {model.name!r} gives {most} dimensions and not {wanted}")
        return wanted

    def _space(self) -> Space:
        model, tasks = self._model, self._tasks()
        official = model.dimension or catalogue.is_cloud(self.config.options["base_url"])
        provider = "jina" if official else "jina-compatible"
        others = {} if tasks == tasks_of(model, None) else {"task": tasks[Role.DOCUMENT]}
        return Space(
            f"{provider}/{model.space or model.name}",
            self._dimension(),
            options=tuple((name, str(value)) for name, value in others.items()),
            modalities=frozenset(model.modalities),
            label=model.name,
        )

    def _limits(self) -> Limits:
        options, media = self.config.options, len(self._model.modalities) > 1
        rates = catalogue.TIERS[options["tier"]] if catalogue.is_cloud(options["base_url"]) else catalogue.OWN_SERVER
        return Limits(
            unit="token",
            units_per_item=self._model.context,
            items_per_batch=catalogue.ITEMS_PER_REQUEST,
            units_per_batch=catalogue.TOKENS_PER_REQUEST,
            bytes_per_batch=catalogue.MEDIA_BYTES_PER_REQUEST if media else None,
            padded=False,
            accepts_empty=False,
            slack=_SLACK,
            requests_per_minute=rates.requests,
            units_per_minute=rates.tokens,
            concurrency=rates.concurrency,
        )

    def _intake(self) -> Intake | None:
        formats: tuple[str, ...] = ()
        if Modality.IMAGE in self._model.modalities:
            formats += catalogue.IMAGE_FORMATS
        if Modality.AUDIO in self._model.modalities:
            formats += catalogue.AUDIO_FORMATS
        if not formats:
            return None
        return Intake(sample_rate=catalogue.SAMPLE_RATE, formats=formats, max_bytes=catalogue.MEDIA_BYTES)

    # How large items are, and what may go together.

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens, estimated. No image counts for more than the context, nor does a chunk of a group.

        Jina shrinks images that are too large. Of a group the length of all chunks together counts,
        which `request` looks at.
        """
        context = self._model.context
        units = []
        for item in items:
            tokens = _tokens(item, self._model)
            whole = item.signature == (Modality.IMAGE,) or self._is_chunk(item)
            units.append(min(tokens, context) if whole else tokens)
        return Measure(units, exact=False)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text at white space where possible, stretches of a recording."""
        if item.signature == (Modality.AUDIO,):
            return split_audio(item, max_units / catalogue.AUDIO_TOKENS_PER_SECOND)
        return split_by_estimate(item, max_units)

    def batch_key(self, item: Item) -> Hashable:
        """Jina joins all texts of a request with late chunking, so each group has a request of its own."""
        return ("chunks", item.group) if self._is_chunk(item) else item.signature

    def _is_chunk(self, item: Item) -> bool:
        return self.config.options["late_chunking"] and item.group is not None and item.signature == (Modality.TEXT,)

    # Requests.

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request; with late chunking if the items are the chunks of one document.

        Raises:
            InvalidInputError: for the chunks of a document that is longer than the model's context.
            JinaAPIError: for what Jina refuses.
        """
        chunks = any(self._is_chunk(item) for item in items)
        if chunks:
            self._check_group(items)
        try:
            return await self._send(self._body(items, task, late_chunking=chunks), len(items))
        except JinaAPIError as error:
            if chunks and error.reason == TOO_LONG:
                raise self._too_long(items) from None
            raise

    def _check_group(self, items: Sequence[Item]) -> None:
        if not all(self._is_chunk(item) and item.group == items[0].group for item in items):
            raise InvalidInputError("chunks are embedded in the context of texts only; its group holds other items")
        total = sum(estimate_tokens(item.text) for item in items)
        if total > self._model.context * _SLACK or len(items) > catalogue.ITEMS_PER_REQUEST:
            raise self._too_long(items)

    def _too_long(self, items: Sequence[Item]) -> InvalidInputError:
        total = sum(estimate_tokens(item.text) for item in items)
        return InvalidInputError(
            f"the {len(items)} chunks of its document have about {total} tokens together, and late chunking with "
            f"{self._model.name} takes {self._model.context} tokens and {catalogue.ITEMS_PER_REQUEST} chunks at once: "
            "make several groups of them (document_chunks), or pass late_chunking=False"
        )

    def _body(self, items: Sequence[Item], task: Task, *, late_chunking: bool) -> dict[str, Any]:
        model, wanted = self._model, self.config.dimensions
        body: dict[str, Any] = {
            "model": self.config.model,
            "input": [_entry(item) for item in items],
            "truncate": False,
            "embedding_type": "base64",
        }
        if (value := self._tasks()[task.role]) is not None:
            body["task"] = value
        if wanted is not None and wanted != model.dimension:
            body["dimensions"] = wanted
        if model.normalized:
            body["normalized"] = True
        if late_chunking:
            body["late_chunking"] = True
        return body

    async def _send(self, body: Mapping[str, Any], count: int) -> Reply:
        key, options = self.key(), self.config.options
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=options["timeout"], limits=httpx.Limits(max_connections=None))
        url = f"{(options['base_url'] or catalogue.BASE_URL).rstrip('/')}/embeddings"
        response = await self._client.post(url, content=json.dumps(body, ensure_ascii=False).encode(), headers=headers)
        return read_reply(response, count)

    def classify(self, error: Exception) -> Verdict:
        """By Jina's own codes, else as for everyone."""
        return verdict_of(error) if isinstance(error, JinaAPIError) else super().classify(error)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _tokens(item: Item, model: JinaModel) -> int:
    """About how many tokens Jina will count."""
    payload: Any = item.parts[0].payload
    if item.signature == (Modality.TEXT,):
        return estimate_tokens(payload)
    if item.signature == (Modality.AUDIO,):
        seconds: float = payload.seconds
        return max(1, ceil(seconds * catalogue.AUDIO_TOKENS_PER_SECOND))
    squares = model.image_tokens or catalogue.ImageTokens(1 << 30, 1)
    width, height = (ceil(pixels / squares.side) for pixels in payload.size)
    return int(width * height * squares.tokens)


def _entry(item: Item) -> dict[str, str]:
    """An item as it stands in the body: `{"text": ...}`, `{"image": base64}`, `{"audio": base64}`."""
    payload = item.parts[0].payload
    modality = item.parts[0].modality
    return {str(modality): payload if modality is Modality.TEXT else payload.base64}
