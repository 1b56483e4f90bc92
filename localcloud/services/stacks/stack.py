"""A stack through its life: made, changed, rolled back, deleted, each over time and with its events."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, Stack, cloudformation_backends

from localcloud.services.stacks.api import Api, caller_of, using
from localcloud.services.stacks.resources import ChangedError, Held, LocalMap
from localcloud.services.stacks.template_rules import check_parameters, check_types

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moto.cloudformation.parsing import Export

    from localcloud.cloud import Cloud

log = logging.getLogger(__name__)

# In units of LOCALCLOUD_WAIT_S: how long an operation takes besides, and after what one that fails begins to go back.
TAKES, TURNS = 1.0, 0.5
RETAINED = {"Retain", "RetainExceptOnCreate"}
DELETED = "DELETE_COMPLETE"


@dataclass(frozen=True)
class Asked:
    """How a call wants an operation done.

    :param on_failure: what becomes of a stack that cannot be made.
    :param retains_new: by default also what this operation has made outlives its failure, where the template retains it.
    :param token: of the call, told by the operation's events.
    """

    on_failure: str = "ROLLBACK"
    retains_new: bool = True
    token: str | None = None


class LocalStack(Stack):
    """A stack whose status takes time."""

    __module__ = "moto.cloudformation.models"
    cloud: ClassVar[Cloud]
    asked: Asked = Asked()  # of the class: the call's, while one is answered; of a stack: the last operation's
    reason: str = ""
    resource_map: LocalMap

    # ---- what is seen now --------------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """Status at this moment."""
        now = time.time()
        return [told for moment, told in self._statuses if moment <= now][-1]

    @status.setter
    def status(self, value: str) -> None:
        self._statuses = [(0.0, value)]

    @property
    def stack_status_reason(self) -> str | None:
        """Why it is in its status."""
        return self.reason if self.reason and not self.status.endswith("_IN_PROGRESS") else None

    @property
    def last_status(self) -> str:
        """Status that it will have in the end."""
        return self._statuses[-1][1]

    @property
    def events(self) -> list[Event]:
        """Events so far."""
        now = datetime.now(UTC).replace(tzinfo=None)
        return [one for one in self._events if one.timestamp <= now]

    @events.setter
    def events(self, value: list[Event]) -> None:
        self._events = value

    @property
    def held(self) -> dict[str, Held]:
        """Resources that there are."""
        return getattr(self.resource_map, "held", {})

    @property
    def stack_resources(self) -> Iterable[Any]:
        """Objects of the resources."""
        return [one.object for one in self.held.values()]

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """Outputs, once there are any."""
        return self._told_outputs or None if self.status.endswith("_COMPLETE") else None

    @property
    def exports(self) -> list[Export]:
        """Values for other stacks; none before everything has been made."""
        return self._told_exports

    def _create_resource_map(self) -> LocalMap:
        self._told_outputs: list[dict[str, Any]] = []
        self._told_exports: list[Export] = []
        return self._map(self.template_dict, self.parameters)

    def _map(self, template: dict[str, Any], parameters: dict[str, Any]) -> LocalMap:
        if template:
            check_parameters(template, parameters)
            check_types(template)
        made = LocalMap(
            self.stack_id,
            self.name,
            parameters,
            self.tags,
            account_id=self.account_id,
            region_name=self.region_name,
            template=template,
            cross_stack_resources=self.cross_stack_resources,
        )
        made.begin({}, None)
        made.load()
        return made

    # ---- operations --------------------------------------------------------------------------------------------------

    def create_resources(self) -> None:
        """Make everything; what cannot be made takes all of it back, as the caller wants it."""
        self._start("CREATE_IN_PROGRESS")
        self.resource_map.begin({}, self._report)
        with using(self._api()):
            try:
                self.resource_map.bring_all()
                self._tell_outputs()
            except Exception as error:  # noqa: BLE001 - whatever it is, the stack fails by it
                self._failed("CREATE", error)
            else:
                self._finish("CREATE_COMPLETE")

    def _failed(self, verb: str, error: Exception) -> None:
        log.info("stack %s: %s: %s", self.name, verb, error, exc_info=not isinstance(error, RuntimeError))
        failing, made = self.resource_map.failing, self.resource_map
        self._report(failing, made.kind_of(failing), "", f"{verb}_FAILED", _text(error))
        self.reason = f"The following resource(s) failed to {verb.lower()}: [{failing}]. "
        if self.asked.on_failure == "DO_NOTHING":
            self._finish("CREATE_FAILED")
            return
        deletes = self.asked.on_failure == "DELETE"
        self._finish("DELETE_IN_PROGRESS" if deletes else "ROLLBACK_IN_PROGRESS", after=TURNS)
        left = self._delete(dict(made.held), kept=self._kept_new)
        made.held = left
        word = "DELETE" if deletes else "ROLLBACK"
        self._finish(f"{word}_FAILED" if any(one.kept != "Retain" for one in left.values()) else f"{word}_COMPLETE")

    def update(
        self,
        template: str,
        role_arn: str | None = None,
        parameters: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Change what the template or the parameters have changed.

        :raises ValidationError: nothing has changed, or the stack cannot be changed now.
        """
        self.check_idle("updated")
        wanted, given = self.parse_template(template), parameters or {}
        former_tags, self.role_arn = self.tags, role_arn or self.role_arn
        self.tags = self.tags if tags is None else tags
        if self.tags == former_tags and not self._would_change(wanted, given):
            raise ValidationError(message="No updates are to be performed.")
        old, held = self.resource_map, dict(self.held)
        self._start("UPDATE_IN_PROGRESS")
        new = self._map(wanted, given)
        new.begin(held, self._report)
        self.resource_map = new
        with using(self._api()):
            try:
                new.bring_all()
                former_template, self.template_dict = self.template_dict, wanted
                self.output_map = self._create_output_map()
                self._tell_outputs()
            except Exception as error:  # noqa: BLE001 - whatever it is, the update fails by it
                self._report(new.failing, new.kind_of(new.failing), "", "UPDATE_FAILED", _text(error))
                self.reason = f"The following resource(s) failed to update: [{new.failing}]. "
                self._finish("UPDATE_ROLLBACK_IN_PROGRESS", after=TURNS)
                self._go_back(old, new, held)
                self.tags = former_tags
                return
            del former_template
            self.template, self.parameters, self.description = template, given, wanted.get("Description")
            self._clean_up(new, held)
        self._finish("UPDATE_COMPLETE")

    def _would_change(self, template: dict[str, Any], parameters: dict[str, Any]) -> bool:
        trial = self._map(template, parameters)
        trial.begin(self.held, None, dry=True)
        try:
            trial.bring_all()
            outputs = _outputs(template, trial)
        except (ChangedError, KeyError, AttributeError):
            return True
        return trial.held.keys() != self.held.keys() or outputs != [
            (one["OutputKey"], one["OutputValue"]) for one in self._told_outputs
        ]

    def _go_back(self, old: LocalMap, new: LocalMap, held: dict[str, Held]) -> None:
        failed = []
        for key in reversed([*new.changed, *([new.failing] if new.failing in held else [])]):
            try:
                new.back(key, held[key])
            except Exception as error:  # noqa: BLE001 - told in the events
                failed.append(key)
                self._report(key, held[key].kind, "", "UPDATE_FAILED", _text(error))
        made = {key: new.held[key] for key in new.made if key in new.held}
        left = self._delete(made, kept=self._kept_new)
        self.resource_map = old
        for key, one in held.items():
            old._parsed_resources[key] = one.object  # noqa: SLF001 - ours
        stuck = {key: one for key, one in left.items() if one.kept not in self._kept_new}
        old.held = {**held, **stuck}
        self.output_map = self._create_output_map()
        self._finish("UPDATE_ROLLBACK_FAILED" if failed or stuck else "UPDATE_ROLLBACK_COMPLETE")

    def _clean_up(self, new: LocalMap, held: dict[str, Held]) -> None:
        """Delete what the template no longer has, and what was replaced."""
        gone = {key: one for key, one in held.items() if key not in new.held and one.kept not in RETAINED}
        replaced = {key: one for key, one in new.replaced if one.kept_replaced != "Retain"}
        for some in (gone, replaced):
            for key, one in reversed(list(some.items())):
                self._delete({key: one}, kept=set())

    def delete(self, retained: Iterable[str] = ()) -> None:
        """Delete everything but what shall stay; what cannot be deleted keeps the stack."""
        self._start("DELETE_IN_PROGRESS")
        wanted = set(retained)
        with using(self._api()):
            chosen = {key: one for key, one in self.held.items() if key not in wanted}
            left = self._delete(chosen, kept=RETAINED)
        failed = [key for key, one in left.items() if one.kept not in RETAINED]
        self.resource_map.held = left if failed else {}
        if failed:
            self.reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            self._finish("DELETE_FAILED")
            return
        self._told_exports = []
        self._finish(DELETED)

    def _delete(self, some: dict[str, Held], *, kept: set[str]) -> dict[str, Held]:
        """Delete resources from the last one on; give those that are left.

        :param kept: deletion policies by which a resource stays.
        """
        left = {}
        for key, one in reversed(list(some.items())):
            if one.kept in kept:
                self._report(key, one.kind, str(one.object.physical_resource_id), "DELETE_SKIPPED", "")
                left[key] = one
                continue
            try:
                self.resource_map.delete_one(key, one)
            except Exception as error:  # noqa: BLE001 - told in the events
                self._report(key, one.kind, str(one.object.physical_resource_id), "DELETE_FAILED", _text(error))
                left[key] = one
        return dict(reversed(list(left.items())))

    # ---- inside ------------------------------------------------------------------------------------------------------

    def check_idle(self, done: str) -> None:
        """Make sure that nothing is under way.

        :raises ValidationError: something is, or the stack can only be deleted.
        """
        dead = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
        if self.status.endswith("_IN_PROGRESS") or self.status in dead:
            raise ValidationError(message=f"Stack:{self.stack_id} is in {self.status} state and can not be {done}.")

    @property
    def _kept_new(self) -> set[str]:
        """Deletion policies by which what was made stays although the operation has failed."""
        return {"Retain"} if self.asked.retains_new else set()

    def _api(self) -> Api:
        return Api(self.cloud, caller_of(self.cloud, self.role_arn), self.region_name)

    def _start(self, status: str) -> None:
        self.asked, self.reason = LocalStack.asked, ""
        self._statuses = [(0.0, status)]
        if status != "CREATE_IN_PROGRESS":  # that one moto tells
            self._add_stack_event(status, resource_status_reason="User Initiated")

    def _finish(self, status: str, *, after: float = TAKES) -> None:
        """Note a status, which is reached a while after what was done last."""
        moment = max(time.time(), self._statuses[-1][0]) + after * self.cloud.config.wait_s
        self._statuses.append((moment, status))
        self._add_stack_event(status, resource_status_reason=self.reason or None)

    def _add_stack_event(
        self, resource_status: str, resource_status_reason: str | None = None, resource_properties: str | None = None
    ) -> None:
        event = Event(
            stack_id=self.stack_id,
            stack_name=self.name,
            logical_resource_id=self.name,
            physical_resource_id=self.stack_id,
            resource_type="AWS::CloudFormation::Stack",
            resource_status=resource_status,
            resource_status_reason=resource_status_reason,
            resource_properties=resource_properties,
        )
        self._note(event)
        event.sendToSns(self.account_id, self.region_name, self.notification_arns)

    def _note(self, event: Event) -> None:
        """Keep an event; it is seen when the status is that it belongs to."""
        moment = max(time.time(), self._statuses[-1][0])
        event.timestamp = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
        event.client_request_token = self.asked.token  # type: ignore[assignment]
        self._events.append(event)

    def _report(self, key: str, kind: str, physical: str, status: str, reason: str) -> None:
        event = Event(
            stack_id=self.stack_id,
            stack_name=self.name,
            logical_resource_id=key,
            physical_resource_id=physical,
            resource_type=kind,
            resource_status=status,
            resource_status_reason=reason or None,
            resource_properties=None,
        )
        self._note(event)

    def _tell_outputs(self) -> None:
        self._told_outputs = list(Stack.outputs.fget(self) or [])  # type: ignore[attr-defined]
        exports = self.output_map.exports
        known = cloudformation_backends[self.account_id][self.region_name].exports
        for one in exports:
            if one.name in known and known[one.name].exporting_stack_id != self.stack_id:
                raise ValidationError(message=f"Export with name {one.name} is already exported by another stack")
        for name in [name for name, one in known.items() if one.exporting_stack_id == self.stack_id]:
            del known[name]
        known.update({one.name: one for one in exports})
        self._told_exports = exports


def _outputs(template: dict[str, Any], resources: LocalMap) -> list[tuple[str, Any]]:
    found = []
    for key, told in (template.get("Outputs") or {}).items():
        one = parsing.parse_output(key, told, resources)
        if one:
            found.append((one.key, one.value))
    return found


def _text(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)


class LocalStacks(CloudFormationBackend):
    """Stacks of an account in a region."""

    __module__ = "moto.cloudformation.models"

    def settle(self) -> None:
        """Put away the stacks whose end has come."""
        for number, stack in list(self.stacks.items()):
            if stack.status == DELETED:
                self.deleted_stacks[number] = self.stacks.pop(number)

    def update_stack(
        self,
        name: str,
        template: str,
        role_arn: str | None,
        parameters: list[dict[str, Any]],
        tags: dict[str, str] | None,
    ) -> Stack:
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html."""
        stack = self.get_stack(name)
        for one in parameters:
            if one.get("UsePreviousValue") and one["ParameterKey"] not in stack.parameters:
                declared = stack.template_dict.get("Parameters") or {}
                one["ParameterValue"] = str((declared.get(one["ParameterKey"]) or {}).get("Default", ""))
                del one["UsePreviousValue"]
        return super().update_stack(name, template, role_arn, parameters, tags)

    def execute_change_set(self, change_set_name: str, stack_name: str | None = None) -> None:  # noqa: ARG002 - moto's form
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html."""
        found = self.describe_change_set(change_set_name)
        assert found is not None
        stack = self.stacks[found.stack_id]
        assert isinstance(stack, LocalStack)
        if found.change_set_type == "CREATE":
            stack.template, stack.parameters = found.template, found.parameters
            stack._parse_template()  # noqa: SLF001 - moto's
            stack.resource_map = stack._create_resource_map()  # noqa: SLF001 - ours
            stack.output_map = stack._create_output_map()  # noqa: SLF001 - moto's
            stack._add_stack_event("CREATE_IN_PROGRESS", resource_status_reason="User Initiated")  # noqa: SLF001 - moto's
            stack.create_resources()
        else:
            stack.update(found.template, found.role_arn, found.parameters, found.tags)
        found.execution_status = "EXECUTE_COMPLETE"

    def remove(self, name: str, retained: list[str]) -> None:
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html."""
        stack = next((one for one in self.stacks.values() if name in {one.name, one.stack_id}), None)
        if not isinstance(stack, LocalStack) or stack.status == "DELETE_IN_PROGRESS":
            return
        if stack.enable_termination_protection:
            raise ValidationError(
                message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        if retained and stack.status != "DELETE_FAILED":
            raise ValidationError(
                message="Invalid operation on stack. Specify only resources that failed to delete, of a stack in DELETE_FAILED"
            )
        exported = [one.name for one in stack.exports]
        stack.delete(retained)
        if stack.last_status == DELETED:
            for export in exported:
                self.exports.pop(export, None)
