from llm_multi_core.embedder import create_text_embedder


def test_fake(fake_framework):
    assert create_text_embedder(fake_framework).embed_batch(["a", "b"]).shape == (2, 8)
