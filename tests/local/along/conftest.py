"""A stack of its own whose refresh takes files and jobs along: other tests would spoil what it begins with."""

from __future__ import annotations

import pytest

from tests.local.along.estate import AS_BEFORE, Along
from tests.local.cloud.kube_helpers import until
from tests.local.quick import quick_stack
from tests.local.workflows.conftest import Workflows


@pytest.fixture(scope="package")
def stack():
    """The stack."""
    with quick_stack("along", along=True) as found:
        yield found


@pytest.fixture
def workflows(stack):
    """What runs in it."""
    return Workflows(stack)


@pytest.fixture
def along(workflows):
    """The estate of a refresh, with no node for jobs, and the application on its claim running."""
    found = Along(workflows)
    found.scale(0)
    until(lambda: found.app() == AS_BEFORE)
    yield found
    found.scale(1)
