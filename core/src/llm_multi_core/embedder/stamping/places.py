"""Where an index keeps its stamp, so that it is there again when the index is opened, and never among results.

Each place takes the client's own object, whoever made it. Whether the stamp fits, `guard` decides.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from llm_multi_core.embedder.errors import InvalidInputError

KEY = "llm_multi_core_stamp"
"""Under which a database's metadata hold a stamp."""


class StampPlace(ABC):
    """A place for the stamp of one index.

    Attributes:
        name: how messages name the index.
    """

    name: str

    @abstractmethod
    def read(self) -> str | None:
        """The text that was kept; `None` if there is none."""

    @abstractmethod
    def write(self, text: str) -> None:
        """Keep a text, in place of an earlier one."""

    def dimension(self) -> int | None:
        """Components of the vectors that the index holds; `None` if it holds none, or does not say."""
        return None


class ChromaPlace(StampPlace):
    """The metadata of a Chroma collection, embedded or on a server.

    Args:
        collection: a `chromadb.Collection`.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.name = f"Chroma collection {collection.name!r}"

    def read(self) -> str | None:
        """From the collection's metadata, as they were when it was opened."""
        text: str | None = (self._collection.metadata or {}).get(KEY)
        return text

    def write(self, text: str) -> None:
        """Into the collection's metadata, beside what is there."""
        # Chroma refuses to be told the parameters of its index again, which are in the configuration since 1.0.
        kept = {
            name: value
            for name, value in (self._collection.metadata or {}).items()
            if not name.startswith(("hnsw:", "chroma:"))
        }
        self._collection.modify(metadata={**kept, KEY: text})

    def dimension(self) -> int | None:
        """That of the first vector."""
        vectors = self._collection.get(limit=1, include=["embeddings"])["embeddings"]
        return None if vectors is None or len(vectors) == 0 else len(vectors[0])


class QdrantPlace(StampPlace):
    """The metadata of a Qdrant collection; servers have them since 1.16, and so has the local mode.

    Args:
        client: a `qdrant_client.QdrantClient`.
        collection: the collection's name.
        vector: the name of the vectors, where they have one.
    """

    def __init__(self, client: Any, collection: str, vector: str = "") -> None:
        self._client = client
        self._collection = collection
        self._vector = vector
        self.name = f"Qdrant collection {collection!r}"

    def read(self) -> str | None:
        """From the collection's metadata."""
        text: str | None = (getattr(self._config(), "metadata", None) or {}).get(KEY)
        return text

    def write(self, text: str) -> None:
        """Into the collection's metadata, beside what is there."""
        self._client.update_collection(self._collection, metadata={KEY: text})

    def dimension(self) -> int | None:
        """What the collection was made for."""
        vectors = self._config().params.vectors
        params = vectors.get(self._vector) if isinstance(vectors, Mapping) else vectors
        return None if params is None else int(params.size)

    def _config(self) -> Any:
        return self._client.get_collection(self._collection).config


class LancePlace(StampPlace):
    """The metadata of a LanceDB table's vector column. What overwrites the table drops the stamp with the vectors.

    Args:
        table: a `lancedb.table.Table`.
        column: the name of the vector column.
    """

    def __init__(self, table: Any, column: str = "vector") -> None:
        self._table = table
        self._column = column
        self.name = f"LanceDB table {table.name!r}"

    def read(self) -> str | None:
        """From the column's metadata."""
        text = (self._field().metadata or {}).get(KEY.encode())
        return None if text is None else text.decode()

    def write(self, text: str) -> None:
        """Into the column's metadata, beside what is there."""
        self._table.update_field_metadata({"path": self._column, "metadata": {KEY: text}})

    def dimension(self) -> int | None:
        """What the column was made for."""
        size: int | None = getattr(self._field().type, "list_size", None)
        return size

    def _field(self) -> Any:
        self._table.checkout_latest()
        return self._table.schema.field(self._column)


class FilePlace(StampPlace):
    """A small file next to an index, for whatever has no place for one itself.

    Args:
        path: the file that the index is saved in, or its folder.
    """

    SUFFIX: ClassVar[str] = "llm-multi-core.json"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        index = Path(os.fspath(path)).expanduser()
        self.path = index / self.SUFFIX if index.is_dir() else index.with_name(f"{index.name}.{self.SUFFIX}")
        self.name = f"index {index.name!r}"

    def read(self) -> str | None:
        """The file's text."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"the stamp {self.path.name!r} cannot be read ({error})") from None

    def write(self, text: str) -> None:
        """The file anew, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        partial = self.path.with_name(f"{self.path.name}.part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.path)
