"""Leaving out what a role may do already by another of its statements, so that nothing in its policies can be spared."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

Statement = dict[str, Any]


def without_repetition(statements: list[Statement], uncertain: Collection[str] = ()) -> list[Statement]:
    """Take out of each statement the actions that another one allows on the same resources and under no further condition.

    Of two that say the same the first one stays.

    :param statements: all statements of a role, each an Allow.
    :param uncertain: Sids of statements that may be left out of the role; they make no action of another one needless.
    :return: statements in the same order; one with nothing left has no action.
    """
    found = copy.deepcopy(statements)
    for statement in reversed(found):
        others = [
            one for one in found if one is not statement and one["Sid"] not in uncertain and _covers(one, statement)
        ]
        statement["Action"] = [
            action for action in statement["Action"] if not any(action in one["Action"] for one in others)
        ]
    return found


def _covers(wide: Statement, narrow: Statement) -> bool:
    """Tell whether one statement holds wherever another does."""
    if not all(any(_matches(pattern, one) for pattern in wide["Resource"]) for one in narrow["Resource"]):
        return False
    known = {(operator, key): values for operator, key, values in _tests(narrow)}
    return all(
        (operator, key) in known and _implies(operator, known[operator, key], values)
        for operator, key, values in _tests(wide)
    )


def _matches(wide: str, narrow: str) -> bool:
    """Tell whether an ARN, or a pattern of ARNs, is within another pattern; only a star at the end is looked at."""
    return narrow == wide or (wide.endswith("*") and narrow.startswith(wide[:-1]))


def _tests(statement: Statement) -> Iterator[tuple[str, str, set[str]]]:
    for operator, tests in statement.get("Condition", {}).items():
        for key, values in tests.items():
            yield operator, key, {values} if isinstance(values, str) else set(values)


def _implies(operator: str, narrow: set[str], wide: set[str]) -> bool:
    """Tell whether a test on some values holds only where one on others does: of several values one is enough."""
    return narrow >= wide if "Not" in operator else narrow <= wide
