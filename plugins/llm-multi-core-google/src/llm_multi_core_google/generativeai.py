"""The transport of `google-generativeai`, the SDK before google-genai: text, and the Gemini API only.

Its support has ended. It is here for environments that still hold it, and never installed unless the
extra `legacy` asks for it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from llm_multi_core.embedder.errors import FrameworkUnavailableError
from llm_multi_core_google.transport import EmbeddingReply, EmbeddingRequest

_KEY_HEADER = "x-goog-api-key"


class GenerativeaiTransport:
    """One REST client of the SDK, used in threads since it is synchronous. The key goes with each request.

    The SDK's `configure` is left alone: what it sets holds for the whole process.

    Args:
        options: the framework's options.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._base_url: str | None = options.get("base_url")
        self._timeout = float(options.get("timeout") or 60.0)
        self._sdk: Any = None
        self._client: Any = None

    def load(self) -> None:
        """Import the SDK and make its client.

        Raises:
            FrameworkUnavailableError: if it is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that support has ended; its user knows
                self._sdk = import_module("google.generativeai")
                service = import_module("google.ai.generativelanguage")
                options = import_module("google.api_core.client_options")
                credentials = import_module("google.auth.credentials")
        except ModuleNotFoundError as error:
            raise FrameworkUnavailableError(
                f"transport='google-generativeai' needs the package google-generativeai ({error}): "
                'pip install "llm-multi-core-google[legacy]", or use the default transport'
            ) from error
        self._client = service.GenerativeServiceClient(
            transport="rest",
            credentials=credentials.AnonymousCredentials(),
            client_options=options.ClientOptions(api_endpoint=self._base_url) if self._base_url else None,
        )

    async def embed(self, key: str | None, request: EmbeddingRequest) -> EmbeddingReply:
        """One request, by `batchEmbedContents`; it counts no tokens."""
        return await asyncio.to_thread(self._embed, key, request)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.transport.close()

    def _embed(self, key: str | None, request: EmbeddingRequest) -> EmbeddingReply:
        texts = [text for (text,) in request.contents]  # the encoder has declared that it takes no others
        model = request.model if "/" in request.model else f"models/{request.model}"
        reply = self._sdk.embed_content(
            model=model,
            content=texts,
            task_type=request.task_type,
            output_dimensionality=request.dimension,
            client=self._client,
            request_options={"timeout": self._timeout, "retry": None, "metadata": [(_KEY_HEADER, key or "")]},
        )
        return EmbeddingReply(reply["embedding"])
