"""Masking: the tables and scripts of each schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aurora_ops.core import masking, sql_script
from aurora_ops.core.tables import quoted
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.masking import MaskingOperator


class MaskDatabaseOperator(MaskingOperator):
    """Run the masking scripts of schemas, each statement once.

    The scripts are plain SQL (``include/sql/masking/<schema>/*.sql``, by name), split as the mysql client does; ``@mask_salt`` keys
    their fakes. A statement and the note that it is done are one transaction, so a killed try goes on where it was. An error
    names file and line and shows no data.

    :param folders: folders of scripts; the name of each is its schema.
    :return: ``{"statements": run now, "skipped": done by an earlier try}``.
    :raises PermanentError: a statement failed.
    """

    template_fields: Sequence[str] = (*MaskingOperator.template_fields, "folders")

    def __init__(self, *, folders: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folders = folders

    def step(self, sql: MySqlHook) -> Result:
        """Run what is not yet done."""
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
        return {"statements": ran, "skipped": skipped}
