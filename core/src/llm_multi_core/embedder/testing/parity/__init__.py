"""Parity: that an embedder's vectors are its library's own, measured, kept, and shown as a table.

```python
pytest_plugins = ["llm_multi_core.embedder.testing.parity.plugin"]  # in the top-level conftest.py


def test_vectors_equal_acmes(parity, tiny_model, texts):
    expected = acme.load(tiny_model).encode(texts)
    with create_text_embedder("acme", tiny_model, device="cpu", precision="float32") as embedder:
        parity.check(embedder, texts, expected, architecture="BERT", variant="mean")
```

`pytest --parity-results parity.json --parity-page frameworks.md` writes what was measured into the
one, and a table of it between the marks `<!-- parity -->` and `<!-- /parity -->` of the other.

Needs `llm-multi-core[testing]`. The conformance kit checks an encoder against itself; this checks it
against somebody else.
"""

from llm_multi_core.embedder.testing.parity.check import PARITY, Parity, assert_same_vectors
from llm_multi_core.embedder.testing.parity.results import ParityResult, ParityResults
from llm_multi_core.embedder.testing.parity.table import fill_table, parity_table

__all__ = [
    "PARITY",
    "Parity",
    "ParityResult",
    "ParityResults",
    "assert_same_vectors",
    "fill_table",
    "parity_table",
]
