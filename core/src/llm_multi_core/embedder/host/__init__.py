"""The plugin host: finds plugins, keeps broken ones apart, says which frameworks there are.

The only part of the library that knows pluggy.
"""

from llm_multi_core.embedder.host.host import FrameworkStatus, Host, default_host

__all__ = ["FrameworkStatus", "Host", "default_host"]
