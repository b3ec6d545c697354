"""Reads server-sent events piece by piece, whatever the network cuts them into."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass

from .job import Event, read_event


@dataclass
class Message:
    """One message of the stream."""

    event: str
    data: str
    id: str


class Parser:
    """Turns bytes into messages. ``retry`` is the pause that the server asks for, in seconds."""

    def __init__(self) -> None:
        self.retry: float | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._event, self._data, self._id = "", list[str](), ""

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that end within ``piece``."""
        text = self._rest + self._decode(piece)
        # A carriage return at the end may be half of a line end.
        held = "\r" if text.endswith("\r") else ""
        lines = text[: len(text) - len(held)].replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + held
        messages = []
        for line in lines:
            message = self._line(line)
            if message is not None:
                messages.append(message)
        return messages

    def _line(self, line: str) -> Message | None:
        if not line:
            message = Message(self._event or "message", "\n".join(self._data), self._id) if self._data else None
            self._event, self._data = "", []
            return message
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isdigit():
            self.retry = int(value) / 1000
        return None


def event_of(message: Message) -> Event | None:
    """The job's event that a message carries; ``None`` where it is none that this release knows."""
    if not message.id.isdigit():
        return None
    try:
        data = json.loads(message.data)
    except ValueError:
        return None
    return read_event(message.event, int(message.id), data) if isinstance(data, dict) else None
