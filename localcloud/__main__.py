"""Command line: ``python -m localcloud up|down|status|seed|reset|calls|faults``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud import process
from localcloud.client import AdminError, NotRunningError, admin_client, admin_operation
from localcloud.config import CloudConfig, ConfigError
from localcloud.mariadb.errors import EngineError, MariaDBNotFoundError
from localcloud.names import (
    ACCOUNT_NAMES,
)
from localcloud.recorder import read_calls
from localcloud.seed.accounts import seed
from localcloud.seed.clusters import SeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Fields of localcloud.faults.Rule, which this command does not import: it would wait for botocore.
FAULT_FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("service", "action", "account", "match", "resource", "effect", "code", "message", "becomes", "odd"), str
    ),
    **dict.fromkeys(("nth", "after", "times", "status", "cut_bytes"), int),
    **dict.fromkeys(("hang_s", "delay_s"), float),
}


def up(config: CloudConfig, options: argparse.Namespace) -> int:
    """Start the server; without ``--foreground`` detached."""
    pid = process.running_pid(config)
    if pid is not None:
        print(f"localcloud already runs: {config.endpoint}, process {pid}, home {config.home}")
        return 0
    if options.foreground:
        # Only here: moto takes a second to import, and the other commands do without.
        from localcloud.server import serve

        config = replace(config, keep=config.keep or options.keep)
        return 0 if serve(config, seed if options.seed else None) else 1
    print(f"starting localcloud in {config.home}", flush=True)
    if options.keep and not config.has_state:
        print("there is no state to keep; it starts empty")
    began = time.monotonic()
    kept = (config.keep or options.keep) and config.has_state
    pid = process.start(config, keep=kept)
    print(f"localcloud answers on {config.endpoint} after {time.monotonic() - began:.1f} s, process {pid}")
    if options.seed:
        return run_seed(config, options)
    print("its accounts are as they were" if kept else "its accounts are empty; python -m localcloud seed fills them")
    return 0


def down(config: CloudConfig, _options: argparse.Namespace) -> int:
    """End the server and every database."""
    stopped = process.stop(config)
    if stopped.orphans:
        print(f"ended {stopped.orphans} database servers that a crash had left")
    if stopped.pid is None:
        print(f"localcloud does not run in {config.home}")
    elif stopped.killed:
        print(f"localcloud (process {stopped.pid}) did not end in time and was killed; {config.log_file} may tell why")
    else:
        print(f"localcloud (process {stopped.pid}) has ended; up starts empty, up --keep with its state")
    return 0


def reset(config: CloudConfig, options: argparse.Namespace) -> int:
    """Remove everything; start again if it ran."""
    was_running = process.running_pid(config) is not None
    down(config, options)
    process.wipe(config)
    print(f"removed {config.home}")
    return up(config, argparse.Namespace(foreground=False, keep=False, seed=False)) if was_running else 0


def run_seed(config: CloudConfig, _options: argparse.Namespace) -> int:
    """Fill accounts and databases."""
    _require_running(config)
    began = time.monotonic()
    seed(config, say=lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True))
    return 0


def status(config: CloudConfig, _options: argparse.Namespace) -> int:
    """Show accounts and clusters."""
    pid = process.running_pid(config)
    if pid is None:
        print(f"localcloud does not run in {config.home}; python -m localcloud up starts it")
        return 1
    print(f"localcloud runs: {config.endpoint}, process {pid}, home {config.home}, databases on port {config.db_port}")
    engines = {
        (engine["account"], engine["cluster"]): engine for engine in admin_operation("engines", config)["engines"]
    }
    for account, name in ACCOUNT_NAMES.items():
        print(f"{account} {name}")
        rds = admin_client(account, "rds", config)
        instances = rds.describe_db_instances()["DBInstances"]
        for cluster in rds.describe_db_clusters()["DBClusters"]:
            where = f"{cluster['Endpoint']}:{cluster['Port']}"
            server = _server(engines.get((account, cluster["DBClusterIdentifier"])))
            print(f"  {cluster['DBClusterIdentifier']:<32} {cluster['Status']:<12} {where} {server}")
            for instance in instances:
                if instance.get("DBClusterIdentifier") == cluster["DBClusterIdentifier"]:
                    address = instance.get("Endpoint", {}).get("Address", "no endpoint yet")
                    print(f"    {instance['DBInstanceIdentifier']:<30} {instance['DBInstanceStatus']:<12} {address}")
    return 0


def _server(engine: dict[str, Any] | None) -> str:
    if engine is None or engine["pid"] is None:
        return "no server"
    again = f", started again {engine['restarts']} times" if engine["restarts"] else ""
    return f"server {engine['pid']}{again}"


def calls(config: CloudConfig, options: argparse.Namespace) -> int:
    """Print the record of AWS calls."""
    for call in read_calls(config.calls_file, since=options.since, mutating=options.mutating):
        print(json.dumps(call) if options.json else _line(call))
    return 0


def faults(config: CloudConfig, options: argparse.Namespace) -> int:
    """Add, list or remove fault rules."""
    _require_running(config)
    if options.what == "add":
        rule = {name: value for name, value in vars(options).items() if name in FAULT_FIELDS and value is not None}
        print(f"rule {admin_operation('faults-add', config, **rule)['rule']}")
    elif options.what == "clear":
        for rule_id in options.ids:
            admin_operation("faults-remove", config, rule=rule_id)
        if not options.ids:
            admin_operation("faults-clear", config)
    else:
        listed = admin_operation("faults-list", config)
        for rule_id, rule in listed["rules"].items():
            known = {name: value for name, value in rule.items() if value not in ("", 0) or name in {"times", "hits"}}
            print(f"{rule_id:>4}  {' '.join(f'{name}={value}' for name, value in known.items())}")
        if listed["file_problem"]:
            print(f"the file was not taken: {listed['file_problem']}")
    return 0


def _line(call: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(call["time"], UTC).strftime("%H:%M:%S.%f")[:-3]
    outcome = call["error"] or call["status"]
    parameters = " ".join(f"{name}={value}" for name, value in call["parameters"].items())
    who = (call["caller"] or "unknown caller").rpartition(":")[2]
    return (
        f"{when} {call['duration_s'] * 1000:7.1f} ms {call['account'] or '-':<12} {call['service']}:{call['action']}"
        f" {outcome} by {who} {parameters[:200]}"
    )


def _require_running(config: CloudConfig) -> None:
    if process.running_pid(config) is None:
        raise NotRunningError(f"localcloud does not run in {config.home}; run python -m localcloud up")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    root = argparse.ArgumentParser(
        prog="python -m localcloud", description="AWS on one machine, for Aurora operations."
    )
    commands = root.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start the server")
    start.add_argument("--foreground", action="store_true", help="in this terminal, until Ctrl-C")
    start.add_argument("--seed", action="store_true", help="fill accounts and databases as soon as it answers")
    start.add_argument("--keep", action="store_true", help="with the state that the last server left")
    start.set_defaults(run=up)
    commands.add_parser("down", help="end the server and every database").set_defaults(run=down)
    commands.add_parser("status", help="accounts, clusters, endpoints").set_defaults(run=status)
    commands.add_parser("seed", help="fill accounts and databases (harmless if they are)").set_defaults(run=run_seed)
    commands.add_parser("reset", help="remove all state; starts again, empty, if it ran").set_defaults(run=reset)
    record = commands.add_parser("calls", help="record of AWS calls since the last start")
    record.add_argument("--mutating", action="store_true", help="only calls that may change something")
    record.add_argument("--since", type=float, default=0, metavar="EPOCH", help="only calls from this second on")
    record.add_argument("--json", action="store_true", help="JSON lines")
    record.set_defaults(run=calls)
    _add_faults(commands.add_parser("faults", help="let calls fail by rule"))
    return root


def _add_faults(command: argparse.ArgumentParser) -> None:
    """Give the command its subcommands; the server judges the values."""
    command.set_defaults(run=faults)
    what = command.add_subparsers(dest="what", required=True)
    add = what.add_parser("add", help="add a rule; localcloud/README.md explains the fields")
    for name, kind in FAULT_FIELDS.items():
        add.add_argument(
            f"--{name.replace('_', '-')}", dest=name, type=kind, required=name in {"service", "action"}, metavar="VALUE"
        )
    what.add_parser("list", help="the rules with their hits")
    clear = what.add_parser("clear", help="remove rules; all without an id")
    clear.add_argument("ids", nargs="*", type=int, metavar="ID")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 is success."""
    options = parser().parse_args(arguments)
    try:
        result: int = options.run(CloudConfig.from_env(), options)
    except (
        ConfigError,
        process.PortInUseError,
        process.AlreadyRunningError,
        NotRunningError,
        AdminError,
        SeedError,
        MariaDBNotFoundError,
        EngineError,
        process.StartError,
    ) as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return result


if __name__ == "__main__":
    sys.exit(main())
