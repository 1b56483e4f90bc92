"""What a script that a person hands in may not do, and what it may do only if they say so.

A guard against slips, not against malice: SQL is not parsed, and what a procedure does inside is not seen.
"""

from __future__ import annotations

import re

from aurora_ops.core.sql_script import Statement

_SKIPPED = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|/\*(?!M?!).*?(?:\*/|\Z)|#[^\n]*|--(?=[\s\x00-\x1f]|\Z)[^\n]*", re.S
)
_MARKS = re.compile(r"/\*M?!\d*|\*/")
_LONGEST_HEAD = 60

_NEVER = (
    (
        r"\bIDENTIFIED\s+(BY|WITH|VIA)\b|\bSET\s+PASSWORD\b|\bPASSWORD\s*\(",
        "it carries a password; use db_rotate_secrets, which keeps them in Secrets Manager",
    ),
    (
        r"^(CREATE|ALTER|DROP|RENAME)\s+(OR\s+REPLACE\s+)?(USER|ROLE)\b|^(GRANT|REVOKE)\b|^SET\s+(DEFAULT\s+)?ROLE\b",
        "users and their rights are those of database.users",
    ),
    (
        (
            r"^(SHUTDOWN|RESTART|FLUSH|RESET|PURGE|KILL|CHANGE\s+(MASTER|REPLICATION)|(START|STOP)\s+(SLAVE|REPLICA|GROUP_REPLICATION))\b"
            r"|^(INSTALL|UNINSTALL)\b|^SET\s+(GLOBAL|PERSIST|PERSIST_ONLY)\b|@@(GLOBAL|PERSIST)"
        ),
        "it changes the server, not data",
    ),
    (r"\bINTO\s+(OUTFILE|DUMPFILE)\b", "it writes data out of the database"),
    (
        (
            r"^USE\s+(MYSQL|SYS|INFORMATION_SCHEMA|PERFORMANCE_SCHEMA)\b"
            r"|^(?!SELECT|SHOW|EXPLAIN|DESC).*\b(MYSQL|SYS|PERFORMANCE_SCHEMA)\s*\.\s*\w"
        ),
        "it touches a schema of the server's own",
    ),
)
_DESTRUCTIVE = (
    (r"^DROP\s+(?!TEMPORARY\b)", "it drops something"),
    (r"^TRUNCATE\b", "it empties a table"),
    (r"^ALTER\s+(TABLE|DATABASE|SCHEMA)\b.*\bDROP\b", "it drops a part of a table"),
    (r"^CREATE\s+OR\s+REPLACE\s+TABLE\b", "it replaces a table"),
    (r"^(WITH\b.*\b)?DELETE\b(?!.*\bWHERE\b)", "it deletes every row of a table: there is no WHERE"),
    (r"^(WITH\b.*\b)?UPDATE\b(?!.*\bWHERE\b)", "it changes every row of a table: there is no WHERE"),
)
_NEVER_PATTERNS = [(re.compile(pattern, re.I | re.S), why) for pattern, why in _NEVER]
_DESTRUCTIVE_PATTERNS = [(re.compile(pattern, re.I | re.S), why) for pattern, why in _DESTRUCTIVE]
_SESSION = re.compile(r"^(USE\s|SET\s+(?!TRANSACTION\b))", re.I)


def code(text: str) -> str:
    """Reduce a statement to what it does: literals are ``''``, comments and back quotes are gone, versioned ones count as code."""
    plain = _SKIPPED.sub(lambda found: "''" if found[0][0] in "'\"" else " ", text)
    return " ".join(_MARKS.sub(" ", plain).replace("`", "").split())


def refusal(statement: Statement, *, allow_destructive: bool) -> str | None:
    """Say why a statement must not be run; ``None`` is consent.

    :param statement: one statement.
    :param allow_destructive: whether it may drop, empty, or change every row.
    :return: one sentence that names the kind of statement, never a value in it.
    """
    does = code(statement.text)
    for pattern, why in _NEVER_PATTERNS:
        if pattern.search(does):
            return f"{why}; that is never run from here"
    if not allow_destructive:
        for pattern, why in _DESTRUCTIVE_PATTERNS:
            if pattern.search(does):
                return f"{why}; set allow_destructive, if that is meant"
    return None


def sets_session(statement: Statement) -> bool:
    """Tell whether a statement only prepares the connection (``USE``, ``SET``): it is repeated where a script is resumed."""
    return bool(_SESSION.match(code(statement.text)))


def kind(statement: Statement) -> str:
    """Name a statement for messages: its first two words, never a value."""
    return " ".join(re.findall(r"[A-Za-z_]+", code(statement.text))[:2]).upper()[:_LONGEST_HEAD] or "statement"
