"""The rules that the server in memory keeps. They are those of a server, with its words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..job import JobOptions

#: A field that breaks a rule, and the rule.
Broken = tuple[str, str]

OPTIONS = ("kind", "args", *JobOptions.__annotations__)
FILTERS = ("ids", "state", "kind", "queue", "parent", "labels", "q")
STATES = ("blocked", "scheduled", "available", "running", "completed", "failed", "cancelled")
#: The largest bound on waiting jobs.
MAX_WAITING = 1_000_000_000
#: The most units of a limit, and of a cost.
MAX_UNITS = 1_000_000
NAME_RULE = "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -, and not . or .."
MAX_ARGS_BYTES = 262_144
#: Args and outputs of more bytes are left out of lists.
SHORT_BYTES = 1_024


def job_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that a job breaks. The server knows more of them."""
    broken = [(field, "unknown field") for field in body if field not in OPTIONS]
    for field in ("kind", "queue", "id", "key", "parent"):
        name = body.get(field)
        if not is_name(name) and (name is not None or field == "kind"):
            broken.append((field, NAME_RULE))
    for field, least, most in (("priority", -100, 100), ("max_attempts", 1, 1_000)):
        number = body.get(field)
        if number is not None and not least <= number <= most:
            broken.append((field, f"must be from {least} to {most}"))
    if body.get("timeout") is not None and body["timeout"] <= 0:
        broken.append(("timeout", "must be more than zero"))
    broken += _prefer_rules(body)
    if body.get("delay") is not None and body.get("run_at") is not None:
        broken.append(("delay", "must not be given together with run_at"))
    broken += _limit_rules(body) + _webhook_rules(body)
    bytes_ = _bytes_of(body.get("args"))
    if bytes_ > MAX_ARGS_BYTES:
        broken.append(("args", f"must be at most {MAX_ARGS_BYTES} bytes of JSON, and has {bytes_}"))
    labels = (body.get("labels") or {}).items()
    broken += [(f"labels.{label}", "expected a string") for label, value in labels if not isinstance(value, str)]
    return broken


def _webhook_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that a webhook breaks."""
    webhook = body.get("webhook")
    if webhook is None:
        return []
    url, events = (webhook, None) if isinstance(webhook, str) else (webhook.get("url", ""), webhook.get("events"))
    broken: list[Broken] = []
    if not url.startswith(("http://", "https://")):
        broken.append(("webhook.url", "must begin with https:// or http://"))
    if events is not None and not events:
        broken.append(("webhook.events", "must hold completed, failed or cancelled"))
    return broken


def _limit_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that the limit keys and the cost of a job break."""
    keys, cost = body.get("limit_keys"), body.get("cost") or {}
    broken: list[Broken] = [(f"cost.{field}", "unknown field") for field in cost if field not in ("slots", "rate")]
    broken += units("cost.slots", cost.get("slots"), 1, MAX_UNITS) + units("cost.rate", cost.get("rate"), 0, MAX_UNITS)
    if keys is None:
        return broken
    if body.get("key") is not None:
        broken.append(("key", "must not be given together with limit_keys"))
    unfit = [n for n, key in enumerate(keys) if not is_name(key)]
    twice = [key for n, key in enumerate(keys) if key in keys[:n]]
    if len(keys) > 4:
        broken.append(("limit_keys", f"must be at most 4, and are {len(keys)}"))
    elif unfit:
        broken.append((f"limit_keys[{unfit[0]}]", NAME_RULE))
    elif twice:
        broken.append(("limit_keys", f"must not name {twice[0]} twice"))
    return broken


def _prefer_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that the workers break that a job prefers."""
    prefer = body.get("prefer")
    if prefer is None:
        return [("prefer_hard", "must go with prefer, the labels of the workers that may run it")] if body.get("prefer_hard") else []
    if not 1 <= len(prefer) <= 4:
        return [("prefer", f"must have 1 to 4 labels, and has {len(prefer)}")]
    unfit = [("prefer" if not is_name(label) else f"prefer.{label}", NAME_RULE) for label, value in prefer.items() if not (is_name(label) and is_name(value))]
    return unfit[:1]


def rate_rules(rate: Mapping[str, Any] | None) -> list[Broken]:
    """The rules that a rate breaks."""
    if rate is None:
        return []
    broken = units("rate.n", rate.get("n", 0), 1, MAX_UNITS) + units("rate.burst", rate.get("burst"), 1, MAX_UNITS)
    if not 0.001 <= rate.get("per", 0) <= 31 * 86_400:
        broken.append(("rate.per", "must be from 0.001 seconds to 31 days"))
    return broken


def rate_shown(rate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A rate as the API has it."""
    if rate is None:
        return None
    burst = rate.get("burst")
    return {"n": rate["n"], "per": float(rate["per"]), "burst": -(-rate["n"] // 10) if burst is None else burst}


def waiting_rules(given: Mapping[str, Any]) -> list[Broken]:
    """The rules that a bound on waiting jobs breaks."""
    broken = units("max_waiting", given.get("max_waiting"), 1, MAX_WAITING)
    if given.get("on_full") not in (None, "reject", "drop_oldest", "drop_newest"):
        broken.append(("on_full", f"unknown variant `{given['on_full']}`"))
    return broken


def units(field: str, given: int | None, least: int, most: int) -> list[Broken]:
    """The rule that a number of units breaks."""
    is_well = given is None or (isinstance(given, int) and least <= given <= most)
    return [] if is_well else [(field, f"must be from {least} to {most}")]


def is_name(name: object) -> bool:
    """True for what may be the name of a kind, a queue, a key or a job."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", name) is not None and name not in (".", "..")


def broken_rule(filter: Mapping[str, Any], place: str = "") -> Broken | None:
    """The rule that a filter breaks."""
    for name in filter:
        if name not in FILTERS:
            return place + name, "unknown field"
    states = filter.get("state") or []
    for state in [states] if isinstance(states, str) else states:
        if state not in STATES:
            return f"{place}state", f"no state is called '{state}': use {', '.join(STATES)}"
    return None


def page_rule(query: Mapping[str, str]) -> Broken | None:
    """The rule that a page of a list breaks."""
    limit = query.get("limit", "50")
    if not limit.isdigit() or not 1 <= int(limit) <= 100:
        return "limit", "must be a whole number from 1 to 100"
    return None if query.get("cursor", "0").isdigit() else ("cursor", "must be the `next` of an earlier page")


def shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job as a list shows it: what is large is left out."""
    cut: dict[str, Any] = {}
    for field in ("args", "output"):
        bytes_ = _bytes_of(job[field])
        if bytes_ > SHORT_BYTES:
            cut |= {field: None, f"{field}_cut": True, f"{field}_bytes": bytes_}
    return {**job, **cut}


def _bytes_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
