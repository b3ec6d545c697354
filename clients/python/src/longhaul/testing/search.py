"""Which jobs of the server in memory fit a filter or a search."""

from __future__ import annotations

import json
import re
from typing import Any


def fits(job: dict[str, Any], wanted: list[tuple[str, Any]], labels: dict[str, str]) -> bool:
    for name, value in wanted:
        values = [value] if isinstance(value, str) else value
        if name == "q":
            words = re.findall(r'(-?)(?:([\w.]+):)?(?:"([^"]*)"|(\S+))', " ".join(values))
            if any((not_ == "-") == says(job, of, quoted or bare) for not_, of, quoted, bare in words):
                return False
        elif job["id" if name == "ids" else name] not in values:
            return False
    return all(job["labels"].get(label) == value for label, value in labels.items())


def says(job: dict[str, Any], name: str, value: str) -> bool:
    """True where a job fits one word of a search."""
    last = job["errors"][-1:]
    if name in ("", "error"):
        return value.lower() in json.dumps(last if name else [job["id"], job["kind"], job["args"], last]).lower()
    if name == "key":
        return value in job["limit_keys"]
    if name == "id" and value.endswith("*"):
        return bool(job["id"].startswith(value[:-1]))
    if name.startswith("label."):
        return bool(job["labels"].get(name.removeprefix("label.")) == value)
    of: Any = job
    for part in name.split("."):
        of = of.get(part) if isinstance(of, dict) else {}
    return str(of) == value
