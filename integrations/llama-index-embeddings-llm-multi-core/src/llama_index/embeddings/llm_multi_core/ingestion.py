"""Pipelines that fail half way: what a document store remembers of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llama_index.core.storage.docstore import BaseDocumentStore


@contextmanager
def undone_on_failure(docstore: BaseDocumentStore) -> Iterator[None]:
    """Within this block, a failed run does not leave documents marked as done.

    A pipeline without a vector store, or with `DocstoreStrategy.DUPLICATES_ONLY`, writes the hashes of new
    documents into its document store before it transforms them. If that fails, they are taken for
    duplicates ever after and never embedded. (With `UPSERTS` and a vector store hashes are written last.)

    Args:
        docstore: the pipeline's.

    Examples:
        ```python
        with undone_on_failure(pipeline.docstore):
            pipeline.run(documents=documents)
        ```
    """
    before = _hashes(docstore)
    try:
        yield
    except BaseException:
        for doc_id, doc_hash in _hashes(docstore).items():
            if doc_id not in before:
                docstore.delete_document(doc_id, raise_error=False)
            elif before[doc_id] != doc_hash:
                docstore.set_document_hash(doc_id, before[doc_id])
        raise


def _hashes(docstore: BaseDocumentStore) -> dict[str, str]:
    return {doc_id: doc_hash for doc_hash, doc_id in docstore.get_all_document_hashes().items()}
