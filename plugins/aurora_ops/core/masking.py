"""Masking: the salt, the scripts, and the SQL of the proof.

Proof without originals: before masking, each distinct value of a sensitive column is stored as a salted digest in a scratch
schema of the temporary cluster; after masking no digest may be found again; then the schema is dropped.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

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


def scripts(folder: Path, *, required: bool = True) -> list[Path]:
    """List a folder's SQL files in the order they run: by name.

    :param folder: ``include/sql/<purpose>/<schema>``.
    :param required: whether there must be one.
    :raises ConfigError: there are none.
    """
    found = sorted(folder.glob("*.sql"))
    if required and not found:
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
