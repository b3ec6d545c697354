"""Every snippet of the README is run as it stands, against a real server."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from longhaul import Longhaul
from server import Server

SNIPPETS = re.findall(r"```python\n(.*?)```", Path(__file__).parents[1].joinpath("README.md").read_text(), re.DOTALL)
#: What the snippet of the worker leaves to its reader.
LEFT_OUT = "fetch = lambda url: ['one', 'two']\nread = lambda page: page.upper()\n"


class Readme(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.close)
        self.client = Longhaul(self.server.url)
        self.addCleanup(self.client.close)

    def here(self, snippet: str) -> str:
        return snippet.replace("http://127.0.0.1:8000", self.server.url)

    def start(self, program: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", program])

        def end() -> None:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(120), 0)

        self.addCleanup(end)
        return process

    def test_the_five_minutes_print_a_story(self) -> None:
        work, ask = SNIPPETS[:2]
        self.start(self.here(work))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(self.here(ask), {})
        self.assertEqual(said.getvalue(), "Once there were whales {'words': 4}\n")

    def test_the_worker_reads_pages_and_fails_for_good_where_no_retry_can_help(self) -> None:
        self.start(LEFT_OUT + self.here(SNIPPETS[2]))
        job = self.client.enqueue("ocr", {"url": "https://example.com/a.pdf"}, queue="gpu")
        self.assertEqual((job.text(), job.wait(120)), ("ONETWO", {"pages": 2}))
        bad = self.client.enqueue("ocr", {"url": "file:///etc/passwd"}, queue="gpu")
        with self.assertRaises(Exception) as caught:
            bad.wait(120)
        self.assertIn("only https is read", str(caught.exception))

    def test_readings_are_written_in_one_call(self) -> None:
        table = "from longhaul import Worker\nclass table:\n    async def insert(rows):\n        return [f'{n} of {len(rows)}' for n, _ in enumerate(rows)]\n"
        setting, end = 'worker = Worker("http://127.0.0.1:8000")\n', "\nworker.run()\n"
        jobs = self.client.enqueue_many([{"kind": "reading", "args": {"sensor": sensor}} for sensor in ("roof", "cellar", "roof")])
        self.start(self.here(table + setting + SNIPPETS[3] + end))
        self.assertEqual([job.wait(120) for job in jobs], ["0 of 2", "0 of 1", "1 of 2"])

    def test_an_order_waits_for_an_answer_sleeps_and_waits_for_its_items(self) -> None:
        setting, end = 'from longhaul import Fatal, Worker\nasync def send_offer(args):\n    return None\nworker = Worker("http://127.0.0.1:8000")\n', "\nworker.run()\n"
        items = '@worker.job("item")\ndef item(cx, args):\n    return args\n'
        # The hour of the sleep is one of a reader's.
        self.start(self.here(setting + items + SNIPPETS[4].replace("3_600", "0.1") + end))
        job = self.client.enqueue("order", {"items": [1, 2, 3]})
        self.assertTrue(job.signal("answer", "yes"))
        self.assertEqual(job.wait(120), 3)

    def test_the_double_runs_a_job(self) -> None:
        exec(SNIPPETS[5], {})
        self.assertEqual(len(SNIPPETS), 6)


if __name__ == "__main__":
    unittest.main()
