"""Amazon DynamoDB: the state of an operation, one item in the table of runs, changed step by step.

Each step is changed on its own, on condition that this moves it forward, so that tasks that write at once do not undo each other's
writing and a late one does not undo what came after it. The item has no ``expires_at`` while the operation goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aurora_ops.core import operation as operations
from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.core.operation import LAST_POSITION, RUNNING, Progress
from aurora_ops.hooks.items import written
from aurora_ops.hooks.runs import RunsHook

_REFUSED = "ConditionalCheckFailed"
_FIRST_HEARD = "attribute_exists(pk) AND attribute_not_exists(#steps.#step)"
_FORWARD = (
    "#steps.#step.#tries < :tries OR (#steps.#step.#tries = :tries AND #steps.#step.#position < :last AND "
    "#steps.#step.#position <= :position)"
)
_OF_THE_END = ("ended_at", "expires_at")
_CORRECTED_AT_ONCE = 40  # an expression may have 4 KB


class OperationsHook(RunsHook):
    """States of operations of one account and region."""

    def begin(self, table: str, name: str, about: Mapping[str, Any]) -> None:
        """Write that an operation goes on (``UpdateItem``); steps that an earlier check of the run has left stay.

        :param table: table of runs.
        :param name: ``<dag id>/<run id>``.
        :param about: what is known of it.
        """
        given = {**about, "outcome": RUNNING, "schema_version": operations.SCHEMA_VERSION}
        paths = {"#steps": "if_not_exists(#steps, :steps)", **_paths(given), **_paths(dict.fromkeys(_OF_THE_END))}
        self._update(table, name, paths, {"steps": {}, **given})

    def put_step(self, table: str, name: str, step: str, progress: Progress) -> bool:
        """Write how far a step has come (``UpdateItem``), where that is further than what is written.

        :param table: table of runs.
        :param name: ``<dag id>/<run id>``.
        :param step: its name.
        :param progress: how far.
        :return: whether it was written; a late writer's word is not.
        """
        ways = (self._first_heard, self._moved_on)
        afresh = progress.tries == 1 and progress.deferrals == 0 and progress.status == RUNNING
        for way in ways if afresh else reversed(ways):
            try:
                way(table, name, step, progress)
            except AuroraOpsError as exc:
                if _REFUSED not in str(exc):
                    raise
            else:
                return True
        return False

    def finish(
        self, table: str, name: str, about: Mapping[str, Any], *, ends: Mapping[str, str], expires_at: int
    ) -> list[str]:
        """Write how an operation ended (``UpdateItem``), and correct the steps that could not say so themselves.

        :param table: table of runs.
        :param name: ``<dag id>/<run id>``.
        :param about: outcome, cause and more; ``None`` removes what an earlier end has left.
        :param ends: step to how Airflow says that it ended.
        :param expires_at: epoch seconds at which the item ends.
        :return: steps that were corrected.
        """
        steps = (self.find_state(table, name) or {}).get("steps", {})
        wrong = {step: end for step, end in ends.items() if steps.get(step, {}).get("status") != end}
        for batch in _batches(wrong, _CORRECTED_AT_ONCE):
            self._correct(table, name, batch, steps)
        given = {**about, "expires_at": expires_at}
        self._update(table, name, _paths(given), given)
        return sorted(wrong)

    def find_state(self, table: str, name: str) -> dict[str, Any] | None:
        """Read the state of an operation, strongly consistent."""
        return self.find(table, operations.partition(name), operations.STATE_KEY)

    def _first_heard(self, table: str, name: str, step: str, progress: Progress) -> None:
        entry = {key: value for key, value in progress.entry().items() if value is not None}
        paths = {"#steps.#step": ":entry", **_of_all(progress)}
        values = {"entry": entry, "changed_at": progress.at, "running": RUNNING}
        self._update(table, name, paths, values, condition=_FIRST_HEARD, step=step)

    def _moved_on(self, table: str, name: str, step: str, progress: Progress) -> None:
        changes = progress.changes()
        paths = {**_paths(changes, "#steps.#step."), **_of_all(progress)}
        values = {**changes, "running": RUNNING, "last": LAST_POSITION}
        self._update(table, name, paths, values, condition=_FORWARD, step=step)

    def _correct(self, table: str, name: str, ends: Sequence[tuple[str, str]], steps: Mapping[str, Any]) -> None:
        """Write how steps ended whatever they say: those that are known keep what else is known of them."""
        self.call(
            "update_item",
            TableName=table,
            Key=_key(name),
            UpdateExpression="SET " + ", ".join(f"#steps.#s{number} = :e{number}" for number in range(len(ends))),
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#steps": "steps"}
            | {f"#s{number}": step for number, (step, _) in enumerate(ends)},
            ExpressionAttributeValues=written(
                {f":e{number}": {**steps.get(step, {}), "status": end} for number, (step, end) in enumerate(ends)}
            ),
        )

    def _update(
        self,
        table: str,
        name: str,
        paths: Mapping[str, str | None],
        values: Mapping[str, Any],
        *,
        condition: str | None = None,
        step: str = "",
    ) -> None:
        """Change the item: ``#name`` in a path is the attribute of that name, ``#step`` the step's, ``:name`` a value.

        :param paths: path to what it is set to; ``None`` removes it.
        """
        sets = [f"{path} = {value}" for path, value in paths.items() if value is not None]
        removes = [path for path, value in paths.items() if value is None]
        expression = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else "")
        used = set(re.findall(r"[#:]\w+", f"{expression} {condition or ''}"))
        self.call(
            "update_item",
            TableName=table,
            Key=_key(name),
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames={
                key: step if key == "#step" else key[1:] for key in sorted(used) if key.startswith("#")
            },
            ExpressionAttributeValues=written({f":{key}": value for key, value in values.items() if f":{key}" in used}),
        )


def _key(name: str) -> dict[str, Any]:
    return written({"pk": operations.partition(name), "sk": operations.STATE_KEY})


def _paths(values: Mapping[str, Any], inside: str = "") -> dict[str, str | None]:
    """Set attributes to values of the same name."""
    return {f"{inside}#{key}": None if value is None else f":{key}" for key, value in values.items()}


def _of_all(progress: Progress) -> dict[str, str | None]:
    """Say what a step changes of the operation: where one starts it goes on, also if it had ended before tasks were cleared."""
    changed: dict[str, str | None] = {"#changed_at": ":changed_at"}
    if progress.status == RUNNING:
        changed |= {"#outcome": ":running", **dict.fromkeys([f"#{key}" for key in _OF_THE_END])}
    return changed


def _batches(found: Mapping[str, str], size: int) -> Iterator[list[tuple[str, str]]]:
    """Cut a mapping into lists of pairs."""
    pairs = iter(found.items())
    while batch := list(islice(pairs, size)):
        yield batch
