"""A headless Chromium, spoken to over two pipes in the DevTools protocol (JSON, each message ended by a NUL)."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--hide-scrollbars")


def executable():
    """The path of a Chromium, None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in one browser; `messages` gathers what it logged, and what it asked a network for."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory()
        to_browser, self._send = os.pipe()
        self._receive, from_browser = os.pipe()
        # the browser reads its commands from descriptor 3 and writes to 4
        words = [executable(), *FLAGS, f"--user-data-dir={self.home.name}", "--remote-debugging-pipe", "about:blank"]
        theirs = [
            fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)
        ]  # out of the way of 3 and 4
        script = 'exec 3<&{0} 4>&{1} {0}<&- {1}>&-; exec "$@"'.format(*theirs)
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *words],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_browser, from_browser, *theirs):
            os.close(end)
        self._rest, self._number, self._session, self.messages = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._send)
        os.close(self._receive)
        self._process.kill()
        self._process.wait()
        self.home.cleanup()

    def call(self, method, **parameters):
        """The result of one command; what the browser tells meanwhile is looked through."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, path, width=1280, height=900, *, mobile=False):
        """Show a file, and wait until it has loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._next()

    def js(self, expression):
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description"))
        return found["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def key(self, name):
        for kind in ("keyDown", "keyUp"):
            typed = {"text": "\r", "windowsVirtualKeyCode": 13} if name == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, **typed)

    def screenshot(self, path):
        """The whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self):
        while b"\0" not in self._rest:
            part = os.read(self._receive, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        method, told = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.messages.append(told["exceptionDetails"].get("exception", {}).get("description"))
        elif method == "Log.entryAdded":
            self.messages.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not told["request"]["url"].startswith(("file:", "data:")):
            self.messages.append(f"asked for {told['request']['url']}")
        return message
