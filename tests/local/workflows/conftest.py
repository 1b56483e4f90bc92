"""What tests of single workflows do: run one to its end, and see one refused before anything is changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from devstack.errors import ApiError
from localcloud.client import admin_operation
from tests.local.conftest import running_stack
from tests.local.quick import quick_stack
from tests.local.refresh.conftest import SHARED, Estate

WHOLE = "AURORA_OPS_WHOLE_AIRFLOW"  # set: runs are triggered through the API of an Airflow with all its services


class Workflows:
    """Runs workflows.

    :param stack: the running stack.
    """

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.estate = Estate(stack)

    def run(self, dag_id: str, **conf: Any) -> Any:
        """Run a workflow for staging, which must succeed."""
        run = self.stack.wait(self.stack.trigger(dag_id, {"environment": "staging", **conf}))
        assert run.state == "success", (self.stack.states(run), self._causes(run))
        return run

    def fails(self, dag_id: str, **conf: Any) -> str:
        """Run a workflow that must fail after its check, and say why."""
        run = self.stack.wait(self.stack.trigger(dag_id, {"environment": "staging", **conf}))
        assert run.state == "failed", self.stack.states(run)
        assert self.stack.states(run)["check"] == "success", self._causes(run)
        return "\n".join(self._causes(run).values())

    def refused(self, dag_id: str, **conf: Any) -> str:
        """See that a workflow is refused, by its form or its check, with no call that changes anything; return what was said."""
        [said] = self.all_refused([(dag_id, conf)])
        return said

    def all_refused(self, cases: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
        """See that each of these is refused, all at once; return what was said to each."""
        began = time.time()
        begun = [self._begin(dag_id, conf) for dag_id, conf in cases]
        said = [one if isinstance(one, str) else self._refusal(one) for one in begun]
        assert self.mutations(began) == []
        return said

    def refuses(self, dag_id: str, wrong: Sequence[tuple[dict[str, Any], str | list[str]]]) -> None:
        """See that a workflow refuses each of these, all at once, in words that name what is wrong."""
        self.refuses_each([(dag_id, conf, words) for conf, words in wrong])

    def refuses_each(self, wrong: Sequence[tuple[str, dict[str, Any], str | list[str]]]) -> None:
        """See that each of these workflows refuses what it is given, all at once, in words that name what is wrong."""
        said = self.all_refused([(dag_id, conf) for dag_id, conf, _ in wrong])
        unsaid = [
            (dag_id, conf, [word for word in ([words] if isinstance(words, str) else words) if word not in text], text)
            for (dag_id, conf, words), text in zip(wrong, said, strict=True)
        ]
        assert [case for case in unsaid if case[2]] == []

    def _begin(self, dag_id: str, conf: dict[str, Any]) -> Any:
        try:
            return self.stack.trigger(dag_id, {"environment": "staging", **conf})
        except ApiError as error:
            if error.status != 400:
                raise
            return str(error)

    def _refusal(self, run: Any) -> str:
        run = self.stack.wait(run)
        assert (run.state, self.stack.states(run)["check"]) == ("failed", "failed"), (run, self.stack.states(run))
        return self._causes(run)["check"]

    def result(self, run: Any, task_id: str) -> Any:
        """Return what a task returned."""
        return self.stack.api.xcoms(run)[task_id]

    def record(self, run: Any) -> dict[str, Any]:
        """Read the record of a run."""
        return self.estate.record(run)

    def mutations(self, since: float) -> list[str]:
        """Name the calls that may have changed something, those that record a run aside."""
        home = [call for call in self.estate.mutations(since) if call["account"] != SHARED]
        return [call["action"] for call in home]

    def _causes(self, run: Any) -> dict[str, str]:
        return {name: value for name, key, value in self.stack.api.all_xcoms(run) if key == "error"}


@pytest.fixture(scope="package")
def stack():
    """A stack of its own, which ends with the last of these tests."""
    chosen = running_stack if os.environ.get(WHOLE) else partial(quick_stack, "workflows")
    with chosen(along=False) as found:
        yield found


@pytest.fixture
def workflows(stack):
    """Single workflows, with no fault rules and an empty inbox."""
    found = Workflows(stack)
    admin_operation("faults-clear", stack.cloud)
    found.estate.announcements()
    yield found
    admin_operation("faults-clear", stack.cloud)
