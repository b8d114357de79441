"""What has to be known of each kind of vector store: search by vector, scores, filters, the place for a stamp.

No store's package is imported; a store is known by the name of its class, or of one that it derives from.
"""

from langchain_llm_multi_core.stores.access import StoreAccess, access_of
from langchain_llm_multi_core.stores.filters import Found, Where

__all__ = ["Found", "StoreAccess", "Where", "access_of"]
