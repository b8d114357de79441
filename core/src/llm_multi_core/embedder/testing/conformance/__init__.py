"""The conformance kit: what a plugin and its encoders promise, as tests that their authors run.

```python
import pytest

from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, PluginConformance


class TestPlugin(PluginConformance):
    distribution = "llm-multi-core-acme"


class TestEncoder(EncoderConformance):
    @pytest.fixture
    def case(self, tiny_model):
        return EncoderCase("acme", model=str(tiny_model), options={"pooling": "mean"})
```

A standard test may be overridden only with `@pytest.mark.xfail(reason=...)`. Needs
`llm-multi-core[testing]`.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "describing",
            "keys",
            "life",
            "plugin",
            "refusals",
            "sizes",
            "standard",
            "subject",
            "tasks",
            "vectors",
        )
    )
)

from llm_multi_core.embedder.testing.conformance.case import SAMPLE_TEXTS, EncoderCase  # noqa: E402 - after the rewrite
from llm_multi_core.embedder.testing.conformance.compare import Tolerance  # noqa: E402
from llm_multi_core.embedder.testing.conformance.encoder import EncoderConformance  # noqa: E402
from llm_multi_core.embedder.testing.conformance.keys import KeyConformance  # noqa: E402
from llm_multi_core.embedder.testing.conformance.plugin import PluginConformance  # noqa: E402

__all__ = ["SAMPLE_TEXTS", "EncoderCase", "EncoderConformance", "KeyConformance", "PluginConformance", "Tolerance"]
