"""A stack of its own whose refresh takes files and jobs along: other tests would spoil what it begins with."""

from __future__ import annotations

import pytest

from tests.local.conftest import running_stack
from tests.local.workflows.conftest import Workflows


@pytest.fixture(scope="package")
def stack():
    """The stack."""
    with running_stack(along=True) as found:
        yield found


@pytest.fixture
def workflows(stack):
    """What runs in it."""
    return Workflows(stack)
