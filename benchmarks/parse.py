"""``make bench-parse``: what reading the DAG files costs Airflow, against a file with one empty DAG.

Three ways to read: *cold*, the first in a process that has imported Airflow alone; *warm*, again in the same process; both in
seconds of the processor, which a busy machine hardly changes. *dag-processor* is what that process itself records, by the clock,
with the plugin loaded, as in production. The rows take turns within each round; the best of the rounds counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from devstack.report import table
from devstack.settings import FOREIGN, REPO

ROUNDS = 3
ENVIRONMENTS = (1, 10, 50)
TOP = 12
EMPTY = '''"""The floor."""
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG(dag_id="empty", schedule=None):
    EmptyOperator(task_id="nothing")
'''
READ = """
import json, sys, time
import airflow
from airflow.dag_processing.dagbag import DagBag

def read():
    began = time.process_time()
    bag = DagBag(sys.argv[1])
    assert not bag.import_errors, bag.import_errors
    return time.process_time() - began, bag

cold, bag = read()
warm = min(read()[0] for _ in range(3))
print(json.dumps({"cold": cold, "warm": warm, "dags": len(bag.dags), "tasks": sum(len(dag.tasks) for dag in bag.dags.values())}))
"""
IMPORT_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")


@dataclass
class Row:
    """One thing to read.

    :param name: what it is.
    :param dags: folder of the DAG file.
    :param include: its ``include`` folder.
    :param home: AIRFLOW_HOME for the dag-processor.
    """

    name: str
    dags: Path
    include: Path
    home: Path
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    processor: float | None = None
    count: tuple[int, int] = (0, 0)

    def env(self) -> dict[str, str]:
        """Return the environment of Airflow's process."""
        keep = {key: value for key, value in os.environ.items() if not key.startswith((*FOREIGN, "AURORA_OPS_"))}
        return keep | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AURORA_OPS_INCLUDE": str(self.include),
        }

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in this row's environment to a good end."""
        return subprocess.run(
            [sys.executable, *arguments], env=self.env(), cwd=self.home, check=True, capture_output=True, text=True
        )

    def read(self) -> None:
        """Read once cold and several times warm."""
        answer = json.loads(self.python("-c", READ, str(self.dags)).stdout.splitlines()[-1])
        self.cold.append(answer["cold"])
        self.warm.append(answer["warm"])
        self.count = (answer["dags"], answer["tasks"])

    def process(self) -> None:
        """Let Airflow's dag-processor read it, and take the time that it wrote down."""
        self.python("-m", "airflow", "dag-processor", "--num-runs", "1")
        with sqlite3.connect(self.home / "airflow.db") as database:
            ((self.processor,),) = database.execute("select max(last_parse_duration) from dag").fetchall()


def prepare(root: Path) -> list[Row]:
    """Lay out the floor, each DAG file alone, and one file with many environments."""
    first = root / "home"
    first.mkdir()
    empty = root / "empty"
    empty.mkdir()
    (empty / "empty.py").write_text(EMPTY)
    rows = [Row("empty DAG", empty, REPO / "include", first)]
    rows[0].python("-m", "airflow", "db", "migrate")
    files = sorted(path for path in (REPO / "dags").rglob("*.py"))
    alone = [(path.relative_to(REPO / "dags").as_posix(), path, REPO / "include") for path in files]
    many = [
        (f"refresh.py, {count} environments", REPO / "dags" / "refresh" / "refresh.py", environments(root, count))
        for count in ENVIRONMENTS
        if count > 1
    ]
    for number, (name, path, include) in enumerate([*alone, *many]):
        dags, home = root / f"dags{number}", root / f"home{number}"
        dags.mkdir()
        shutil.copy(path, dags)
        shutil.copytree(first, home)
        rows.append(Row(name, dags, include, home))
    return rows


def environments(root: Path, count: int) -> Path:
    """Make an ``include`` with this many environments and return it."""
    include = root / f"include{count}"
    shutil.copytree(REPO / "include", include)
    content = yaml.safe_load((REPO / "include" / "config" / "staging.yaml").read_text())
    for number in range(1, count):
        name = f"staging{number}"
        (include / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content | {"environment": name}))
    return include


def imports(row: Row) -> Mapping[str, float]:
    """Return the seconds that each package's own modules take when a file is read cold, without what Airflow itself needs."""
    done = row.python(
        "-X", "importtime", "-c", READ.replace("cold, bag", "sys.stderr.write('READ')\ncold, bag", 1), str(row.dags)
    )
    seconds: dict[str, float] = defaultdict(float)
    for micro, module in IMPORT_LINE.findall(done.stderr.partition("READ")[2]):
        parts = module.split(".")
        seconds[".".join(parts[: 3 if parts[0] == "airflow" else 1])] += int(micro) / 1e6
    return seconds


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as folder:
        rows = prepare(Path(folder))
        for turn in range(ROUNDS):
            print(f"round {turn + 1} of {ROUNDS}", flush=True)
            for row in rows:
                row.read()
        print("dag-processor", flush=True)
        for row in rows:
            row.process()
        floor = rows[0]
        print()
        for line in table(
            ("file", "DAGs", "tasks", "cold CPU s", "warm CPU s", "dag-processor s", "warm ms per DAG", "DAG / floor"),
            [
                (
                    row.name,
                    *row.count,
                    f"{min(row.cold):.3f}",
                    f"{min(row.warm):.3f}",
                    f"{row.processor or 0:.3f}",
                    f"{min(row.warm) / row.count[0] * 1000:.1f}",
                    f"{min(row.warm) / row.count[0] / min(floor.warm):.1f}",
                )
                for row in rows
            ],
        ):
            print(line)
        print(f"\nimports of {rows[1].name} by package, Airflow's own aside")
        ranked = sorted(imports(rows[1]).items(), key=lambda item: -item[1])
        for line in table(("package", "seconds"), [(name, f"{took:.3f}") for name, took in ranked[:TOP]]):
            print(line)
        print(f"  all of them: {sum(took for _, took in ranked):.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
