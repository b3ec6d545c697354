"""A real server on a port and in a folder of its own. `LONGHAUL_BIN` names its binary."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading

BIN = os.environ["LONGHAUL_BIN"]


def own_address() -> str:
    """An address of a server's own, on which nobody else listens: a port of 127.0.0.1 may go to somebody who asks for a free one while
    the server is started again. Linux has all of 127.0.0.0/8."""
    return f"127.{'.'.join(str(random.randint(1, 254)) for _ in range(3))}" if sys.platform == "linux" else "127.0.0.1"


class Server:
    """A server on a port and in a folder of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.url = ""
        self.start(f"{own_address()}:0")

    def start(self, listen: str) -> None:
        environment = {**os.environ, "RUST_LOG": "info", "LONGHAUL_LOG_FORMAT": "json"}
        arguments = [BIN, "serve", "--listen", listen, "--data", self.folder.name, "--accept-unknown-kinds"]
        self.process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line.decode())
            address = re.search(rb"http://127[.\d]+:\d+", line)
            if address is not None:
                self.url = address[0].decode()
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
