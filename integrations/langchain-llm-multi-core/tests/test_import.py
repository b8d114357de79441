"""Importing the adapter loads no model library and no vector store."""

import subprocess
import sys


def test_importing_it_loads_no_model_library_and_no_plugin():
    code = (
        "import sys, langchain_llm_multi_core as package; "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'langchain_classic', 'langchain_community', "
        "'langchain_chroma', 'chromadb', 'langchain_qdrant', 'qdrant_client', 'faiss', 'lancedb', 'PIL', 'soundfile', "
        "'llm_multi_core_torch', 'llm_multi_core_sentence_transformers'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert all(hasattr(package, name) for name in package.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
