"""Find the programs of MariaDB: installed on the system, or unpacked into a folder without root."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.mariadb.errors import MariaDBNotFoundError

DEFAULT_PREFIX = Path(__file__).resolve().parents[2] / ".local" / "mariadb" / "root"
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/libexec", "/opt/homebrew/bin")
_SERVER = ("mariadbd",)
_INSTALLER = ("mariadb-install-db", "mysql_install_db")
_BACKUP = ("mariadb-backup", "mariabackup")
_BINLOG = ("mariadb-binlog", "mysqlbinlog")
_CLIENT = ("mariadb", "mysql")


@dataclass(frozen=True)
class Binaries:
    """The programs and what they need to run.

    :param server: mariadbd.
    :param install_db: the program that creates an empty data directory.
    :param backup: mariadb-backup.
    :param binlog: the program that makes statements of a binary log.
    :param client: the command line client.
    :param layout: options that tell programs of an unpacked MariaDB where their files lie; empty for an installed one.
    :param env: environment for every one of them.
    """

    server: Path
    install_db: Path
    backup: Path
    binlog: Path
    client: Path
    layout: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    @property
    def basedir(self) -> Path | None:
        """The folder of an unpacked MariaDB that holds its bin, sbin, lib and share."""
        options = dict(option.split("=", 1) for option in self.layout)
        return Path(options["--basedir"]) if options else None


def find(prefix: Path | None = None) -> Binaries:
    """Return the programs: in `prefix` or MARIADB_PREFIX if given, else installed, else in the default prefix.

    :param prefix: folder that holds an unpacked ``usr/``.
    :raises MariaDBNotFoundError: nowhere complete; says what is missing where, and the remedy.
    """
    named = prefix or (Path(os.environ["MARIADB_PREFIX"]) if os.environ.get("MARIADB_PREFIX") else None)
    tried: list[str] = []
    found = (in_prefix(named, tried) if named else None) or on_system(tried) or in_prefix(DEFAULT_PREFIX, tried)
    if found:
        return found
    raise MariaDBNotFoundError(
        f"MariaDB was not found ({'; '.join(tried)}). Run `make install`, or install the packages mariadb-server and "
        "mariadb-backup, or set MARIADB_PREFIX to the folder where it was unpacked."
    )


def on_system(tried: list[str]) -> Binaries | None:
    """Return an installed MariaDB, looking on PATH and in the folders that PATH of an ordinary user may lack."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    programs = _pick([*folders, *map(Path, _SYSTEM_FOLDERS)])
    if missing := [name for name, path in programs.items() if path is None]:
        tried.append(f"on PATH: no {', '.join(missing)}")
        return None
    return _binaries(programs, (), _environment(()))


def in_prefix(prefix: Path, tried: list[str]) -> Binaries | None:
    """Return a MariaDB unpacked below `prefix`."""
    usr = prefix.resolve() / "usr"
    programs = _pick([usr / "sbin", usr / "bin"])
    messages = _first(usr / "share" / "mysql", usr / "share" / "mariadb")
    plugins = _first(*usr.glob("lib*/mysql/plugin"), *usr.glob("lib*/mariadb/plugin"))
    missing = [name for name, path in {**programs, "share": messages, "plugins": plugins}.items() if path is None]
    if missing:
        tried.append(f"in {prefix}: no {', '.join(missing)}")
        return None
    libraries = sorted({*usr.glob("lib/*-linux-gnu*"), *usr.parent.glob("lib/*-linux-gnu*")})
    layout = (f"--basedir={usr}", f"--lc-messages-dir={messages}", f"--plugin-dir={plugins}")
    return _binaries(programs, layout, _environment((usr / "bin", usr / "sbin"), libraries))


def _binaries(programs: dict[str, Path | None], layout: tuple[str, ...], env: dict[str, str]) -> Binaries:
    server, install_db, backup, binlog, client = programs.values()
    assert server
    assert install_db
    assert backup
    assert binlog
    assert client
    return Binaries(server, install_db, backup, binlog, client, layout, env)


def _pick(folders: list[Path]) -> dict[str, Path | None]:
    path = os.pathsep.join(map(str, folders))
    return {names[0]: _which(names, path) for names in (_SERVER, _INSTALLER, _BACKUP, _BINLOG, _CLIENT)}


def _which(names: tuple[str, ...], path: str) -> Path | None:
    found = next((hit for name in names if (hit := shutil.which(name, path=path))), None)
    return Path(found) if found else None


def _first(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.is_dir()), None)


def _environment(programs: tuple[Path, ...], libraries: list[Path] | None = None) -> dict[str, str]:
    env = {"HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"}  # no ~/.my.cnf, no surprises from a locale
    env["PATH"] = os.pathsep.join([*map(str, programs), os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    if libraries:
        env["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, libraries))
    return env
