"""The client of NIM's embeddings endpoint, through OpenAI's SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from openai import APIStatusError, AsyncOpenAI, Omit

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
    Usage,
    Verdict,
)
from llm_multi_core.embedder.hosted import read_pace, read_vectors, split_by_estimate
from llm_multi_core.embedder.inputs.text import estimate_tokens
from llm_multi_core_nvidia import catalogue
from llm_multi_core_nvidia.failures import NimError, read_refusal, verdict_of

_INPUT_TYPES = {Role.QUERY: "query", Role.DOCUMENT: "passage", Role.SYMMETRIC: "passage"}
"""NIM knows two sides only. Texts that are to be compared with one another are embedded as passages."""
_LIKE_A_PICTURE = re.compile(r"\s*data:image/", re.IGNORECASE)


class NimEncoder(HostedEncoder):
    """A model that NIM serves, in the cloud or on a machine of one's own."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        named = catalogue.find_model(config.model)
        self._model, self._fixed_role = named.model, named.role
        self._client: AsyncOpenAI | None = None

    # What it is.

    def describe(self) -> Description:
        """By the catalogue.

        Raises:
            InvalidOptionError: for a model that the catalogue lacks and whose dimension is not given, or
                a role at the end of the name of a model without roles.
            UnsupportedDimensionsError: for dimensions that the model does not offer.
        """
        model = self._model
        if not model.retrieval and self._role_in_model:
            raise InvalidOptionError(f"nemo model {model.name!r} has no roles")
        roles = frozenset({Role.QUERY}) if model.retrieval and self._fixed_role is None else frozenset()
        images = Modality.IMAGE in model.modalities
        return Description(
            self._space(),
            self._limits(),
            model.dimension or self._dimension(),
            sliceable=bool(model.dimensions),
            roles=roles,
            intake=Intake(formats=catalogue.IMAGE_FORMATS, max_bytes=model.max_image_bytes) if images else None,
        )

    def identity(self) -> Mapping[str, str]:
        """The side that the model's name fixes."""
        return {} if self._fixed_role is None else {"input_type": _INPUT_TYPES[self._fixed_role]}

    def _dimension(self) -> int:
        model, wanted = self._model, self.config.dimensions
        if wanted is None:
            if not model.dimension:
                raise InvalidOptionError(
                    f"nemo model {model.name!r} is not in the catalogue, which has to tell its dimension: pass "
                    "dimensions="
                )
            return model.dimension
        if model.dimension and wanted not in (*model.dimensions, model.dimension):
            offered = ", ".join(str(size) for size in (*model.dimensions, model.dimension))
            raise UnsupportedDimensionsError(f"nemo model {model.name!r} gives {offered} dimensions and not {wanted}")
        return wanted

    def _space(self) -> Space:
        model = self._model
        provider = "nvidia" if model.dimension or self.config.options["base_url"] is None else "nvidia-compatible"
        return Space(
            f"{provider}/{model.name.removeprefix('nvidia/')}",
            self._dimension(),
            modalities=frozenset(model.modalities),
            label=model.name,
        )

    def _limits(self) -> Limits:
        model = self._model
        return Limits(
            unit="token",
            units_per_item=model.context,
            items_per_batch=catalogue.INPUTS_PER_REQUEST,
            bytes_per_batch=catalogue.IMAGE_BYTES_PER_REQUEST if Modality.IMAGE in model.modalities else None,
            padded=False,
            accepts_empty=False,
            # What is really too long is refused, where truncation can be switched off.
            slack=1.5 if model.retrieval else 1.0,
            concurrency=catalogue.CONCURRENCY,
        )

    # How large items are.

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """Tokens of texts, estimated; pictures count next to nothing.

        Raises:
            InvalidInputError: for a text that nvclip would take for a picture.
        """
        return Measure([self._tokens(item) for item in items], exact=False)

    def _tokens(self, item: Item) -> int:
        if item.signature == (Modality.IMAGE,):
            return catalogue.IMAGE_TOKENS
        model = self._model
        if Modality.IMAGE in model.modalities and not model.modality_field and _LIKE_A_PICTURE.match(item.text):
            raise InvalidInputError(f"{model.name} would take the text for a picture, since it begins with data:image/")
        return estimate_tokens(item.text)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """Pieces of a text at white space where possible."""
        return split_by_estimate(item, max_units)

    # Requests.

    async def request(self, items: Sequence[Item], task: Task) -> Reply:
        """One request, by the embeddings endpoint.

        Raises:
            NimError: for what is refused.
        """
        key = self.key()
        images = items[0].signature == (Modality.IMAGE,)
        input_type = _INPUT_TYPES[Role.DOCUMENT if images else self._fixed_role or task.role]
        # As extra fields the inputs are sent as they are, and not first copied one by one by the SDK.
        try:
            reply = await self._sdk().embeddings.with_raw_response.create(
                input=[],
                model=self._name(input_type),
                encoding_format="base64" if self._model.base64 else "float",
                extra_body=self._body(items, input_type),
                extra_headers={"Authorization": Omit() if key is None else f"Bearer {key}"},
            )
        except APIStatusError as error:
            raise read_refusal(error) from None
        vectors = read_vectors(reply.content, len(items))
        return Reply(vectors.rows, Usage(vectors.tokens), read_pace(reply.headers))

    @property
    def _role_in_model(self) -> bool:
        return self._fixed_role is not None or bool(self.config.options["role_in_model"])

    def _name(self, input_type: str) -> str:
        """The model as it is asked for; in the cloud a name that lacks its publisher is completed."""
        known = self.config.options["base_url"] is None and self._model.dimension
        name = self._model.name if known else self.config.model
        return f"{name.removesuffix(f'-{input_type}')}-{input_type}" if self._role_in_model else name

    def _body(self, items: Sequence[Item], input_type: str) -> dict[str, Any]:
        model, wanted = self._model, self.config.dimensions
        payloads = [item.parts[0].payload for item in items]
        images = items[0].signature == (Modality.IMAGE,)
        body: dict[str, Any] = {"input": [payload.data_url for payload in payloads] if images else payloads}
        if model.retrieval and not self._role_in_model:
            body["input_type"] = input_type
            body["truncate"] = "NONE"
        if model.modality_field:
            body["modality"] = "image" if images else "text"
        if wanted is not None and wanted != model.dimension and model.dimension:
            body["dimensions"] = wanted
        return body

    def _sdk(self) -> AsyncOpenAI:
        """The SDK's client; made when it is first needed, on the loop that it lives on."""
        if self._client is None:
            options = self.config.options
            client = AsyncOpenAI(
                api_key="given-with-each-request",
                base_url=options["base_url"] or catalogue.BASE_URL,
                timeout=options["timeout"],
                max_retries=0,
            )
            client.organization = client.project = None  # the environment's are OpenAI's, and none of NVIDIA's business
            self._client = client
        return self._client

    def classify(self, error: Exception) -> Verdict:
        """By what NIM says of bodies that it refuses, else as for everyone."""
        return verdict_of(error) if isinstance(error, NimError) else super().classify(error)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
