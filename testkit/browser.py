"""Headless Chromium, controlled by its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import ClientConnection, connect

from testkit.kept_process import end, launch
from testkit.waiting import PATIENCE_SECONDS

POLL_SECONDS = 0.2

_LISTENING = re.compile(r"DevTools listening on ws://(?P<address>[^/]+)/")


class BrowserError(Exception):
    """The browser does not start, refuses a call, or never shows what is waited for."""


class Page:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result.

        :raises BrowserError: when the browser refuses.
        """
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if message.get("id") != number:
                continue  # an event, which is ignored
            if "error" in message:
                raise BrowserError(f"the browser refused {method}: {message['error']}")
            result: dict[str, Any] = message["result"]
            return result

    def evaluate(self, script: str) -> Any:
        """Value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_until(self, script: str) -> None:
        """Wait until a JavaScript expression is true.

        :raises BrowserError: when it stays false. The message has the page's text.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.evaluate(script):
            if time.monotonic() > deadline:
                text = self.evaluate("document.body.innerText")
                raise BrowserError(f"the page never came to {script}; it shows:\n{text}")
            time.sleep(POLL_SECONDS)

    def wait_for_target(self, address: str) -> None:
        """Wait until another page with this address is open.

        :raises BrowserError: when there is none.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while address not in (addresses := self._addresses()):
            if time.monotonic() > deadline:
                raise BrowserError(f"no page has the address {address}; open are: {', '.join(addresses)}")
            time.sleep(POLL_SECONDS)

    def _addresses(self) -> list[str]:
        targets = self.call("Target.getTargets")["targetInfos"]
        return [target["url"] for target in targets if target["type"] == "page"]

    def photograph(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser_page(home: Path, environment: Mapping[str, str], *, width: int, height: int) -> Iterator[Page]:
    """An empty page in a new browser, which writes below ``home`` only.

    :raises BrowserError: when Chromium is not installed, or does not start.
    """
    binary = shutil.which("chromium")
    if binary is None:
        raise BrowserError("chromium is not installed; on Debian: apt-get install chromium")
    # Its sandbox does not work for root, as in a container; the only page that it opens is ours.
    command = [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={home}", f"--window-size={width},{height}"]
    home.mkdir(parents=True, exist_ok=True)
    output = home / "output.log"
    with output.open("wb") as file:
        process = launch(
            [*command, "about:blank"], environment=environment, folder=home, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        address = _wait_for_address(process, output)
        with connect(_page_address(address), max_size=None, proxy=None) as socket:
            page = Page(socket)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            page.call("Emulation.setDeviceMetricsOverride", **size)
            yield page
    finally:
        end([process])


def _page_address(address: str) -> str:
    """The web socket of the page that the browser has opened."""
    with requests.Session() as session:
        session.trust_env = False  # proxies do not reach this machine's loopback
        targets = session.get(f"http://{address}/json/list", timeout=PATIENCE_SECONDS).json()
    return str(next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page"))


def _wait_for_address(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if match := _LISTENING.search(output.read_text(errors="replace")):
            return match["address"]
        time.sleep(POLL_SECONDS)
    raise BrowserError(f"chromium did not start:\n{output.read_text(errors='replace')[-2000:]}")
