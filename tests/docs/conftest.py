"""What the tests of documentation and examples share: the examples as modules, and a browser."""

import base64
import json
import re
import shutil
import subprocess
from itertools import count
from pathlib import Path

import pytest
from websockets.sync.client import connect

EXAMPLES = Path(__file__).parents[2] / "examples"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60
"""How long the browser may take to answer on a busy machine."""


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    """The programs in `examples/` can be imported, as when one of them is run."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture
def browser(tmp_path):
    """A page of headless Chromium, which ends with the test."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    command = [program, *options, "--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'profile'}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stderr.readline, "")
        address = next((found[1] for line in lines if (found := re.search(r"listening on (ws://\S+)", line))), None)
        assert address is not None, "Chromium ended before it listened"
        with connect(address, max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


class Page:
    """An open page, over the browser's own protocol."""

    def __init__(self, connection):
        self._connection = connection
        self._numbers = count(1)
        self._session = None
        self.failures = []
        """Addresses that the page asked for outside itself, and errors of its scripts."""

    def open(self, address, *, width, height, dark=False):
        """Load a page and wait until it is there."""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for domain in ("Page", "Network", "Runtime"):
            self._send(f"{domain}.enable")
        self._address = address
        self._send("Page.navigate", url=address)
        self.evaluate("new Promise(done => document.readyState == 'complete' ? done() : window.onload = done)")

    def evaluate(self, expression):
        """What a JavaScript expression gives, waited for if it is a promise."""
        answer = self._send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def photograph(self, file):
        """What is to be seen, as PNG."""
        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def _send(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._connection.recv(timeout=SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        if event.get("method") == "Network.requestWillBeSent":
            asked = event["params"]["request"]["url"]
            if asked != self._address and not asked.startswith("data:"):
                self.failures.append(asked)
        if event.get("method") == "Runtime.exceptionThrown":
            self.failures.append(str(event["params"]["exceptionDetails"]))
