"""A real server on a port and in a folder of its own. `LONGHAUL_BIN` names its binary."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading

BIN = os.environ["LONGHAUL_BIN"]


class Server:
    """A server on a port and in a folder of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.url = ""
        self.start("127.0.0.1:0")

    def start(self, listen: str) -> None:
        environment = {**os.environ, "RUST_LOG": "info", "LONGHAUL_LOG_FORMAT": "json"}
        arguments = [BIN, "serve", "--listen", listen, "--data", self.folder.name, "--accept-unknown-kinds"]
        self.process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line.decode())
            start = line.find(b"http://127.0.0.1:")
            if start >= 0:
                digits = line[start + len(b"http://127.0.0.1:") :]
                port = digits[: next((i for i, c in enumerate(digits) if not chr(c).isdigit()), len(digits))]
                self.url = f"http://127.0.0.1:{port.decode()}"
                break
        else:
            raise AssertionError("the server did not start: " + "".join(seen))
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start(self.url.removeprefix("http://"))

    def close(self) -> None:
        self.kill()
        self.folder.cleanup()
