"""A real browser for tests, and a way to ask it: Debian's, unpacked; nothing is installed.

It is spoken to with the DevTools protocol through a pair of pipes, one JSON message and a zero byte
each (`--remote-debugging-pipe` of Chromium), so that no port is opened.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import platform
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import filelock

from build_tasks import process
from build_tasks.engine import apt
from build_tasks.errors import EngineError

PROGRAM = "chromium-headless-shell"
FONTS = "fonts-dejavu-core"
#: Seconds after which the browser is taken for hung.
PATIENCE = 60.0
#: The machine's own loader runs the browser, and a loader takes no libc but its own.
OWN = ("libc6_", "libc-bin_", "libcrypt1_")


def impossible() -> str:
    """Return why this machine cannot unpack the browser; empty if it can."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and apt.KEYRING.exists()):
        return "the browser is made of Debian's packages: no apt, or not its keys"
    try:
        apt.codename()
        apt.mirror()
    except EngineError as error:
        return str(error)
    return ""


def unpacked(folder: Path) -> Path:
    """Return the folder with the unpacked browser and all that it needs; fetch it once."""
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    with filelock.FileLock(folder / "lock"):
        if not root.exists():
            fresh = folder / "root.new"
            shutil.rmtree(fresh, ignore_errors=True)
            for package in _fetched(folder / "apt"):
                process.run(("dpkg", "-x", str(package), str(fresh)))
            _fonts(fresh)
            shutil.rmtree(folder / "apt")
            fresh.rename(root)
    return root


def _fetched(home: Path) -> Iterator[Path]:
    """Fetch the packages into a state of apt's own, in which nothing is installed yet."""
    apt.update(home, apt.mirror(), [apt.codename()], print)
    (home / "status").touch()
    wanted = ("install", "--yes", "--no-install-recommends", "--download-only", PROGRAM, FONTS)
    command = ("apt-get", "-o", f"Dir::State::status={home / 'status'}", *wanted)
    apt.check(apt.run(command, home), "the browser")
    for package in sorted((home / "archives").glob("*.deb")):
        if not package.name.startswith(OWN):
            yield package


def _fonts(root: Path) -> None:
    """Show the browser the unpacked fonts, and no others: what a page looks like is the same."""
    (root / "etc/fonts/here.conf").write_text(
        f"""<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
        <fontconfig><dir prefix="relative">../../usr/share/fonts</dir>
        <cachedir>{root}/var/cache/fontconfig</cachedir></fontconfig>"""
    )


def environment(root: Path) -> dict[str, str]:
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = [root / "usr/lib" / triplet, root / "lib" / triplet]
    libraries += [root / "usr/lib" / triplet / "pulseaudio"]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "FONTCONFIG_FILE": str(root / "etc/fonts/here.conf"),
    }


@dataclass
class Page:
    """A page of the browser.

    Args:
        send: writes to the browser.
        answers: the descriptor from which comes what the browser writes.
        session: its name for the page.
        said: what the page wrote to its console, and its errors.
        asked: the addresses that the page asked for.
    """

    send: IO[bytes]
    answers: int
    session: str = ""
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _read: bytearray = field(default_factory=bytearray)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol, and take in what comes before its answer."""
        number = next(self._ids)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.send.write(json.dumps(message).encode() + b"\0")
        self.send.flush()
        while (got := self._next()).get("id") != number:
            self._noted(got)
        assert "error" not in got, got
        result: dict[str, Any] = got["result"]
        return result

    def open(self, address: str, *, width: int = 1440, height: int = 900, scale: float = 1) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        while (got := self._next()).get("method") != "Page.loadEventFired":
            self._noted(got)

    def ask(self, script: str) -> Any:
        """Return what an expression of JavaScript is worth on the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def media(self, **features: str) -> None:
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def key(self, key: str) -> None:
        code = {"Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            typed = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, **named, **typed)

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            assert ready, "the browser says nothing"
            chunk = os.read(self.answers, 1 << 20)
            assert chunk, "the browser is gone"
            self._read += chunk
        text, _, rest = self._read.partition(b"\0")
        self._read = bytearray(rest)
        message: dict[str, Any] = json.loads(text)
        return message

    def _noted(self, event: Mapping[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.said.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.said.append(json.dumps(parameters))
            case "Network.requestWillBeSent":
                self.asked.append(parameters["request"]["url"])


def _pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are none of those that the browser reads and writes."""
    low = os.pipe()
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return reader, writer


@contextlib.contextmanager
def browsing(root: Path) -> Iterator[Page]:
    """Start the browser with one empty page, and end it."""
    from_us, to_browser = _pipe()
    from_browser, to_us = _pipe()
    with tempfile.TemporaryDirectory() as profile:
        program = root / "usr/lib/chromium" / PROGRAM
        # It reads messages from descriptor 3 and writes to 4; a shell puts the pipes there.
        command = (
            *("/bin/bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash"),
            *(str(program), "--remote-debugging-pipe", f"--user-data-dir={profile}"),
            *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
            "about:blank",
        )
        child = subprocess.Popen(
            command,
            env=environment(root),
            pass_fds=(from_us, to_us),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(to_us)
        with open(to_browser, "wb") as send:  # noqa: PTH123 - a descriptor
            try:
                page = Page(send, from_browser)
                targets = page.call("Target.getTargets")["targetInfos"]
                target = next(one["targetId"] for one in targets if one["type"] == "page")
                attached = page.call("Target.attachToTarget", targetId=target, flatten=True)
                page.session = attached["sessionId"]
                for domain in ("Page", "Runtime", "Log", "Network"):
                    page.call(f"{domain}.enable")
                yield page
            finally:
                os.close(from_browser)
                child.terminate()
                child.wait(PATIENCE)
