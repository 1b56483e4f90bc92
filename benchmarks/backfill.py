"""``make bench-backfill``: a quarter of daily snapshots of three databases, exported with one command.

One Airflow with all its services against localcloud. The account's limit is five export tasks, two of which somebody else keeps;
all of Airflow is killed twice on the way. Durations are those of localcloud, some seconds; what the queue adds is told as it is,
and as it would be with the durations that AWS's user guide shows.

``BENCH_DAYS`` (92) days; ``BENCH_EXPORT_S`` (12) seconds that an export takes.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

from benchmarks.exports import running
from devstack.backfill import DATABASES, Backfill, gaps, ideal_s, most_at_once, repeated, settle
from devstack.errors import DevstackError
from devstack.report import table
from devstack.settings import isolate_this_process
from devstack.snapshot_exports import provide
from localcloud.client import admin_client, admin_operation
from localcloud.config import CloudConfig

DAYS, EXPORT_S = int(os.environ.get("BENCH_DAYS", "92")), float(os.environ.get("BENCH_EXPORT_S", "12"))
LIMIT, OTHERS, KILLS = 5, 2, 2
UNITS = 3  # of emulated time that an export takes
QUICK_POLL_S = 2.0  # sooner Airflow takes a task that goes on for one that it has lost, where processors are busy
LONG_S, POLL_S = 39 * 60, 20.0  # the user guide's sample of 263 GB; how often a turn is looked for on AWS
WITHIN_S = 3 * 3600


def main() -> int:
    """Measure and print; 0 if each snapshot was exported once, within the limit."""
    isolate_this_process()
    try:
        with running(
            "bench-backfill", "snapshot_export.py", settle, wait_s=EXPORT_S / UNITS, poll_s=QUICK_POLL_S, seed_rows=400
        ) as stack:
            config = CloudConfig.from_env(stack.config.cloud_env())

            def aws(account: str, service: str) -> Any:
                return admin_client(account, service, config)

            admin_operation("iam-enforce", config, on=False)  # the queue is measured, rights are not
            provide(aws)
            backfill = Backfill(stack, aws, DAYS)
            backfill.prepare()
            backfill.take_slots(OTHERS)
            backfill.create()
            print(f"backfill of {DAYS} days asked for", flush=True)
            backfill.wait(KILLS, WITHIN_S)
            took_s = time.time() - backfill.began
            spans, tasks = backfill.spans(), backfill.tasks()
    except DevstackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    slots, wanted = LIMIT - OTHERS, DAYS * len(DATABASES)
    ideal, busy_s = ideal_s(spans, slots), max(span.end for span in spans) - min(span.begin for span in spans)
    empty = list(gaps(spans, slots))
    each = statistics.median(span.end - span.begin for span in spans)
    rows = [
        ("snapshots, and tasks that exported them", f"{wanted}, {len(tasks)}"),
        ("snapshots exported twice", f"{len(repeated(tasks))}"),
        (f"tasks at a time, at most ({OTHERS} of {LIMIT} are somebody else's)", f"{most_at_once(spans)}"),
        ("an export, median", f"{each:.1f} s"),
        ("from the command to the end of the last run", f"{took_s:.0f} s"),
        ("from the first task to the end of the last", f"{busy_s:.0f} s"),
        (f"the same tasks, a slot never empty ({slots} slots)", f"{ideal:.0f} s"),
        ("what the queue added", f"{busy_s - ideal:.0f} s, {(busy_s / ideal - 1) * 100:.1f} %"),
        ("a slot stood empty, median", f"{statistics.median(empty):.2f} s"),
        (
            f"the same where an export takes {LONG_S // 60} min and a turn is looked for every {POLL_S:.0f} s",
            f"{(statistics.median(empty) + POLL_S / 2) / LONG_S * 100:.2f} %",
        ),
        ("a year of three databases then, at five slots", f"{365 * 3 / LIMIT * (LONG_S + POLL_S) / 86400:.1f} days"),
    ]
    print()
    for line in table(("what", "measured"), rows):
        print(line)
    good = len(tasks) == wanted and not repeated(tasks) and most_at_once(spans) <= slots
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
