"""What the three encoders share: the client and its keys, the space, and the embedding of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from openai import AsyncAzureOpenAI, AsyncOpenAI

from llm_multi_core.embedder import (
    Description,
    EncoderConfig,
    HostedEncoder,
    InvalidOptionError,
    Limits,
    MissingCredentialsError,
    Modality,
    Pace,
    Role,
    Space,
    UnsupportedDimensionsError,
    Verdict,
)
from llm_multi_core.embedder.hosted import Vectors, read_pace, read_vectors
from llm_multi_core_openai import servers
from llm_multi_core_openai.catalogue import EMBEDDING_MODELS, OTHER_TEXT_LIMITS, TEXT_LIMITS
from llm_multi_core_openai.failures import verdict_of

NO_KEY = "none"
"""What is sent as the key to a server that needs none, since the SDK sends nothing without one."""


class Embedded(NamedTuple):
    """The vectors of texts, and what the reply's headers say of the rate limits."""

    vectors: Vectors
    pace: Pace | None


class OpenAIEncoder(HostedEncoder):
    """A client of the embeddings endpoint. Subclasses say where the texts come from.

    Attributes:
        modality: what is embedded.
    """

    modality: ClassVar[Modality]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.options: Mapping[str, Any] = config.options
        self._client: AsyncOpenAI | None = None
        self._credential: Any = None

    def describe(self) -> Description:
        """Space, limits and roles, by the catalogue and the options.

        Raises:
            InvalidOptionError: if the dimension of a model that the catalogue lacks is not given.
            UnsupportedDimensionsError: if the model does not give the dimensions asked for.
        """
        native = self._native_dimension()
        dimension = self.config.dimensions or native
        known = EMBEDDING_MODELS.get(self.config.model)
        if dimension > native or (known is not None and dimension != native and not known.shortens):
            raise UnsupportedDimensionsError(
                f"{self.config.framework} model {self.config.model!r} gives {native} dimensions and cannot give "
                f"{dimension}"
            )
        space = Space(
            name=servers.space_name(self.config.model, self.options),
            dimension=dimension,
            options=self.config.space_options,
            modalities=frozenset({self.modality}),
            label=f"{self.config.framework} {self.config.model}",
        )
        shortens = known.shortens if known is not None else self.options["native_dimension"] is not None
        return Description(space, self.limits(), native, sliceable=shortens, roles=self._roles())

    def limits(self) -> Limits:
        """How much the embeddings endpoint takes at once."""
        return TEXT_LIMITS if self.config.model in EMBEDDING_MODELS else OTHER_TEXT_LIMITS

    def _native_dimension(self) -> int:
        known = EMBEDDING_MODELS.get(self.config.model)
        own = self.options["native_dimension"]
        native: int | None = own or (known.dimension if known else self.config.dimensions)
        if native is None:
            raise InvalidOptionError(
                f"{self.config.framework} model {self.config.model!r} is none of {', '.join(EMBEDDING_MODELS)}, so say "
                "how many dimensions its vectors have: dimensions=..., or native_dimension=... to ask for fewer of them"
            )
        return native

    def identity(self) -> Mapping[str, str]:
        """What else changes vectors: prompts, further fields of the request, and how vectors are written."""
        names = ("prompts", "extra_body", "encoding_format")
        return {name: json.dumps(self.options[name], sort_keys=True, default=repr) for name in names}

    def prompt(self, role: Role) -> str:
        """What is put before texts of a role.

        Raises:
            InvalidOptionError: if the option `prompts` is not texts by role.
        """
        prompts = self.options["prompts"] or {}
        for name, text in prompts.items():
            if name not in set(Role) or not isinstance(text, str):
                roles = ", ".join(repr(str(member)) for member in Role)
                raise InvalidOptionError(f"prompts= takes texts by role ({roles}); it has {name!r}: {text!r}")
        return str(prompts.get(role, ""))

    def _roles(self) -> frozenset[Role]:
        plain = self.prompt(Role.SYMMETRIC)
        return frozenset(role for role in (Role.QUERY, Role.DOCUMENT) if self.prompt(role) != plain)

    def load(self) -> None:
        """Refuse settings without which there is no request.

        Raises:
            MissingCredentialsError: if Azure's chain is to be used and is not installed.
            InvalidOptionError: if endpoint or API version of Azure are not known.
        """
        if servers.is_azure(self.options):
            if self.key() is None:
                servers.require_entra()
            servers.azure_client(self.options, self._key, None)  # makes no connection

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """The vectors of texts, by one request."""
        body: dict[str, Any] = {"input": list(texts), **(self.options["extra_body"] or {})}
        if self.config.dimensions is not None and self.config.dimensions != self._native_dimension():
            body["dimensions"] = self.config.dimensions
        # As an extra field the texts are sent as they are, and not first copied one by one by the SDK.
        reply = await self.client().embeddings.with_raw_response.create(
            input=[],
            model=self.options.get("azure_deployment") or self.config.model,
            encoding_format=self.options["encoding_format"],
            extra_body=body,
        )
        return Embedded(read_vectors(reply.content, len(texts)), read_pace(reply.headers))

    def client(self) -> AsyncOpenAI:
        """The SDK's client; made when it is first needed, on the loop that it lives on."""
        if self._client is None:
            azure = servers.is_azure(self.options)
            self._client = self._azure_client() if azure else servers.openai_client(self.options, self._key)
        return self._client

    def _azure_client(self) -> AsyncAzureOpenAI:
        if self.key() is None:
            self._credential = servers.entra_credential()
            return servers.azure_client(self.options, None, self._entra_token)
        if self.options["azure_auth"] == "entra":
            return servers.azure_client(self.options, None, self._key)
        return servers.azure_client(self.options, self._key, None)

    async def _key(self) -> str:
        return self.key() or NO_KEY

    async def _entra_token(self) -> str:
        try:
            token = str((await self._credential.get_token(servers.AZURE_SCOPE)).token)
        except Exception as error:
            raise MissingCredentialsError(
                f"framework 'azure-openai' has no key, and Entra ID gave no token ({type(error).__name__}: {error})"
            ) from error
        self._keys.add(token)  # to be masked in messages
        return token

    def classify(self, error: Exception) -> Verdict:
        """By OpenAI's own codes and messages, else by the HTTP status."""
        return verdict_of(error) or super().classify(error)

    async def aclose(self) -> None:
        """Close the client's connections."""
        client, self._client = self._client, None
        credential, self._credential = self._credential, None
        if client is not None:
            await client.close()
        if credential is not None:
            await credential.close()
