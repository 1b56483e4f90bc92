"""What jobs on EKS run: shell scripts for tables on a file system, made of names that are checked and quoted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import groupby

from aurora_ops.core.kubernetes import LOGIN_FILE, SECRET_PATH
from aurora_ops.core.tables import Table

DUMP_PATH = "/refresh"
FILES_PATH = "/files"
LOGIN = f"{SECRET_PATH}/{LOGIN_FILE}"
_SUMS = "SHA256SUMS"
# Options that only one of MySQL's and MariaDB's clients knows are loose: the other passes them over.
_DUMP = (
    f"mysqldump --defaults-extra-file={LOGIN} --single-transaction --quick --skip-lock-tables --no-tablespaces --hex-blob "
    "--triggers --tz-utc --default-character-set=utf8mb4 --loose-set-gtid-purged=OFF --loose-column-statistics=0"
)
# The master user of Aurora may not create triggers in another user's name. Rows never begin like this.
# Rows of a dump, without what depends on client, server and moment; nothing of a row begins a line but these.
_ROWS_ONLY = "sed '/^DELIMITER ;;$/,/^DELIMITER ;$/d' | LC_ALL=C grep '^[(I]' | sha256sum"
_NO_DEFINER = r"s#^/\*!50003 CREATE\*/ /\*!50017 DEFINER=[^*]*\*/#/*!50003 CREATE*/#"


def dump(tables: Sequence[str]) -> list[str]:
    """Write the command that dumps tables into :data:`DUMP_PATH`: one file a schema, packed, with check sums.

    The tables of a schema are read in one transaction. A dump that was there is replaced only once the new one is whole.

    :param tables: ``schema.table`` names.
    :raises ConfigError: one is not of that form.
    """
    lines = ["set -eu", "umask 077", f"cd {DUMP_PATH}", "rm -rf new", "mkdir new"]
    for schema, names in _by_schema(tables):
        quoted = " ".join(shlex.quote(name) for name in names)
        file = shlex.quote(f"new/{schema}.sql")
        lines += [
            f"{_DUMP} {shlex.quote(schema)} {quoted} > {file}",
            f"gzip -9 {file}",
            f"printf '%s\\n' {quoted} > {shlex.quote(f'new/{schema}.tables')}",
            f"echo dumped {schema}: {quoted}",
        ]
    lines += [
        f"(cd new && sha256sum *.sql.gz *.tables > {_SUMS})",
        "rm -rf current",
        "mv new current",
        "ls -l current",
    ]
    return ["sh", "-c", "\n".join(lines)]


def load(schemas: Sequence[str]) -> list[str]:
    """Write the command that loads what :func:`dump` left, each table in place of the one of its name.

    Check sums are compared before anything is loaded; the client stops at the first error. Afterwards the tables are read again as
    they were dumped, and their rows must be the same byte for byte.

    :param schemas: schemas to load, as they were dumped.
    """
    lines = ["set -eu", f"cd {DUMP_PATH}/current", f"sha256sum -c {_SUMS}"]
    for schema in schemas:
        file, name, tables = (shlex.quote(text) for text in (f"{schema}.sql.gz", schema, f"{schema}.tables"))
        client = f"mysql --defaults-extra-file={LOGIN} --default-character-set=utf8mb4 {name}"
        lines += [
            f"test -f {file} || {{ echo no dump of {name}; exit 3; }}",
            f"gzip -dc {file} | sed {shlex.quote(_NO_DEFINER)} | {client}",
            f"wanted=$(gzip -dc {file} | {_ROWS_ONLY})",
            f"found=$(tr '\\n' '\\0' < {tables} | xargs -0 {_DUMP} {name} | {_ROWS_ONLY})",
            f'[ "$wanted" = "$found" ] || {{ echo rows of {name} are not those that were dumped; exit 4; }}',
            f"echo loaded {name}, and read the same rows again",
        ]
    return ["sh", "-c", "\n".join(lines)]


def schemas_of(tables: Sequence[str]) -> list[str]:
    """Name the schemas of tables, sorted."""
    return [schema for schema, _ in _by_schema(tables)]


def _by_schema(tables: Sequence[str]) -> list[tuple[str, list[str]]]:
    parsed = sorted({Table.parse(name, "tables") for name in tables})
    return [
        (schema, [table.name for table in found]) for schema, found in groupby(parsed, key=lambda table: table.schema)
    ]
