"""The transport of `google-genai`, for the Gemini API and for Vertex AI.

Each input goes as a `Content` of its own. A list of strings would become one `Content` of several parts,
for which the multimodal models give a single vector
(https://ai.google.dev/gemini-api/docs/embeddings#embedding-aggregation).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_multi_core.embedder.errors import InvalidOptionError
from llm_multi_core_google.transport import EmbeddingReply, EmbeddingRequest, Parts

if TYPE_CHECKING:
    import httpx
    from google.genai import Client, types

_KEY_HEADER = "x-goog-api-key"
_VERTEX_TYPES = {"audio/mpeg": "audio/mp3"}
"""What Vertex AI calls a media type otherwise than the Gemini API does."""


class GenaiTransport:
    """One client of the SDK. The key goes with each request, so that a rotated one needs no new client.

    The SDK uses an httpx client of ours: one kind of connection whatever is installed, no retries but
    the host's, and no redirect that would take the key along.

    Args:
        options: the framework's options.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._vertex = bool(options.get("vertexai"))
        self._lock = asyncio.Lock()
        self._client: Client | None = None
        self._http: httpx.AsyncClient | None = None

    def load(self) -> None:
        """Import the SDK."""
        import google.genai  # noqa: F401 - takes seconds, which are better spent here than on the I/O loop

    async def embed(self, key: str | None, request: EmbeddingRequest) -> EmbeddingReply:
        """One request; the SDK picks the method: `batchEmbedContents`, `embedContent` or `predict`.

        Raises:
            InvalidOptionError: if the SDK refuses the settings.
            Exception: whatever the SDK raises.
        """
        from google.genai import types

        client = await self._connected(key)
        response = await client.aio.models.embed_content(
            model=request.model,
            contents=[self._content(parts) for parts in request.contents],
            config=types.EmbedContentConfig(
                task_type=request.task_type,
                output_dimensionality=request.dimension,
                auto_truncate=False if self._vertex else None,  # the Gemini API has no such setting
                http_options=types.HttpOptions(headers={_KEY_HEADER: key}) if key else None,
            ),
        )
        return _reply(response)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        http, self._http = self._http, None
        if client is not None:
            await client.aio.aclose()
            client.close()
        if http is not None:
            await http.aclose()

    async def _connected(self, key: str | None) -> Client:
        async with self._lock:
            if self._client is None:
                # In a thread: it reads certificates, and may ask Google Cloud's metadata server for the project.
                self._client = await asyncio.to_thread(self._connect, key)
            return self._client

    def _connect(self, key: str | None) -> Client:
        import httpx
        from google.genai import Client, types

        self._http = httpx.AsyncClient(timeout=None, follow_redirects=False)  # noqa: S113 - each request has its own
        options = types.HttpOptions(
            base_url=self._options.get("base_url"),
            timeout=max(1, round(float(self._options.get("timeout") or 60.0) * 1000)),
            retry_options=types.HttpRetryOptions(attempts=1),
            httpx_async_client=self._http,
        )
        try:
            return Client(
                vertexai=self._vertex,
                api_key=key,
                project=self._options.get("project"),
                location=self._options.get("location"),
                http_options=options,
            )
        except ValueError as error:
            raise InvalidOptionError(f"google-genai refuses these settings: {error}") from None

    def _content(self, parts: Parts) -> types.Content:
        from google.genai import types

        return types.Content(
            parts=[
                types.Part(text=part)
                if isinstance(part, str)
                else types.Part(inline_data=types.Blob(data=part.data, mime_type=self._media_type(part.media_type)))
                for part in parts
            ]
        )

    def _media_type(self, media_type: str) -> str:
        return _VERTEX_TYPES.get(media_type, media_type) if self._vertex else media_type


def _reply(response: types.EmbedContentResponse) -> EmbeddingReply:
    embeddings: Sequence[types.ContentEmbedding] = response.embeddings or ()
    usage = response.usage_metadata
    if usage is not None:
        tokens = usage.prompt_token_count or 0
        details = usage.prompt_tokens_details or ()
    else:  # `predict` counts each text
        tokens = round(sum(entry.statistics.token_count or 0 for entry in embeddings if entry.statistics))
        details = ()
    return EmbeddingReply(
        values=[entry.values or () for entry in embeddings],
        tokens=tokens,
        tokens_by_modality={entry.modality.value: entry.token_count or 0 for entry in details if entry.modality},
    )
