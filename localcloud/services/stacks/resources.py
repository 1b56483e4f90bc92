"""The resources of a stack: made in the order of their references, changed where what they say has changed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.cloudformation import parsing
from moto.cloudformation.parsing import ResourceMap

from localcloud.services.stacks.kinds import Resource, tag_map

if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[[str, str, str, str, str], None]


class ChangedError(Exception):
    """Something of a stack would change."""


@dataclass
class Held:
    """A resource that there is.

    :param resolved: its part of the template, references and functions resolved.
    :param kept: its ``DeletionPolicy``: whether it outlives the stack.
    :param kept_replaced: its ``UpdateReplacePolicy``: whether it outlives its replacement.
    """

    object: Any
    kind: str
    resolved: dict[str, Any]
    kept: str = ""
    kept_replaced: str = ""


class LocalMap(ResourceMap):
    """Resources by their logical names."""

    report: Report | None = None
    dry = False

    def begin(self, former: dict[str, Held], report: Report | None, *, dry: bool = False) -> None:
        """Say what there is already, and who is told what happens.

        :param dry: nothing is made or changed; the first thing that would be is told by :class:`ChangedError`.
        """
        self.former, self.report, self.dry = former, report, dry
        self.held: dict[str, Held] = {}
        self.made: list[str] = []
        self.changed: list[str] = []
        self.replaced: list[tuple[str, Held]] = []
        self.failing = ""

    def __getitem__(self, key: str) -> Any:
        """Give a resource; it is made or changed first, if that has not been done."""
        if key in self._parsed_resources:
            return self._parsed_resources[key]
        told = self._resource_json_map.get(key)
        if not told:
            raise KeyError(key)
        condition = told.get("Condition")
        if condition and not self.lazy_condition_map[condition]:
            return None
        return self._bring(key, copy.deepcopy(told))

    def bring_all(self) -> None:
        """Make or change every resource."""
        for key in self._resource_json_map:
            _ = self[key]

    def _bring(self, key: str, told: dict[str, Any]) -> Any:
        depends = told.get("DependsOn") or []
        for other in [depends] if isinstance(depends, str) else depends:
            _ = self[other]
        parsed = parsing.parse_resource_and_generate_name(key, told, self)
        if not parsed:
            return None
        kind_class, resolved, name = parsed
        resolved = self._tagged(kind_class, resolved)
        kind, former = str(told["Type"]), self.former.get(key)
        if former is not None and former.kind == kind and former.resolved == resolved:
            found = former.object
        elif self.dry:
            raise ChangedError(key)
        else:
            self.failing = self.failing or key
            found = self._make(key, kind, kind_class, resolved, name, former)
            self.failing = ""
        self._parsed_resources[key] = found
        policies = [str(told.get(one) or "") for one in ("DeletionPolicy", "UpdateReplacePolicy")]
        self.held[key] = Held(found, kind, resolved, *policies)
        return found

    def _make(
        self, key: str, kind: str, kind_class: Any, resolved: dict[str, Any], name: str, former: Held | None
    ) -> Any:
        where = {"account_id": self._account_id, "region_name": self._region_name}
        resolved = copy.deepcopy(resolved)
        updates = former is not None and former.kind == kind
        verb = "UPDATE" if updates else "CREATE"
        self._tell(key, kind, former.object if former else None, f"{verb}_IN_PROGRESS")
        if updates and former is not None:
            found = kind_class.update_from_cloudformation_json(
                original_resource=former.object, new_resource_name=name, cloudformation_json=resolved, **where
            )
            self.changed.append(key)
        else:
            more = {"LogicalId": key, "StackId": self.stack_id, "ResourceType": kind}
            found = kind_class.create_from_cloudformation_json(name, resolved, **where, **more)
            self.made.append(key)
        found.cf_resource_type, found.logical_resource_id = kind, key
        if (
            former is not None
            and isinstance(former.object, Resource)
            and former.object.physical_id != found.physical_id
        ):
            self.replaced.append((key, former))
        self._tell(key, kind, found, f"{verb}_COMPLETE")
        return found

    def _tagged(self, kind_class: Any, resolved: dict[str, Any]) -> dict[str, Any]:
        """Give a resource the stack's tags, where it has no others of the same keys."""
        stack = {key: value for key, value in self.tags.items() if not key.startswith("aws:")}
        if not (
            stack and isinstance(kind_class, type) and issubclass(kind_class, Resource) and "Tags" in kind_class.known
        ):
            return resolved
        given = resolved.setdefault("Properties", {})
        own = tag_map(given)
        given["Tags"] = [{"Key": key, "Value": value} for key, value in {**stack, **own}.items()]
        return resolved

    def delete_one(self, key: str, held: Held) -> None:
        """Delete a resource."""
        self._tell(key, held.kind, held.object, "DELETE_IN_PROGRESS")
        self._delete_resource(held.object, copy.deepcopy(held.resolved))
        self._tell(key, held.kind, held.object, "DELETE_COMPLETE")

    def back(self, key: str, former: Held) -> None:
        """Change a resource back to what it was."""
        now = self.held[key].object if key in self.held else former.object
        kind_class = parsing.resource_class_from_type(former.kind)
        former.object = kind_class.update_from_cloudformation_json(
            original_resource=now,
            new_resource_name=str(former.object.physical_resource_id),
            cloudformation_json=copy.deepcopy(former.resolved),
            account_id=self._account_id,
            region_name=self._region_name,
        )
        former.object.cf_resource_type, former.object.logical_resource_id = former.kind, key

    def _tell(self, key: str, kind: str, found: Any, status: str) -> None:
        if self.report is not None:
            self.report(key, kind, str(getattr(found, "physical_resource_id", "") or ""), status, "")

    def kind_of(self, key: str) -> str:
        """Type of a resource."""
        return str((self._resource_json_map.get(key) or {}).get("Type", ""))
