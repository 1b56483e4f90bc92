"""SQL scripts of people, run statement by statement, with a ledger beside the data of what has run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import script_ledger, sql_guard, sql_script
from aurora_ops.core.errors import (
    AuroraOpsError,
    ConfigError,
    MissingError,
    PermanentError,
    SafetyError,
    StateError,
    TransientError,
    report,
)
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.script_ledger import Entry
from aurora_ops.core.sql_script import Statement
from aurora_ops.core.tables import quoted
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.mysql import MySqlHook, was_lost
from aurora_ops.hooks.rds import Cluster
from aurora_ops.hooks.sql_functions import SqlFunctionsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.sql import SqlOperator

SCHEMA = "aurora_ops_scripts"
_LEDGER = f"{quoted(SCHEMA)}.ledger"
_LARGEST_BYTES = 64 * 1024 * 1024
_MOST_REFUSALS = 20


@dataclass(frozen=True)
class Script:
    """A script that can be run.

    :param name: for people.
    :param identity: what the ledger knows it by; database included.
    :param statements: what it says.
    """

    name: str
    identity: str
    statements: list[Statement]


class Ledger:
    """What has run on a server; its connection is its own, so that no transaction of a script takes its notes back.

    :param sql: connection.
    :param run_key: the present run.
    """

    def __init__(self, sql: MySqlHook, run_key: str) -> None:
        self.sql = sql
        self.run_key = run_key

    def prepare(self) -> None:
        """Make schema and table where they are not there."""
        self.sql.run(f"CREATE DATABASE IF NOT EXISTS {quoted(SCHEMA)}", what="ledger")
        self.sql.run(
            f"CREATE TABLE IF NOT EXISTS {_LEDGER} (id CHAR(64) NOT NULL PRIMARY KEY, script TEXT NOT NULL, "  # noqa: S608
            "checksum CHAR(64) NOT NULL, state VARCHAR(10) NOT NULL, done INT NOT NULL, begun INT NOT NULL, "
            "run_key VARCHAR(256) NOT NULL, changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP "
            "ON UPDATE CURRENT_TIMESTAMP) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            what="ledger",
        )

    def find(self, script: Script) -> Entry | None:
        """Look a script up."""
        if not self.sql.rows(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'ledger'",
            (SCHEMA,),
            what="ledger",
        ):
            return None
        found = self.sql.rows(
            f"SELECT checksum, state, done, begun, run_key FROM {_LEDGER} WHERE id = %s",  # noqa: S608
            (_id(script),),
            what="ledger",
        )
        return Entry(*found[0]) if found else None

    def note(self, script: Script, checksum: str, state: str, *, done: int, begun: int = 0) -> None:
        """Write down how far a script has come.

        :param checksum: of its first ``done`` statements.
        :param state: ``running``, ``failed`` or ``done``.
        :param done: statements whose effect is permanent.
        :param begun: number of the statement that is about to run.
        """
        self.sql.run(
            f"INSERT INTO {_LEDGER} (id, script, checksum, state, done, begun, run_key) "  # noqa: S608
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE checksum = VALUES(checksum), "
            "state = VALUES(state), done = VALUES(done), begun = VALUES(begun), run_key = VALUES(run_key)",
            (_id(script), script.identity, checksum, state, done, begun, self.run_key),
            what="ledger",
        )


def _id(script: Script) -> str:
    return hashlib.sha256(script.identity.encode()).hexdigest()


class ScriptOperator(SqlOperator):
    """What the operators that run people's SQL share: guards, ledger, statement by statement.

    :param database: schema that the statements are for (templated).
    :param allow_destructive: whether statements may drop, empty, or change every row (templated).
    :param run_key: names the run (templated).
    """

    template_fields: Sequence[str] = (*SqlOperator.template_fields, "database", "allow_destructive", "run_key")

    def __init__(self, *, database: str, run_key: str, allow_destructive: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.run_key = run_key
        self.allow_destructive = allow_destructive

    def require_allowed(self, name: str, statements: Sequence[Statement]) -> None:
        """Refuse a script that may not be run, before any of it is.

        :raises SafetyError: names each line.
        """
        refused: list[PermanentError] = [
            SafetyError(f"{name}:{statement.line}: {sql_guard.kind(statement)}: {why}")
            for statement in statements
            if (why := sql_guard.refusal(statement, allow_destructive=bool(self.allow_destructive)))
        ]
        report(refused[:_MOST_REFUSALS])

    def require_database(self, sql: MySqlHook) -> None:
        """Make sure that the database is there.

        :raises ConfigError: it is not; those that are are named.
        """
        known = [name for (name,) in sql.rows("SHOW DATABASES", what="list databases")]
        if self.database not in known:
            raise ConfigError("database", self.database, f"databases of {self.cluster_id} are {known}")

    def run_script(self, ledger: Ledger, cluster: Cluster, script: Script, first: int) -> int:
        """Run a script from one of its statements on; rows affected.

        Where it is resumed, what only prepares the connection (``USE``, ``SET``) is repeated first.

        :param first: number of the statement to begin with, counted from 1.
        :raises AuroraOpsError: a statement failed; file, line and statement are named, never a value.
        """
        checksums, safe, affected = script_ledger.chain(script.statements), first - 1, 0
        total = len(script.statements)
        with self.connect(self.master(cluster)) as sql:
            sql.run(f"USE {quoted(self.database)}", what="choose database")
            for statement in script.statements[:safe]:
                if sql_guard.sets_session(statement):
                    sql.drain(statement.text, what=f"{script.name}:{statement.line}")
            for number, statement in enumerate(script.statements[safe:], first):
                if safe == number - 1:
                    ledger.note(script, checksums[safe], "running", done=safe, begun=number)
                try:
                    affected += sql.drain(statement.text, what=f"{script.name}:{statement.line}")
                except AuroraOpsError as exc:
                    raise self._stopped(ledger, script, checksums, safe, number, exc) from None
                if not sql.in_transaction:
                    safe = number
            if safe < total:
                ledger.note(script, checksums[safe], "failed", done=safe)
                raise StateError(
                    f"{script.name}: it ends within a transaction, which was rolled back to statement {safe}; add COMMIT"
                )
        ledger.note(script, checksums[total], "done", done=total)
        self.log.info("%s: statements %d to %d have run, %d rows", script.name, first, total, affected)
        return affected

    def _stopped(
        self,
        ledger: Ledger,
        script: Script,
        checksums: Sequence[str],
        safe: int,
        number: int,
        exc: AuroraOpsError,
    ) -> AuroraOpsError:
        """Write down where a script stopped, and say it."""
        statement = script.statements[number - 1]
        text = (
            f"{exc}\n{script.name}, line {statement.line}: statement {number} of {len(script.statements)} "
            f"({sql_guard.kind(statement)}) failed; the first {safe} have taken effect"
        )
        if was_lost(exc):
            return StateError(f"{text}, and it is not known whether this one did: look before it is run again")
        ledger.note(script, checksums[safe], "failed", done=safe)
        kind = TransientError if isinstance(exc, TransientError) else StateError
        return kind(f"{text}. Mend it, and go on with mode resume")


class RunScriptsOperator(ScriptOperator):
    """Run the SQL scripts below a prefix of a bucket, in the order of their keys, each at most once.

    All are read, split and checked before the first statement is run. A table beside the data (``aurora_ops_scripts.ledger``)
    knows what has run; a try that goes on after another begins where that stopped. The first error ends it. Memory stays at the
    largest script, which may have 64 MiB.

    :param bucket: bucket of the same account (templated).
    :param prefix: key prefix (templated).
    :param pattern: shell pattern of the part of a key behind the prefix (templated).
    :param mode: ``new``, ``resume`` or ``all``; see ``core.script_ledger`` (templated).
    :return: ``{"files": [{"key", "statements", "rows", "outcome"}], "ran", "skipped"}``; ``outcome`` is ``ran``, ``resumed`` or
        ``skipped``.
    :raises ConfigError: there is no script, one cannot be read, or there is no such database.
    :raises SafetyError: the cluster is not tagged ``refresh=true``, or a statement may not be run.
    :raises StateError: a statement failed, or a person must decide about a script that has stopped before.
    """

    permissions: ClassVar[tuple[str, ...]] = (*SqlOperator.permissions, "s3:ListBucket", "s3:GetObject")
    template_fields: Sequence[str] = (*ScriptOperator.template_fields, "bucket", "prefix", "pattern", "mode")

    def __init__(self, *, bucket: str, prefix: str, pattern: str = "*.sql", mode: str = "new", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.prefix = prefix
        self.pattern = pattern
        self.mode = mode

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Check all, then run one after another."""
        require_refreshable(self.cluster_id, cluster.tags)
        keys = self._keys()
        files: list[dict[str, Any]] = []
        with self.connect(self.master(cluster)) as sql:
            self.require_database(sql)
            ledger = Ledger(sql, self.run_key)
            firsts = {key: self._first(ledger, self._read(key)) for key in keys}
            ledger.prepare()
            for key, first in firsts.items():
                files.append(self._done(self._read(key), key, first, ledger, cluster))
        ran = [one for one in files if one["outcome"] != "skipped"]
        return {"files": files, "ran": len(ran), "skipped": len(files) - len(ran)}

    def _first(self, ledger: Ledger, script: Script) -> int | None:
        """Check a script, and decide with which statement it begins."""
        self.require_allowed(script.name, script.statements)
        checksums = script_ledger.chain(script.statements)
        return script_ledger.first_statement(
            script.name, ledger.find(script), checksums, mode=self.mode, run_key=self.run_key
        )

    def _done(self, script: Script, key: str, first: int | None, ledger: Ledger, cluster: Cluster) -> dict[str, Any]:
        about = {"key": key, "statements": len(script.statements)}
        if first is None:
            return {**about, "rows": 0, "outcome": "skipped"}
        rows = self.run_script(ledger, cluster, script, first)
        return {**about, "rows": rows, "outcome": "ran" if first == 1 else "resumed"}

    def _keys(self) -> list[str]:
        """List the scripts, in the order they run."""
        known = sorted(BucketsHook(self.aws_conn_id, self.region_name).list_keys(self.bucket, self.prefix))
        found = [
            key
            for key in known
            if not key.endswith("/") and fnmatchcase(key[len(self.prefix) :].lstrip("/"), self.pattern)
        ]
        if not found:
            raise ConfigError(
                "pattern",
                self.pattern,
                f"it must fit a key below s3://{self.bucket}/{self.prefix}; there are {known[:10]}",
            )
        return found

    def _read(self, key: str) -> Script:
        with BucketsHook(self.aws_conn_id, self.region_name).open(self.bucket, key) as body:
            raw = body.read(_LARGEST_BYTES + 1)
        if len(raw) > _LARGEST_BYTES:
            raise ConfigError(key, "too large", f"a script has at most {_LARGEST_BYTES} bytes; split it")
        try:
            text = raw.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as exc:
            raise ConfigError(key, f"byte {exc.start}", "the file must be UTF-8") from None
        statements = list(sql_script.split(text))
        if not statements:
            raise ConfigError(key, "", "it has no statement")
        return Script(key, f"s3://{self.bucket}/{key} on {self.database}", statements)


class RunSqlOperator(ScriptOperator):
    """Run SQL that is given, once in a run: from the worker, or through a Lambda function in the VPC.

    From the worker it runs statement by statement, and the ledger lets a further try of the run go on behind what has taken
    effect. A function (``lambda:Invoke``) is given all of it at once: ``cluster``, ``dbname``, ``secretname``, ``sql`` and
    ``statements``, each with ``line`` and ``text``; ``include/lambda/run_sql.py`` is one. What it answers is not kept.

    :param sql: the statements (templated).
    :param function: name of the function; ``None`` runs it from the worker (templated).
    :return: ``{"statements", "rows", "outcome", "through"}``; ``rows`` is ``None`` where a function does not tell.
    :raises SafetyError: the cluster is not tagged ``refresh=true``, or a statement may not be run.
    :raises StateError: a statement failed, or it is not known whether it took effect.
    """

    permissions: ClassVar[tuple[str, ...]] = (*SqlOperator.permissions, "lambda:InvokeFunction")
    template_fields: Sequence[str] = (*ScriptOperator.template_fields, "sql", "function")

    def __init__(self, *, sql: str, function: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.function = function

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Check, then run."""
        require_refreshable(self.cluster_id, cluster.tags)
        statements = list(sql_script.split(self.sql.replace("\r\n", "\n")))
        self.require_allowed("sql", statements)
        if self.function:
            return self._through(self.function, cluster, statements)
        script = Script("sql", f"{self.run_key} on {self.database}", statements)
        with self.connect(self.master(cluster)) as sql:
            self.require_database(sql)
            ledger = Ledger(sql, self.run_key)
            checksums = script_ledger.chain(statements)
            first = script_ledger.first_statement(
                script.name, ledger.find(script), checksums, mode="new", run_key=self.run_key
            )
            about: Result = {"statements": len(statements), "rows": 0, "outcome": "skipped", "through": None}
            if first is None:
                return about
            ledger.prepare()
            rows = self.run_script(ledger, cluster, script, first)
        return {**about, "rows": rows, "outcome": "ran" if first == 1 else "resumed"}

    def _through(self, function: str, cluster: Cluster, statements: Sequence[Statement]) -> Result:
        secret = self.secret_id or cluster.master_secret_arn
        if not secret:
            raise MissingError(f"cluster {self.cluster_id} has no managed master secret; run db_enable_master_secret")
        hook = SqlFunctionsHook(self.aws_conn_id, self.region_name)
        with self.timing.span("sql", f"function {function}"):
            answer = hook.invoke(
                function,
                {
                    "cluster": cluster.cluster_id,
                    "dbname": self.database,
                    "secretname": secret,
                    "sql": self.sql,
                    "statements": [{"line": statement.line, "text": statement.text} for statement in statements],
                    "run_key": self.run_key,
                },
            )
        rows = answer.get("rows") if isinstance(answer, dict) else None
        return {
            "statements": len(statements),
            "rows": rows if isinstance(rows, int) else None,
            "outcome": "ran",
            "through": function,
        }
