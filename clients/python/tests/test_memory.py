"""The server in memory, and the parts of the client that need no server."""

from __future__ import annotations

import asyncio
import doctest
import unittest

import httpx

import longhaul
import longhaul.testing
from longhaul import Longhaul
from longhaul.sse import Parser
from longhaul.testing import MemoryServer


class Memory(unittest.TestCase):
    def test_its_documentation_is_true(self) -> None:
        self.assertEqual(doctest.testmod(longhaul.testing).failed, 0)

    def test_jobs_end_as_the_test_says(self) -> None:
        server = MemoryServer()
        client = server.client()
        good, bad = client.enqueue("a", 1, id="x/y"), client.enqueue("a", 2)
        server.emit(good.id, "one")
        server.complete(good.id, {"n": 1})
        server.fail(bad.id, "broken")
        self.assertEqual((good.wait(), good.text()), ({"n": 1}, "one"))
        with self.assertRaises(longhaul.JobFailed):
            bad.wait()
        self.assertEqual([job.id for job in client.jobs.list(state="failed")], [bad.id])
        self.assertEqual(client.jobs.retry(filter={"state": "failed"}).done, 1)
        self.assertEqual(bad.get().state, "available")
        self.assertEqual(list(client.jobs.list(kind=[])), [])

    def test_the_asyncio_client_reads_it_too(self) -> None:
        async def story() -> object:
            server = MemoryServer()
            async with server.async_client() as client:
                job = await client.enqueue("a", 1)
                server.run("a", lambda args: args + 1)
                return await job.wait()

        self.assertEqual(asyncio.run(story()), 2)


class Retries(unittest.TestCase):
    def test_a_post_is_sent_again_under_the_same_key(self) -> None:
        keys = []

        def answer(request: httpx.Request) -> httpx.Response:
            keys.append(request.headers["idempotency-key"])
            if len(keys) == 1:
                raise httpx.ConnectError("refused")
            if len(keys) == 2:
                return httpx.Response(503, headers={"retry-after": "0"}, json={"code": "unavailable"})
            return httpx.Response(202, json={"id": "j", "kind": "k", "queue": "q", "state": "available"})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        self.assertEqual(client.enqueue("k").id, "j")
        self.assertEqual((len(keys), len(set(keys))), (3, 1))

    def test_what_no_retry_can_help_is_not_sent_again(self) -> None:
        calls = []

        def answer(request: httpx.Request) -> httpx.Response:
            calls.append(request)
            return httpx.Response(401, json={"code": "unauthorized", "detail": "a token is needed"})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        with self.assertRaises(longhaul.Unauthorized) as caught:
            client.enqueue("k")
        self.assertEqual((len(calls), caught.exception.code), (1, "unauthorized"))

    def test_after_all_retries_the_error_is_told(self) -> None:
        client = Longhaul(
            "http://memory",
            max_retries=1,
            transport=httpx.MockTransport(lambda _: httpx.Response(503, headers={"retry-after": "0"}, json={})),
        )
        with self.assertRaises(longhaul.Unavailable):
            client.job("j").get()


class Streams(unittest.TestCase):
    STREAM = "id: 1\r\nevent: chunk\r\ndata: {\"a\":\r\ndata: \"ä\"}\r\n\r\n: beat\n\nretry: 1500\n\nid: 2\ndata:x\n\n".encode()

    def test_events_are_read_wherever_the_network_cuts(self) -> None:
        for cut in range(1, len(self.STREAM)):
            parser = Parser()
            messages = parser.feed(self.STREAM[:cut]) + parser.feed(self.STREAM[cut:])
            seen = [(message.id, message.event, message.data) for message in messages]
            self.assertEqual(seen, [("1", "chunk", '{"a":\n"ä"}'), ("2", "message", "x")], f"cut at {cut}")
            self.assertEqual(parser.retry, 1.5)


if __name__ == "__main__":
    unittest.main()
