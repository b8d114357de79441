"""Which server an encoder talks to, and the SDK's client for it. Says nothing about requests."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from openai import AsyncAzureOpenAI, AsyncOpenAI

from llm_multi_core.embedder import FrameworkUnavailableError, InvalidOptionError, MissingCredentialsError
from llm_multi_core_openai.catalogue import EMBEDDING_MODELS

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
"""What an Entra ID token has to be for."""

_OFFICIAL = "api.openai.com"

Source = Callable[[], Awaitable[str]]
"""Gives the key or token of the moment."""


def is_azure(options: Mapping[str, Any]) -> bool:
    """Whether the framework is `azure-openai`."""
    return "azure_endpoint" in options


def base_url_of(options: Mapping[str, Any]) -> str | None:
    """Where requests go; `None` for OpenAI itself. The SDK's own variable counts where the option is not given."""
    found: str | None = options.get("base_url") or os.environ.get("OPENAI_BASE_URL")
    return found or None


def space_name(model: str, options: Mapping[str, Any]) -> str:
    """The name of the space that a model's vectors lie in.

    One model has one name at OpenAI and Azure. What another server gives is its own affair, whatever
    it calls the model, unless the user says so.
    """
    if own := options.get("space_name"):
        return str(own)
    if is_azure(options):
        return f"openai/{model}" if model in EMBEDDING_MODELS else f"azure-openai/{model}"
    url = base_url_of(options)
    host = (urlsplit(url).hostname or "") if url else _OFFICIAL
    official = host == _OFFICIAL or host.endswith(f".{_OFFICIAL}")  # eu.api.openai.com
    return f"openai/{model}" if official else f"openai-compatible/{model}"


def openai_client(options: Mapping[str, Any], key: Source) -> AsyncOpenAI:
    """A client of OpenAI's API; asks for the key before each request and does not retry."""
    return AsyncOpenAI(api_key=key, base_url=base_url_of(options), timeout=options["timeout"], max_retries=0)


def azure_client(options: Mapping[str, Any], key: Source | None, token: Source | None) -> AsyncAzureOpenAI:
    """A client of Azure OpenAI that sends a key or an Entra ID token.

    Raises:
        InvalidOptionError: if endpoint or API version are not known.
    """
    endpoint = options["azure_endpoint"] or os.environ.get("AZURE_OPENAI_ENDPOINT")
    version = options["api_version"] or os.environ.get("OPENAI_API_VERSION")
    for name, variable, value in (
        ("azure_endpoint", "AZURE_OPENAI_ENDPOINT", endpoint),
        ("api_version", "OPENAI_API_VERSION", version),
    ):
        if not value:
            raise InvalidOptionError(f"framework 'azure-openai' needs {name}=... or the variable {variable}")
    return AsyncAzureOpenAI(
        azure_endpoint=str(endpoint),
        api_version=version,
        api_key=key,
        azure_ad_token_provider=token,
        timeout=options["timeout"],
        max_retries=0,
    )


def require_entra() -> None:
    """Find out that there is neither a key nor the library of Azure's own chain, before any work.

    Raises:
        MissingCredentialsError: naming the variable and the extra.
    """
    if find_spec("azure") is None or find_spec("azure.identity") is None:
        raise MissingCredentialsError(
            "framework 'azure-openai' needs a key: pass api_key=... or set AZURE_OPENAI_API_KEY; to use Entra ID, "
            'pip install "llm-multi-core-openai[entra]", or pass azure_auth="entra" and api_key=token or a callable'
        )


def entra_credential() -> Any:
    """Azure's chain: environment, managed identity, command line and so on; has `get_token` and `close`.

    Raises:
        FrameworkUnavailableError: if its library is not installed.
    """
    try:
        identity = import_module("azure.identity.aio")
    except ImportError:
        raise FrameworkUnavailableError(
            'Entra ID needs azure-identity: pip install "llm-multi-core-openai[entra]"'
        ) from None
    return identity.DefaultAzureCredential()
