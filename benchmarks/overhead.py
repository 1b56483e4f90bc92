"""``make bench-overhead``: what a task and a deferral of our operators cost, against tasks that do nothing.

Five chains run one after the other in one Airflow, against localcloud, in turns; the best of the turns counts. The floor of a
task is a bare operator: Airflow ends an ``EmptyOperator`` without running it, which the first row shows. The floor of a
deferral is a trigger that fires at once. Ours make the AWS calls that they make in production: a look at a snapshot that
is gone; a snapshot taken and waited for.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, replace

from benchmarks.dags import CHAINS, DEFERRALS, TASKS, write
from devstack.airflow_api import Run
from devstack.errors import DevstackError
from devstack.report import table
from devstack.settings import REPO, StackConfig, free_port, isolate_this_process
from devstack.stack import Stack, clean

TURNS = 2
WAIT_S = 0.1
SETTINGS = (
    "CORE__EXECUTOR",
    "CORE__PARALLELISM",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
    "WORKERS__MIN_HEARTBEAT_INTERVAL",
)
HOME = REPO / ".local" / "bench"


@dataclass(frozen=True)
class Measured:
    """The best run of a chain.

    :param run_s: seconds from its start to its end.
    :param aws_s: seconds of it that AWS was waited for.
    :param deferrals: deferrals of all its tasks.
    """

    run_s: float
    aws_s: float
    deferrals: int

    def each_s(self, count: int) -> float:
        """Seconds per task, or per deferral, without AWS's own."""
        return (self.run_s - self.aws_s) / count


def measure(stack: Stack, chain: str, turn: int) -> Measured:
    """Run one chain and say what it took.

    :raises DevstackError: it did not succeed.
    """
    dag_id = f"bench_{chain}"
    stack.api.wait_for_dag(dag_id)
    stack.api.set_paused(dag_id, paused=False)
    run = stack.api.wait_for_run(stack.api.trigger(dag_id, {"turn": turn}))
    if run.state != "success" or run.started is None or run.ended is None:
        raise DevstackError(f"{dag_id} ended as {run.state}; logs in {stack.config.logs}")
    waited, deferrals = waits(stack, run) if chain.startswith("ours") else (0.0, DEFERRALS * (chain == "deferral"))
    return Measured(run.ended - run.started, waited, deferrals)


def waits(stack: Stack, run: Run) -> tuple[float, int]:
    """Return the seconds that AWS needed, of the waits of a run, and how many deferrals there were.

    A wait that our operator records ends when its trigger looks, so it includes what Airflow takes to start the trigger. What
    AWS needs is known: each snapshot takes one unit of emulated time.
    """
    timings = stack.api.xcoms(run, "timing").values()
    deferrals = sum(timing["deferrals"] for timing in timings)
    return WAIT_S * deferrals, deferrals


def rows(best: dict[str, Measured]) -> list[tuple[str, int, str, str, str]]:
    """Lay out the chains: what each costs, and how many times its floor."""
    floors = {"ours": "bare", "ours_deferral": "deferral"}
    laid_out = []
    for chain, title in CHAINS.items():
        count = DEFERRALS if chain.endswith("deferral") else TASKS
        each = best[chain].each_s(count)
        floor = best[floors[chain]].each_s(count) if chain in floors else None
        ratio = f"{each / floor:.2f}" if floor else "-"
        laid_out.append((title, count, f"{best[chain].run_s:.2f}", f"{each:.3f}", ratio))
    return laid_out


def main() -> int:
    """Measure and print; 0 if every chain ran and deferred as often as it should."""
    isolate_this_process()
    config = replace(
        StackConfig.from_env({}),
        home=HOME,
        dags=HOME / "dags",
        airflow_port=free_port(),
        cloud_port=free_port(),
        wait_s=WAIT_S,
        poll_s=0.05,
        seed_rows=1000,
    )
    clean(config)  # also Airflow's database of a run before, which root has in another folder
    shutil.rmtree(HOME, ignore_errors=True)
    write(HOME / "dags")
    stack = Stack(config, lambda line: print(line, flush=True))
    best: dict[str, Measured] = {}
    try:
        stack.claim()
        with stack.until_signal():
            began = time.monotonic()
            stack.start_seeded()
            print(f"stack ready after {time.monotonic() - began:.0f} s", flush=True)
            for turn in range(TURNS):
                for chain in CHAINS:
                    seen = measure(stack, chain, turn)
                    print(f"  turn {turn + 1} {CHAINS[chain]}: {seen.run_s:.2f} s", flush=True)
                    if chain not in best or seen.run_s < best[chain].run_s:
                        best[chain] = seen
            used = config.airflow_env("")
    except DevstackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print()
    for line in table(("chain", "count", "run s", "s each", "times its floor"), rows(best)):
        print(line)
    hop = {chain: (best[chain].each_s(DEFERRALS) - best[bare].each_s(TASKS)) for chain, bare in HOPS.items()}
    print(f"\n  a deferral alone: {hop['deferral']:.2f} s bare, {hop['ours_deferral']:.2f} s ours")
    print(
        "  "
        + ", ".join(f"{name.lower()}={used[f'AIRFLOW__{name}']}" for name in SETTINGS)
        + f", poll {config.poll_s} s"
    )
    return 0 if best["ours_deferral"].deferrals == DEFERRALS else 1


HOPS = {"deferral": "bare", "ours_deferral": "ours"}
"""Chains that defer, and what a task of theirs costs without."""

if __name__ == "__main__":
    sys.exit(main())
