"""Masking: the salt, the scripts, and where notes are kept: in a scratch schema of the temporary cluster, dropped at the end."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from aurora_ops.core.errors import ConfigError

SCRATCH = "aurora_ops_scratch"
SALT_VARIABLE = "@mask_salt"
SHORTEST_SALT = 16


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
