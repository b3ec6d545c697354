"""Runs webhook_receiver.py beside a real server, with the reference library of Standard Webhooks: LONGHAUL_BIN names the server's binary."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

from longhaul import Longhaul

RECEIVER = pathlib.Path(__file__).parent.parent / "webhook_receiver.py"


class WebhookReceiver(unittest.TestCase):
    def start(self, *command: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()

    def line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def ask(self, method: str, path: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return bytes(answer.read())

    def test_messages_are_verified_with_either_of_two_secrets_and_with_no_other(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        serve = [os.environ["LONGHAUL_BIN"], "serve", "--listen", "127.0.0.1:0", "--services", "lessons"]
        server = self.start(*serve, "--data", folder.name, "--webhook-allow", "127.0.0.1", "--accept-unknown-kinds")
        self.url = self.line(server)
        place = ["--url", self.url]
        secrets = [subprocess.check_output([serve[0], "webhook-secrets", "add", *place], stderr=subprocess.DEVNULL, text=True).strip() for _ in range(2)]
        receivers = [self.start(sys.executable, str(RECEIVER), secret, "0") for secret in secrets]
        urls = [self.line(receiver) for receiver in receivers]
        with Longhaul(self.url) as client:
            # The server itself runs this kind, and the receivers refuse what is not signed: which is told, too.
            request = {"url": urls[0], "method": "POST", "body": "unsigned", "expect": [401]}
            for receiver, url in zip(receivers, urls):
                job = client.enqueue("http.request", request, webhook={"url": url, "events": ["completed"]})
                job.wait(timeout=60)
                self.assertRegex(self.line(receiver), rf"^job\.completed {job.id} .*'status': 401")
        with self.assertRaises(urllib.error.HTTPError) as forged:
            urllib.request.urlopen(urllib.request.Request(urls[0], data=b"{}", method="POST"))
        self.assertEqual(forged.exception.code, 401)
        forged.exception.close()


unittest.main()
