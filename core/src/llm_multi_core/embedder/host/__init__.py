"""The plugin host: finds plugins, keeps broken ones apart, says which frameworks there are.

The only part of the library that knows pluggy.
"""

from llm_multi_core.embedder.host.host import Host, default_host
from llm_multi_core.embedder.host.status import FrameworkStatus

__all__ = ["FrameworkStatus", "Host", "default_host"]
