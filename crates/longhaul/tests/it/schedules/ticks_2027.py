#!/usr/bin/env python3
"""Writes ticks_2027.txt: the ticks of schedules in six zones in 2027, by looking at every minute of the year in Python's
zoneinfo. Five of the zones change their clocks in it, and one does not. Usage: ticks_2027.py >ticks_2027.txt"""

from calendar import monthrange
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Asia/Kolkata"]
BEGIN = datetime(2027, 1, 1, tzinfo=timezone.utc)
END = datetime(2028, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def minutes(zone):
    at = BEGIN
    while at < END:
        yield at, at.astimezone(zone).replace(tzinfo=None)
        at += MINUTE


def daily(year, hour, minute):
    """A time of day fires once a day: the first time that it comes, or right after the gap that leaves it out."""
    by_day = {}
    for at, local in year:
        by_day.setdefault(local.date(), []).append((at, local))
    for day, all in sorted(by_day.items()):
        wanted = datetime(day.year, day.month, day.day, hour, minute)
        # The first and the last day may be cut off by the year's bounds.
        if min(local for _, local in all) > wanted and all[0][0] == BEGIN:
            continue
        exact = [at for at, local in all if local == wanted]
        later = [at for at, local in all if local > wanted]
        if exact or later:
            yield min(exact or later)


def steps(year, step, days, month):
    """A step follows the clock: whenever it shows what fits."""
    return [at for at, local in year if local.minute % step == 0 and local.day in days and local.month == month]


def write(name, zone, cron, ticks):
    print(f"{name} {zone} {cron}")
    months = {}
    for tick in ticks:
        months.setdefault(tick.strftime("%Y-%m"), []).append(tick.strftime("%dT%H:%M"))
    for month, ticks in sorted(months.items()):
        print(f"  {month} {' '.join(ticks)}")


for name in ZONES:
    year = list(minutes(ZoneInfo(name)))
    city = name.split("/")[1].lower()
    changes = []
    for (_, before), (at, local) in zip(year, year[1:]):
        if local - before != MINUTE:
            changes.append((before + MINUTE, local))
    if not changes:
        write(f"{city}.daily", name, "30 2 * * *", daily(year, 2, 30))
    for n, (before, after) in enumerate(changes):
        # In the middle of what is left out, or comes twice.
        inside = min(before, after) + abs(after - before) / 2
        ticks = daily(year, inside.hour, inside.minute)
        write(f"{city}.daily.{n}", name, f"{inside.minute} {inside.hour} * * *", ticks)
        days = range(max(1, before.day - 1), min(before.day + 1, monthrange(2027, before.month)[1]) + 1)
        cron = f"*/15 * {days[0]}-{days[-1]} {before.month} *"
        write(f"{city}.steps.{n}", name, cron, steps(year, 15, days, before.month))
