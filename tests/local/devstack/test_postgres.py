"""The embedded PostgreSQL, for real: as the user who runs the tests, root or not."""

from __future__ import annotations

import os
import stat
from contextlib import closing

import psycopg2
import pytest

from devstack.errors import PostgresError
from devstack.postgres import Postgres, make_private

pytestmark = pytest.mark.local


@pytest.fixture
def home(tmp_path):
    """Folder that only its owner may enter, as `mktemp -d` makes them."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def server(home):
    postgres = Postgres(home, logs=home / "logs", pids=home / "run")
    yield postgres
    postgres.stop()
    postgres.delete()


def modes(folder):
    return {part: stat.S_IMODE(part.stat().st_mode) for part in (folder, *folder.parents)}


def query(server, sql):
    connection = psycopg2.connect(host=str(server.sockets), user="postgres", dbname="airflow")
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone() if cursor.description else None


def test_data_survives_a_restart_and_no_mode_is_changed(server, home):
    before = modes(home)
    assert server.start() is True
    query(server, "CREATE TABLE t AS SELECT 42 AS n")
    server.stop()
    assert server.start() is False
    assert query(server, "SELECT n FROM t") == (42,)
    assert modes(home) == before


def test_it_listens_on_no_network_address_and_its_socket_is_private(server):
    server.start()
    assert query(server, "SHOW listen_addresses") == ("",)
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700


def test_a_pid_file_of_a_crash_does_not_stop_it(server):
    server.start()
    server.stop()
    # The number of a process that runs and is no PostgreSQL: this one.
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert server.start() is False


def test_a_second_server_on_the_same_data_is_refused(server, home):
    server.start()
    other = Postgres(home, logs=home / "logs", pids=home / "run")
    with pytest.raises(PostgresError, match="make down"):
        other.start()


def test_a_server_that_cannot_start_shows_its_log(server):
    server.start()
    server.stop()
    (server.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(PostgresError, match="no_such_setting"):
        server.start()


def test_a_folder_of_another_user_is_refused(home, monkeypatch):
    theirs = home / "theirs"
    theirs.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    with pytest.raises(PostgresError, match="not a folder of this user"):
        make_private(theirs, shared=False)


def test_a_link_in_place_of_the_folder_is_refused(home):
    link = home / "link"
    link.symlink_to(home)
    with pytest.raises(PostgresError, match="not a folder of this user"):
        make_private(link, shared=False)


def test_a_user_without_a_name_is_told_so(server, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    with pytest.raises(PostgresError, match="user id 987654 has no entry in /etc/passwd"):
        server.start()


def test_delete_leaves_nothing(home):
    postgres = Postgres(home, logs=home / "logs", pids=home / "run")
    postgres.start()
    postgres.stop()
    postgres.delete()
    assert not postgres.data.exists()
    assert not postgres.runtime.exists()
