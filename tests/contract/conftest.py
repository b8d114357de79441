"""Property tests run the same examples each time, and without a clock."""

from hypothesis import settings

settings.register_profile("llm-multi-core", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("llm-multi-core")
