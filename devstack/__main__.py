"""``python -m devstack up|down|status|run|demo|clean``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

from devstack import process, waiting
from devstack.errors import DevstackError, TimedOutError
from devstack.settings import REPO, StackConfig, isolate_this_process
from devstack.stack import Stack, clean, describe, down, ready_file


def say(message: str) -> None:
    """Print a line at once."""
    print(message, flush=True)


def run(config: StackConfig) -> int:
    """Run a stack in the foreground until Ctrl-C, SIGTERM or the end of a component."""
    stack = Stack(config, say)
    began = time.monotonic()
    try:
        stack.claim()
        with stack.until_signal():
            if config.localcloud:
                stack.start_cloud()
                stack.seed()
            stack.start_airflow()
            say(f"ready after {time.monotonic() - began:.1f} s: Airflow {config.airflow_url}, AWS {config.cloud_url}")
            stack.stay()
    except KeyboardInterrupt:
        say("stopped")
    except DevstackError as error:
        say(f"error: {error}")
        return 1
    return 0


def up(config: StackConfig) -> int:
    """Start a stack in the background and wait until it is ready."""
    config.home.mkdir(parents=True, exist_ok=True)
    log = config.home / "stack.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "devstack", *sys.argv[1:-1], "run"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def settled() -> bool:
        return child.poll() is not None or ready_file(config).get("pid") == child.pid

    try:
        waiting.until(settled, what="the stack to start", timeout_s=600)
    except (KeyboardInterrupt, TimedOutError):
        child.terminate()
        child.wait()
        raise
    say(log.read_text().rstrip())
    if child.returncode is None:
        say(describe(config))
    return child.returncode or 0


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of all data (default .local)")
    parser.add_argument("--dags", type=Path, help="folder of DAG files (default dags)")
    parser.add_argument("--no-localcloud", action="store_true", help="Airflow alone")
    parser.add_argument("command", choices=("up", "down", "status", "run", "demo", "clean"))
    options = parser.parse_args()
    os.chdir(REPO)
    try:
        config = StackConfig.from_env()
    except ValueError as error:
        parser.error(str(error))
    config = dataclasses.replace(
        config,
        home=(options.home or config.home).resolve(),
        dags=(options.dags or config.dags).resolve(),
        localcloud=not options.no_localcloud,
    )
    isolate_this_process()
    match options.command:
        case "up":
            return up(config)
        case "run":
            return run(config)
        case "down":
            down(config, say)
        case "clean":
            down(config, say)
            clean(config)
        case "status":
            say(describe(config))
            recorded = process.read(config.pids / "stack.json")
            return 0 if recorded is not None and recorded.process is not None else 1
        case "demo":
            from devstack.demo import demo

            return demo(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
