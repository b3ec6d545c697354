"""A server in memory, for the tests of an application: the same calls, no process and no port.

>>> from longhaul.testing import MemoryServer
>>> server = MemoryServer()
>>> client = server.client()
>>> job = client.enqueue("welcome", {"name": "Ada"})
>>> server.run("welcome", lambda args: f"hello {args['name']}")
1
>>> job.wait()
'hello Ada'
"""

from __future__ import annotations

from .server import MemoryServer

__all__ = ["MemoryServer"]
