"""A stream's memory does not grow with its length."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from llm_multi_core.embedder import TextEmbedder
from llm_multi_core.embedder.settings import EmbedderSettings
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer

settings = EmbedderSettings(fake_offer(FakeTextEncoder), "m", {"dimension": 384}, truncation="truncate")
count = rows = int(sys.argv[1])
for block in TextEmbedder(settings).embed_stream(f"text {number} " * 9 for number in range(count)):
    rows -= len(block)
assert rows == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_megabytes(count):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(count)], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell a process's peak memory")
def test_a_hundred_thousand_texts_take_the_memory_of_ten_thousand():
    # On macOS the figure is in bytes, which makes the bound the stricter one.
    assert peak_megabytes(100_000) - peak_megabytes(10_000) <= 20
