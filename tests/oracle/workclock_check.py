"""Checks Docket's business-time arithmetic against workclock, a separate implementation from PyPI.

Reads the cases that `docket-sla-cases` prints on standard input and exits with 1 at the first difference. Run it with
tests/oracle/run, which installs workclock in a scratch environment.

Where the words differ, the case is put into workclock's: an interval that ends at 24:00 ends at 00:00 of the next day.
"""

import json
import sys
from collections import Counter
from datetime import date, datetime, time, timedelta, timezone

import tzdata
from workclock import Holidays, NoWorkingTimeError, Schedule, WorkDay

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SCHEDULES = {}


def schedule(calendar):
    key = json.dumps(calendar)
    if key not in SCHEDULES:
        SCHEDULES.clear()
        rules = []
        for day, intervals in enumerate(calendar["week"]):
            for interval in intervals:
                start, end = (time(int(t[:2]) % 24, int(t[3:])) for t in interval.split("-"))
                rules.append(WorkDay(start, end, days=[day]))
        holidays = [date.fromisoformat(day) for day in calendar["holidays"]]
        if holidays:
            rules.append(Holidays(holidays))
        SCHEDULES[key] = Schedule(rules, time_zone=calendar["zone"])
    return SCHEDULES[key]


def at(millis):
    return EPOCH + timedelta(milliseconds=millis)


def millis(instant):
    return round((instant - EPOCH) / timedelta(milliseconds=1))


def span(delta):
    return round(delta / timedelta(milliseconds=1))


def due(work, start, target):
    return millis(work.add(at(start), timedelta(milliseconds=target)))


def due_with_pauses(work, start, target, pauses):
    """The target is used up in the stretches between the pauses; a deadline that passes before a pause stays.

    A clock that is stopped in the instant of its deadline is in time, one that is stopped in the evening after it is not:
    nothing is left when it goes on, from the next
    instant that counts.
    """
    left = target
    for stop, go in pauses:
        used = span(work.between(at(start), at(stop)))
        if used > left or left and used == left and due(work, start, left) < stop:
            break
        left -= used
        start = go
    return due(work, start, left) if left else millis(work.next_period(at(start))[0])


def main():
    zones, cases, paused = Counter(), 0, 0
    for line in sys.stdin:
        case = json.loads(line)
        if case["tzdb"] != tzdata.IANA_VERSION:
            sys.exit(f"zone data: docket has {case['tzdb']}, tzdata {tzdata.IANA_VERSION}: install the same in tests/oracle/run")
        work = schedule(case["calendar"])
        expected = {"elapsed": span(work.between(at(case["start"]), at(case["until"])))}
        try:
            expected["due"] = due(work, case["start"], case["target"])
            expected["due_with_pauses"] = due_with_pauses(work, case["start"], case["target"], case["pauses"])
        except NoWorkingTimeError as error:
            sys.exit(f"workclock gives up on {line}: {error}")
        for name, value in expected.items():
            if case[name] != value:
                sys.exit(f"{name}: docket {case[name]}, workclock {value}, of {line}")
        zones[case["calendar"]["zone"]] += 1
        cases += 1
        paused += bool(case["pauses"])
    print(f"{cases} cases agree ({paused} with pauses), in {len(zones)} zones: {dict(sorted(zones.items()))}")


main()
