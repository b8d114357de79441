"""`CohereEncoder`: texts, pictures and both in one through Cohere's SDK."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_multi_core.embedder import InvalidInputError, InvalidOptionError, Item, Modality, UnsupportedDimensionsError
from llm_multi_core.embedder.encoders import (
    Description,
    EncoderConfig,
    HostedEncoder,
    Intake,
    Limits,
    Measure,
    Reply,
    Verdict,
)
from llm_multi_core.embedder.hosted import split_by_estimate
from llm_multi_core.embedder.items import Role, Task
from llm_multi_core.embedder.spaces import Space
from llm_multi_core_cohere import catalogue
from llm_multi_core_cohere.errors import CohereError
from llm_multi_core_cohere.replies import BITS, read_limits, read_rows, read_usage, wire_type
from llm_multi_core_cohere.requests import TEXT_ONLY, estimate_units, form_of, request_fields

if TYPE_CHECKING:
    from cohere import AsyncClientV2

_SLACK = 1.5
"""Estimated sizes are off by as much; what is really too long Cohere refuses, since it is told not to cut."""
_OWN_HOSTS = ("cohere.com", "cohere.ai")
_SPACES_OF_THEIR_OWN = frozenset({"classification", "clustering"})
"""Input types whose vectors are not to be compared with others'; queries and documents are made for that."""


class CohereEncoder(HostedEncoder):
    """One of Cohere's Embed models, or a model behind another server with Cohere's API."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        options = config.options
        self._model = catalogue.find(config.model)
        self._native: int | None = options["native_dimension"] or self._model.dimension
        self._input_type: str | None = options["input_type"]
        self._embedding_type: str = options["embedding_type"]
        self._wanted = wire_type(self._embedding_type, options["encoding_format"])
        self._client: AsyncClientV2 | None = None
        self._connections = AsyncExitStack()

    def describe(self) -> Description:
        """From the catalogue; nothing is asked.

        Raises:
            InvalidOptionError: for a model that is not in the catalogue, without its dimension.
            UnsupportedDimensionsError: for dimensions that the model does not offer.
        """
        model = self._model
        dimension = self._dimension()
        return Description(
            space=Space(
                self._space_name(),
                dimension,
                options=self._space_options(),
                modalities=frozenset({Modality.TEXT, Modality.IMAGE}),
                label=f"cohere {model.name}",
            ),
            limits=Limits(
                units_per_item=model.max_tokens,
                items_per_batch=catalogue.ITEMS_PER_REQUEST,
                units_per_batch=model.tokens_per_request,
                bytes_per_batch=catalogue.BYTES_PER_REQUEST,
                padded=False,
                accepts_empty=False,
                slack=_SLACK,
                requests_per_minute=catalogue.REQUESTS_PER_MINUTE,
            ),
            native_dimension=self._native or dimension,
            sliceable=bool(model.dimensions) and self._embedding_type == "float",
            roles=frozenset() if self._input_type else frozenset({Role.QUERY}),
            interleaves=model.mixed,
            intake=Intake(formats=catalogue.IMAGE_FORMATS, max_bytes=catalogue.MAX_IMAGE_BYTES),
        )

    def identity(self) -> Mapping[str, str]:
        """The model, which several of one space differ in, the input types, and how floats are written."""
        return {
            "model": self._model.name,
            "input_type": self._input_type or "search_query for queries, search_document for all else",
            "written": self._wanted,
        }

    def load(self) -> None:
        """Import the SDK, so that the loop of all hosted calls does not wait for that."""
        import cohere.client_v2  # noqa: F401

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Estimated tokens; a picture counts by its pixels, or as 1 where pictures are billed by number."""
        return Measure([estimate_units(self._model, item) for item in items], exact=False)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """A text in pieces.

        Raises:
            InvalidInputError: for an item with a picture, of which no part means what the whole does.
        """
        if item.signature != TEXT_ONLY:
            raise InvalidInputError(
                f"an input of {' + '.join(item.signature)} has about {estimate_units(self._model, item)} tokens, and "
                f"{max_units} are taken; shorten its text"
            )
        return split_by_estimate(item, max_units)

    def batch_key(self, item: Item) -> Hashable:
        """Texts go together, and all that has pictures; where a request holds one picture, each by itself."""
        return form_of(self._model, item)

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One call of Embed.

        Raises:
            CohereError: if it is refused, or the reply cannot be read.
            InvalidInputError: for an item that the model does not take.
        """
        from cohere.core.api_error import ApiError
        from cohere.core.parse_error import ParsingError

        fields: dict[str, Any] = dict(request_fields(self._model, items, self._input_type_of(task)))
        if self.config.dimensions is not None and self.config.dimensions != self._native:
            fields["output_dimension"] = self.config.dimensions
        try:
            reply = await self._connected().with_raw_response.embed(
                model=self._model.name,
                embedding_types=[self._wanted],
                truncate="NONE",
                request_options={"max_retries": 0},
                **fields,
            )
        except (ApiError, ParsingError) as error:
            raise CohereError.of(error.status_code, error.body, error.headers) from None
        return Reply(
            read_rows(reply.data, self._wanted),
            read_usage(reply.data, self._model, self.config.options["price"]),
            read_limits(reply.headers),
        )

    def classify(self, error: Exception) -> Verdict:
        """By Cohere's statuses and messages."""
        return error.verdict() if isinstance(error, CohereError) else super().classify(error)

    async def aclose(self) -> None:
        """Close the connections."""
        self._client = None
        await self._connections.aclose()

    def _connected(self) -> AsyncClientV2:
        if self._client is None:
            from cohere import AsyncClientV2

            self._client = AsyncClientV2(
                self._token,  # asked for each request, so that keys may rotate
                base_url=self.config.options["base_url"],
                timeout=self.config.options["timeout"],
            )
            self._connections.push_async_exit(self._client)
        return self._client

    def _token(self) -> str:
        return self.key() or ""

    def _input_type_of(self, task: Task) -> str:
        if self._input_type:
            return self._input_type
        return "search_query" if task.role is Role.QUERY else "search_document"

    def _dimension(self) -> int:
        wanted, native, model = self.config.dimensions, self._native, self._model
        if native is None and wanted is None:
            raise InvalidOptionError(
                f"how many components the vectors of cohere model {model.name!r} have is not known; pass "
                "native_dimension=..."
            )
        dimension = wanted or native or 0
        offered = (*model.dimensions, model.dimension)
        if model.dimension is not None and dimension not in {*offered, native}:
            sizes = ", ".join(str(size) for size in sorted(filter(None, offered)))
            raise UnsupportedDimensionsError(f"cohere {model.name} gives {sizes} dimensions, not {dimension}")
        if self._embedding_type in BITS and dimension % 8:
            raise UnsupportedDimensionsError(
                f"{dimension} dimensions do not fill whole bytes, which embedding_type={self._embedding_type!r} needs"
            )
        if dimension < 1:
            raise InvalidOptionError(f"native_dimension={native} is not a positive number")
        return dimension

    def _space_name(self) -> str:
        options = self.config.options
        if options["space_name"]:
            return str(options["space_name"])
        host = urlsplit(options["base_url"] or "").hostname or _OWN_HOSTS[0]
        own = any(host == domain or host.endswith(f".{domain}") for domain in _OWN_HOSTS)
        return f"cohere{'' if own else '-compatible'}/{self._model.family or self._model.name}"

    def _space_options(self) -> tuple[tuple[str, str], ...]:
        """Of both ways to write bits the vectors are the same, and of queries and documents the space."""
        options = {}
        if self._embedding_type != "float":
            options["embedding_type"] = "binary" if self._embedding_type in BITS else self._embedding_type
        if self._input_type in _SPACES_OF_THEIR_OWN:
            options["input_type"] = str(self._input_type)
        return tuple(sorted(options.items()))
