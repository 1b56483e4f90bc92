"""The size of a new cluster, as a request may ask for it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.requests.base import Request
from aurora_ops.core.settings import Environment, InstanceClass

_SERVERLESS = "db.serverless"


class Capacity(Request):
    """Class and number of instances; what is left empty is the environment's."""

    last: ClassVar[tuple[str, ...]] = ("instance_class", "readers", "min_acu", "max_acu", "keep_days")

    instance_class: InstanceClass | None = Field(
        None,
        title="Instance class",
        description="Such as db.r6g.large or db.serverless. Empty: target.instances.class of the environment.",
        examples=["db.r6g.large", "db.serverless"],
    )
    readers: int | None = Field(
        None, ge=0, le=15, title="Readers", description="Beside the writer. Empty: target.instances.readers."
    )
    min_acu: float | None = Field(
        None, ge=0, le=256, title="Lowest ACU", description="For db.serverless. Empty: that of the environment."
    )
    max_acu: float | None = Field(
        None, ge=1, le=256, title="Highest ACU", description="For db.serverless. Empty: that of the environment."
    )

    def capacity_problems(self, settings: Environment) -> list[PermanentError]:
        """Refuse a capacity that its class does not take, or one without bounds."""
        chosen = self.instance_class or settings.target.instances.instance_class
        scaling = self._scaling(settings)
        if chosen != _SERVERLESS:
            given = self.min_acu if self.min_acu is not None else self.max_acu
            return [ConfigError("min_acu", given, f"only {_SERVERLESS} takes a capacity")] if given is not None else []
        if scaling is None:
            return [ConfigError("max_acu", self.max_acu, f"{_SERVERLESS} needs min_acu and max_acu")]
        if scaling["min_acu"] > scaling["max_acu"]:
            return [ConfigError("min_acu", scaling["min_acu"], f"it must be at most max_acu, {scaling['max_acu']:g}")]
        return []

    def _scaling(self, settings: Environment) -> dict[str, float] | None:
        """Join the run's capacity with the environment's; ``None`` where it is not serverless or not known."""
        if (self.instance_class or settings.target.instances.instance_class) != _SERVERLESS:
            return None
        wanted = settings.target.instances.serverless
        low = self.min_acu if self.min_acu is not None or wanted is None else wanted.min_acu
        high = self.max_acu if self.max_acu is not None or wanted is None else wanted.max_acu
        return None if low is None or high is None else {"min_acu": low, "max_acu": high}

    def capacity(self, settings: Environment) -> dict[str, Any]:
        """Give ``instance_class``, ``readers`` and ``serverless`` of the new cluster."""
        wanted = settings.target.instances
        return {
            "instance_class": self.instance_class or wanted.instance_class,
            "readers": self.readers if self.readers is not None else wanted.readers,
            "serverless": self._scaling(settings),
        }
