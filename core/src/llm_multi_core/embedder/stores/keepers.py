"""Where each store keeps a stamp: in metadata of its own that is still there when it is opened again.

Stores are handled as they come, by what they can do; nothing of theirs is imported, and none of their
entries is touched.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_multi_core.embedder.errors import InvalidOptionError

KEY = "llm_multi_core_stamp"
"""Under which a stamp is kept in a store's metadata; and the name of its file."""


class StampKeeper(ABC):
    """Reads and writes the stamp of one index, as text.

    Attributes:
        where: the index, as messages name it.
    """

    where: str

    @abstractmethod
    def read(self) -> str | None:
        """The text that is kept, or `None`."""

    @abstractmethod
    def write(self, text: str) -> None:
        """Keep a text, in place of one that was kept before.

        Raises:
            InvalidOptionError: if the index cannot keep one, or not yet.
        """

    def dimension(self) -> int | None:
        """Components of the vectors that the index holds; `None` if there are none yet, or it does not say."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where})"


class ChromaKeeper(StampKeeper):
    """In a Chroma collection's metadata.

    Args:
        collection: a `chromadb.Collection`, embedded or over HTTP.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.where = f"Chroma collection {collection.name!r}"

    def read(self) -> str | None:
        """The text that is kept, or `None`."""
        return _text((self._collection.metadata or {}).get(KEY))

    def write(self, text: str) -> None:
        """Keep a text beside the collection's other metadata.

        Chroma refuses metadata with the names of index settings (`"hnsw:space"`) after a collection was
        made; they take effect from its configuration, which stays.
        """
        metadata = self._collection.metadata or {}
        others = {name: value for name, value in metadata.items() if not name.startswith("hnsw:")}
        self._collection.modify(metadata={**others, KEY: text})

    def dimension(self) -> int | None:
        """That of the first vector."""
        vectors = self._collection.get(limit=1, include=["embeddings"])["embeddings"]
        return None if vectors is None or len(vectors) == 0 else len(vectors[0])


class QdrantKeeper(StampKeeper):
    """In a Qdrant collection's metadata, which servers have from version 1.16 on, and local mode has.

    Args:
        client: a `qdrant_client.QdrantClient`.
        collection_name: of the collection.
        vector_name: of the vectors, where the collection has several.
    """

    def __init__(self, client: Any, collection_name: str, vector_name: str = "") -> None:
        self._client = client
        self._name = collection_name
        self._vector = vector_name
        self.where = f"Qdrant collection {collection_name!r}"

    def read(self) -> str | None:
        """The text that is kept, or `None`; also where there is no such collection yet."""
        if not self._client.collection_exists(self._name):
            return None
        config = self._client.get_collection(self._name).config
        return _text((getattr(config, "metadata", None) or {}).get(KEY))

    def write(self, text: str) -> None:
        """Keep a text beside the collection's other metadata.

        Raises:
            InvalidOptionError: if there is no such collection yet.
        """
        if not self._client.collection_exists(self._name):
            raise InvalidOptionError(f"there is no {self.where} yet; add documents first, then stamp it")
        self._client.update_collection(self._name, metadata={KEY: text})

    def dimension(self) -> int | None:
        """What the collection was made for."""
        if not self._client.collection_exists(self._name):
            return None
        vectors = self._client.get_collection(self._name).config.params.vectors
        params = vectors.get(self._vector) if isinstance(vectors, Mapping) else vectors
        return None if params is None else int(params.size)


class LanceKeeper(StampKeeper):
    """In the metadata of a LanceDB table's vector column.

    Args:
        table: a `lancedb.table.LanceTable`.
        column: the column; by default the first that holds vectors.

    Raises:
        InvalidOptionError: if the table has no such column.
    """

    def __init__(self, table: Any, column: str | None = None) -> None:
        self._table = table
        self.where = f"LanceDB table {table.name!r}"
        schema = table.schema
        vectors = [field.name for field in schema if str(field.type).startswith("fixed_size_list")]
        self._column = column if column is not None else next(iter(vectors), None)
        if self._column not in schema.names:
            raise InvalidOptionError(f"{self.where} has no column {self._column or 'of vectors'!r} to be stamped")

    def read(self) -> str | None:
        """The text that is kept, or `None`."""
        metadata = self._table.schema.field(self._column).metadata or {}
        return _text(metadata.get(KEY.encode()))

    def write(self, text: str) -> None:
        """Keep a text beside the column's other metadata."""
        if hasattr(self._table, "update_field_metadata"):
            self._table.update_field_metadata({"path": self._column, "metadata": {KEY: text}})
        else:  # lancedb before 0.33
            metadata = self._table.schema.field(self._column).metadata or {}
            others = {name.decode(): value.decode() for name, value in metadata.items()}
            self._table.replace_field_metadata(self._column, {**others, KEY: text})

    def dimension(self) -> int | None:
        """What the column was made for."""
        size: int | None = getattr(self._table.schema.field(self._column).type, "list_size", None)
        return size


class FileKeeper(StampKeeper):
    """In a file beside an index that is kept in a folder, such as one of FAISS, or in a file of its own.

    Args:
        index: the folder or file that the index is saved in.
    """

    def __init__(self, index: str | os.PathLike[str]) -> None:
        path = Path(os.fspath(index)).expanduser()
        self._file = path.with_name(f"{path.name}.{KEY}.json") if path.is_file() else path / f"{KEY}.json"
        self.where = f"the index in {os.fspath(index)!r}"

    def read(self) -> str | None:
        """The text that is kept, or `None`."""
        return self._file.read_text(encoding="utf-8") if self._file.exists() else None

    def write(self, text: str) -> None:
        """Keep a text; the file is replaced in one step.

        Raises:
            InvalidOptionError: if there is no such folder yet.
        """
        if not self._file.parent.is_dir():
            raise InvalidOptionError(f"there is no folder for {self.where} yet; persist it first, then stamp it")
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self._file)


def _text(value: Any) -> str | None:
    return value.decode("utf-8") if isinstance(value, bytes) else value if isinstance(value, str) else None
