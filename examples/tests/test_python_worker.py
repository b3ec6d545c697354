"""Runs the worker of python_worker.py beside a real server: LONGHAUL_BIN names its binary."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from longhaul import JobFailed, Longhaul

WORKER = pathlib.Path(__file__).parent.parent / "python_worker.py"


class PythonWorker(unittest.TestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory()) if sys.version_info >= (3, 11) else tempfile.mkdtemp()
        serve = [os.environ["LONGHAUL_BIN"], "serve", "--listen", "127.0.0.1:0", "--services", "lessons"]
        serve += ["--data", folder, "--accept-unknown-kinds"]
        self.server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, self.server)
        assert self.server.stdout is not None
        # The address is what a server prints once it listens.
        self.url = self.server.stdout.readline().strip()
        self.worker = subprocess.Popen([sys.executable, str(WORKER), self.url])
        self.addCleanup(self.end, self.worker)

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()

    def test_a_job_of_the_server_is_run_and_one_that_cannot_be_done_fails_at_once(self) -> None:
        with Longhaul(self.url) as client:
            self.assertEqual(client.run("count_words", {"text": "so it goes\nand goes"}), {"words": 5})
            with self.assertRaises(JobFailed):
                client.run("count_words", {})


unittest.main()
