"""A provider on the loopback interface, which can be told to fail; real SDKs talk to it.

`HostedServer` is the engine: it listens, counts, checks and fails. A `Wire` is a provider's wire
format: how its requests are read and checked, and how its replies and refusals are written. The
wires of providers are in modules of their own, named after them.
"""

from llm_multi_core.embedder.testing.hosted.faults import DISTORTIONS, FAILURES, Faults
from llm_multi_core.embedder.testing.hosted.server import HostedServer, RequestRecord
from llm_multi_core.embedder.testing.hosted.wire import (
    Content,
    EmbeddingCall,
    HttpReply,
    HttpRequest,
    Wire,
    WireError,
)

__all__ = [
    "DISTORTIONS",
    "FAILURES",
    "Content",
    "EmbeddingCall",
    "Faults",
    "HostedServer",
    "HttpReply",
    "HttpRequest",
    "RequestRecord",
    "Wire",
    "WireError",
]
