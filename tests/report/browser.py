"""A real browser for pages of ours: Debian's chromium, spoken to over its own debugging protocol.

It has a profile of its own, and every name is resolved to nothing: a page that asks for anything is found out.
"""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEADLINE_SECONDS = 60
COMPLAINING = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
BAD = ("error", "warning")


class Page:
    """One tab. `events` are all messages of the browser that nobody asked for."""

    def __init__(self, socket):
        self.socket, self.events, self._numbers = socket, [], itertools.count(1)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        number = next(self._numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def until(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(json.loads(self.socket.recv()))

    def open(self, path, *, dark=False, script=True, width=1000, media=""):
        self.events.clear()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[theme])
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.send("Page.navigate", url=path.as_uri())
        self.until("Page.loadEventFired")

    def value(self, expression):
        """A JavaScript expression, evaluated in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, path):
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
        return path

    @property
    def complaints(self):
        """Errors and warnings on the console."""
        found = {kind: [e["params"] for e in self.events if e.get("method") == kind] for kind in COMPLAINING}
        console = [params for params in found["Runtime.consoleAPICalled"] if params["type"] in BAD]
        logged = [params["entry"] for params in found["Log.entryAdded"] if params["entry"]["level"] in BAD]
        return [*console, *found["Runtime.exceptionThrown"], *logged]

    @property
    def requests(self):
        """Everything that the page asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]


def why_unavailable():
    """Why pages cannot be looked at here; None where they can."""
    return None if CHROMIUM else "there is no chromium on the PATH (`apt-get install -y chromium`)"


@contextmanager
def browser():
    """A page of a browser of its own."""
    import websocket

    # The browser's helpers may write into the profile for a moment longer than it lives.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
            "about:blank",
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            address = next(line for line in process.stderr if "DevTools listening on" in line).split()[-1]
            port = address.split(":")[2].partition("/")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=DEADLINE_SECONDS) as answer:
                tab = next(one for one in json.load(answer) if one["type"] == "page")
            socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=DEADLINE_SECONDS)
            yield Page(socket)
            socket.close()
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE_SECONDS)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
