# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, spoken to by its DevTools protocol over two pipes: messages are JSON, each ended by a NUL."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

ANSWER_S = 60


class Browser:
    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="cowherd-browser-")
        command_read, self.command = os.pipe()
        self.answers, answer_write = os.pipe()

        def own_pipes():  # the protocol reads descriptor 3 and writes 4
            low = [os.dup(command_read), os.dup(answer_write)]
            os.dup2(low[0], 3)
            os.dup2(low[1], 4)

        # --no-sandbox: as root it does not start with one. What it shows is our own file, and it is given no network.
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND",
             "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "about:blank"],
            close_fds=False, preexec_fn=own_pipes, start_new_session=True,
            env=os.environ | {name: self.folder for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(command_read)
        os.close(answer_write)
        self.next_id, self.rest, self.events = 1, b"", []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.tell(domain + ".enable")
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.command)
        os.close(self.answers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def read(self, until):
        while b"\0" not in self.rest:
            if not select.select([self.answers], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"no answer of the browser within {ANSWER_S} s")
            some = os.read(self.answers, 1 << 20)
            if not some:
                raise EOFError("the browser ended")
            self.rest += some
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, session=None, **parameters):
        number, self.next_id = self.next_id, self.next_id + 1
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.command, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWER_S
        while True:
            got = self.read(until)
            if got.get("id") == number:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']['message']}")
                return got["result"]
            self.events.append(got)

    def tell(self, method, **parameters):
        return self.ask(method, self.session, **parameters)

    def show(self, path, width, dark=False, media="screen"):
        """Loads a file at this width; returns every address that it asked for."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.tell("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.tell("Page.navigate", url=f"file://{os.path.abspath(path)}")
        until = time.monotonic() + ANSWER_S
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read(until))
        return [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]

    def value(self, script):
        return self.tell("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self):
        size = self.tell("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"])

    def pdf(self):
        self.tell("Emulation.setEmulatedMedia", media="", features=[])
        return base64.b64decode(self.tell("Page.printToPDF", printBackground=False, preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"])
