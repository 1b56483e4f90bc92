"""Masking: which columns must be masked, the salt, and the SQL of the proof.

Proof without originals: before masking, each distinct value of a sensitive column is stored as a salted digest in a scratch
schema of the temporary cluster; after masking no digest may be found again; then the schema is dropped.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import yaml

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import Column, quoted

SCRATCH = "aurora_ops_scratch"
SALT_VARIABLE = "@mask_salt"


def salt(master_password: str, run_key: str) -> str:
    """Derive the salt of a run: the same on every try, stored nowhere.

    It lives as long as the temporary cluster's master password, which is made for this run and rotated after masking.

    :param master_password: password of the master user of the temporary cluster.
    :param run_key: names the run.
    :return: 64 hexadecimal digits.
    """
    return hmac.new(master_password.encode(), f"mask:{run_key}".encode(), hashlib.sha256).hexdigest()


class _Once(yaml.SafeLoader):
    """Refuse a table that stands in the file twice: YAML would silently drop the columns of the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def declared_columns(folder: Path) -> list[Column]:
    """Read which columns of a schema are sensitive.

    :param folder: ``include/sql/masking/<schema>``; its ``columns.yaml`` maps table to a list of columns.
    :return: the columns, in the order of the file.
    :raises ConfigError: no file, or one of another shape.
    """
    path = folder / "columns.yaml"
    where = f"masking/{folder.name}/columns.yaml"
    if not path.is_file():
        raise ConfigError(where, None, f"write {path.name}: table -> list of its sensitive columns")
    try:
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_Once)  # noqa: S506 - a SafeLoader
    except (ValueError, yaml.YAMLError) as exc:
        raise ConfigError(where, str(exc).replace("\n", " "), "write valid YAML, each table once") from exc
    if not isinstance(content, dict) or not content:
        raise ConfigError(where, content, "write table -> list of its sensitive columns")
    found: list[Column] = []
    for table, names in content.items():
        if not isinstance(names, list) or not names:
            raise ConfigError(f"{where}:{table}", names, "write a list of columns")
        found += [Column.parse(f"{folder.name}.{table}.{name}", where) for name in names]
    return found


def scripts(folder: Path) -> list[Path]:
    """List a folder's SQL files in the order they run: by name.

    :param folder: ``include/sql/<purpose>/<schema>``.
    :raises ConfigError: there are none.
    """
    found = sorted(folder.glob("*.sql"))
    if not found:
        raise ConfigError(f"{folder.parent.name}/{folder.name}", None, "put at least one .sql file into the folder")
    return found


def digest_sql(column: str) -> str:
    """Write the SQL of the salted digest of a value: 16 bytes, NULL for NULL.

    A value's type never matters: it is compared as text, case included.
    """
    return f"UNHEX(LEFT(SHA2(CONCAT({SALT_VARIABLE}, CAST({column} AS CHAR CHARACTER SET utf8mb4)), 256), 32))"


def fingerprint_sql(column: Column, number: int) -> list[str]:
    """Statements that store the digests of a column's distinct values; safe to run again.

    Empty strings say nothing about anybody and are left out.

    :param column: sensitive column.
    :param number: its place in the list; names the table.
    """
    name = quoted(column.name)
    table = f"{quoted(SCRATCH)}.{quoted(f'original_{number:04d}')}"
    return [
        f"DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {table} (digest BINARY(16) NOT NULL PRIMARY KEY) ENGINE=InnoDB",
        (
            f"INSERT INTO {table} SELECT DISTINCT {digest_sql('v')} FROM "  # noqa: S608 - names are quoted
            f"(SELECT DISTINCT CAST({name} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS v FROM {column.table.sql} "
            f"WHERE {name} IS NOT NULL AND CAST({name} AS CHAR) <> '') AS originals"
        ),
    ]


def survivors_sql(column: Column, number: int) -> str:
    """Query that counts a column's distinct originals and how many of them are still there: (originals, survivors)."""
    name = quoted(column.name)
    table = f"{quoted(SCRATCH)}.{quoted(f'original_{number:04d}')}"
    return (
        f"SELECT (SELECT COUNT(*) FROM {table}), COUNT(*) FROM (SELECT DISTINCT {digest_sql(name)} AS digest "  # noqa: S608
        f"FROM {column.table.sql} WHERE {name} IS NOT NULL AND CAST({name} AS CHAR) <> '') AS masked "
        f"JOIN {table} AS original USING (digest)"
    )
