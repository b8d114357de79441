"""One embedder for all functions that a store makes of the same settings.

Stores make an embedding function again from what they keep each time that they need one, even for every
call. An embedder frees its model when nobody holds it any more; here some are held.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from llm_multi_core.embedder.multimodal import MultiModalEmbedder
from llm_multi_core.embedder.multimodal_api import create_multimodal_embedder
from llm_multi_core.embedder.stores.pinned import PinnedEmbedder
from llm_multi_core.embedder.stores.settings import stored_settings

_HELD = 4
"""Embedders that are held; more are made again when they are needed again."""

_lock = threading.Lock()
_held: OrderedDict[str, PinnedEmbedder[MultiModalEmbedder]] = OrderedDict()


def shared_embedder(
    kept: Mapping[str, Any],
    fingerprint: str | None = None,
    *,
    api_key: str | None = None,
    allow_urls: bool = False,
) -> PinnedEmbedder[MultiModalEmbedder]:
    """The embedder of settings that a store keeps, the same for the same settings.

    Args:
        kept: as `stored_settings` keeps them.
        fingerprint: of the space that is expected.
        api_key: of hosted frameworks; by default their environment variables are read.
        allow_urls: whether it fetches URLs, which is not for a store to say.

    Raises:
        FrameworkError: if a framework is not installed any more.
        InvalidOptionError: if the settings cannot be made again.
        MissingCredentialsError: a hosted framework without a key.
    """
    secret = None if api_key is None else sha256(api_key.encode()).hexdigest()
    name = json.dumps([kept, fingerprint, secret, allow_urls], sort_keys=True)
    with _lock:
        if name not in _held:
            _, arguments = stored_settings(kept)
            embedder = create_multimodal_embedder(**arguments, api_key=api_key, allow_urls=allow_urls)
            _held[name] = PinnedEmbedder(embedder, fingerprint, "")
            while len(_held) > _HELD:
                _held.popitem(last=False)  # not closed: a function may be using it
        _held.move_to_end(name)
        return _held[name]
