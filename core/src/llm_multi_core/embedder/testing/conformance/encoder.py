"""`EncoderConformance`: all standard tests of an encoder."""

from __future__ import annotations

from llm_multi_core.embedder.testing.conformance.describing import DescribingTests
from llm_multi_core.embedder.testing.conformance.life import LifeTests
from llm_multi_core.embedder.testing.conformance.refusals import RefusalTests
from llm_multi_core.embedder.testing.conformance.sizes import SizeTests
from llm_multi_core.embedder.testing.conformance.tasks import TaskTests
from llm_multi_core.embedder.testing.conformance.vectors import VectorTests


class EncoderConformance(DescribingTests, VectorTests, SizeTests, TaskTests, LifeTests, RefusalTests):
    """What every encoder promises: local or hosted, of any modality and output kind.

    Subclass it and override the fixture `case`:

    ```python
    class TestEncoder(EncoderConformance):
        @pytest.fixture
        def case(self, tiny_model):
            return EncoderCase("acme", model=str(tiny_model), variations=[{"pooling": "cls"}])
    ```

    Tests that take `way` run twice, on the bare encoder and through the embedder. The case of the
    first test serves the whole class, so that a model is loaded once.
    """
