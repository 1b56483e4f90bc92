"""Names of file systems and of what looks into them: legal, the same every time, different where they must be."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from aurora_ops.core import naming
from aurora_ops.core.ownership import OWNER
from hypothesis import given
from hypothesis import strategies as st

ENVIRONMENT = st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True)
TEXT = st.text(min_size=1, max_size=200)
MOMENT = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(ENVIRONMENT, TEXT, st.none() | MOMENT)
def test_creation_tokens_are_legal(environment, name, moment) -> None:
    token = naming.file_system(environment, name, moment)
    assert re.fullmatch(r"[a-z0-9-]{1,64}", token)
    assert token == naming.file_system(environment, name, moment)
    if moment:
        assert token.endswith(naming.stamp(moment))


@given(TEXT, TEXT)
def test_tokens_of_access_points_are_legal(file_system_id, name) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,64}", naming.access_point(file_system_id, name))


@given(ENVIRONMENT, TEXT, TEXT, TEXT)
def test_functions_are_named_legally_and_apart(environment, file_system_id, run, other) -> None:
    name = naming.probe(environment, file_system_id, run)
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,64}", name)
    assert name.startswith(naming.PROBE_PREFIX)
    assert (name == naming.probe(environment, file_system_id, other)) == (run == other)
    assert OWNER in name


@given(TEXT, TEXT)
def test_flags_are_what_the_function_takes(run, other) -> None:
    assert re.fullmatch(r"replication-check-[0-9a-f]{16}", naming.flag(run))
    assert (naming.flag(run) == naming.flag(other)) == (run == other)
    assert naming.backup_job(run, "arn") == naming.backup_job(run, "arn")
