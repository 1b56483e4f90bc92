"""Masking: the tables of each schema by their rules, then its scripts."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aurora_ops.core import mask_plan, masking, sql_script
from aurora_ops.core.errors import ConfigError, report
from aurora_ops.core.mask_plan import TablePlan
from aurora_ops.core.mask_rules import read_rules
from aurora_ops.core.settings import Masking
from aurora_ops.core.tables import Table, quoted
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.table_facts import read_table_facts
from aurora_ops.operators.base import Result
from aurora_ops.operators.mask_crew import Crew
from aurora_ops.operators.masking import MaskingOperator


class MaskDatabaseOperator(MaskingOperator):
    """Mask the tables of schemas by the rules of their columns, then run their scripts.

    How each table is masked (rebuilt, updated in chunks or at once) is decided by its facts and logged before anything is
    changed; rules that a table does not allow are errors, all named. Ranges, swaps and statements are noted in a ledger on the
    server as they are done, so a killed try goes on where it was and ends with the same data.

    The scripts are plain SQL (``include/sql/masking/<schema>/*.sql``, by name), split as the mysql client does; ``@mask_salt`` keys
    their fakes. A statement and the note that it is done are one transaction. An error names file and line and shows no data.

    :param folders: folders of ``columns.yaml`` and scripts; the name of each is its schema (templated).
    :param masking: ``core.settings.Masking`` as a dictionary; ``None`` is its defaults.
    :return: ``{"tables": {technique: count}, "rows": masked now, "statements": run now, "skipped": done by an earlier try}``.
    :raises PermanentError: rules that cannot be followed, or a statement that failed.
    :raises TransientError: a connection was lost; the next try goes on.
    """

    template_fields: Sequence[str] = (*MaskingOperator.template_fields, "folders")

    def __init__(self, *, folders: list[str], masking: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folders = folders
        self.masking = masking

    def step(self, sql: MySqlHook) -> Result:
        """Plan, mask the tables, run the scripts."""
        settings = Masking.model_validate(self.masking or {})
        salt = self._salt(sql, settings)
        plans = self._plans(sql, settings)
        crew = Crew(
            lambda: self.connect(sql.login),
            salt=salt,
            connections=settings.connections,
            chunk_rows=settings.chunk_rows,
            log=self.log.info,
        )
        finished = crew.mask(plans) if any(plan.technique != "skip" for plan in plans) else []
        sql.run(f"SET {masking.SALT_VARIABLE} = %s", (salt,), what="salt")
        ran, skipped = self._run_scripts(sql)
        return {
            "tables": dict(Counter(plan.technique for plan in plans)),
            "rows": sum(each.rows for each in finished),
            "statements": ran,
            "skipped": skipped,
        }

    def _salt(self, sql: MySqlHook, settings: Masking) -> str:
        """Find what keys the fakes: the run's own salt, or the one that environments share."""
        if settings.salt_secret is None:
            return masking.salt(sql.login.password, self.run_key)
        given = self.secrets.require_secret(settings.salt_secret).get("salt")
        if not isinstance(given, str) or len(given) < masking.SHORTEST_SALT:
            raise ConfigError(
                "database.masking.salt_secret",
                settings.salt_secret,
                f"its JSON needs a field salt of at least {masking.SHORTEST_SALT} characters",
            )
        return hmac.new(given.encode(), b"mask", hashlib.sha256).hexdigest()

    def _plans(self, sql: MySqlHook, settings: Masking) -> list[TablePlan]:
        """Decide how each table is masked.

        :raises PermanentError: rules that cannot be followed.
        """
        folders = [Path(folder) for folder in self.folders]
        rules = [rule for folder in folders for rule in read_rules(folder)]
        facts = read_table_facts(sql, [folder.name for folder in folders], _exact_counts(sql))
        plans, problems = mask_plan.plan_tables(facts, rules, rebuild_limit_bytes=settings.rebuild_limit_bytes)
        report(problems)
        self.log.info("masking plan:\n%s", mask_plan.show(plans))
        return plans

    def _run_scripts(self, sql: MySqlHook) -> tuple[int, int]:
        """Run the statements that are not yet done; how many ran, and how many were done before."""
        done = self.done(sql)
        ran = skipped = 0
        for folder in map(Path, self.folders):
            sql.run(f"USE {quoted(folder.name)}", what=f"schema {folder.name}")
            for path in masking.scripts(folder, required=False):
                for statement in sql_script.load(path):
                    step = f"{folder.name}/{path.name}:{statement.line}"
                    if step in done:
                        skipped += 1
                        continue
                    self.log.info("%s", step)
                    with sql.transaction():
                        affected = sql.run(statement.text, what=step)
                        self.mark(sql, step)
                    self.log.info("%s: %d rows", step, affected)
                    ran += 1
        return ran, skipped


def _exact_counts(sql: MySqlHook) -> dict[Table, int]:
    """Read how many rows each table has, where that was counted before masking."""
    counted = sql.rows(
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'row_counts'",
        (masking.SCRATCH,),
        what="row counts",
    )
    if not counted:
        return {}
    query = f"SELECT table_schema, table_name, row_count FROM {quoted(masking.SCRATCH)}.row_counts"  # noqa: S608
    return {Table(schema, name): int(rows) for schema, name, rows in sql.rows(query, what="row counts")}
