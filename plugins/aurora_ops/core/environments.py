"""Environment files: finding, reading and checking them, and laying a run's parameters over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from aurora_ops.core.errors import ConfigError, PermanentError, report
from aurora_ops.core.settings import RUN_PARAMS, RUN_SWITCHES, Environment

Origin = Literal["param", "file", "default"]


@dataclass(frozen=True)
class Resolved:
    """Settings of a run, and where each value that was given came from.

    :param settings: the settings.
    :param origins: dotted field to ``param`` or ``file``; what is absent is the default.
    :param switches: what is asked of the run beside its settings: those of ``RUN_SWITCHES`` that are on.
    """

    settings: Environment
    origins: Mapping[str, Origin] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()


def names(folder: Path) -> list[str]:
    """List the environments that have a file, sorted.

    :param folder: ``include/config``.
    """
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.name.startswith("."))


def read(path: Path) -> dict[str, Any]:
    """Read a file without judging its values.

    :param path: ``include/config/<environment>.yaml``.
    :raises ConfigError: it is not YAML, not a mapping, or names another environment.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:  # ValueError: not UTF-8, or a date that does not exist
        raise ConfigError(path.name, str(exc).replace("\n", " "), "write valid YAML, in UTF-8") from exc
    if not isinstance(raw, dict):
        raise ConfigError(path.name, type(raw).__name__, "write a mapping with environment, source, target, ...")
    if raw.get("environment") != path.stem:
        raise ConfigError("environment", raw.get("environment"), f"it must be the file's name, {path.stem!r}")
    return raw


def resolve(raw: Mapping[str, Any], conf: Mapping[str, Any] | None = None) -> Resolved:
    """Lay a run's parameters over an environment's file and check the result.

    :param raw: content of the file, from ``read``.
    :param conf: parameters of the run; ``None`` values and absent keys leave the file's value.
    :return: settings with the origin of each value.
    :raises ConfigError: an unknown parameter, or a value that is not allowed.
    :raises PermanentError: several of these, all named.
    """
    merged = _copy(raw)
    origins: dict[str, Origin] = dict.fromkeys(_leaves(merged), "file")
    problems: list[PermanentError] = []
    for name, value in (conf or {}).items():
        if name in RUN_SWITCHES:
            if not isinstance(value, bool | None):
                problems.append(ConfigError(name, value, "write true or false"))
        elif name not in RUN_PARAMS:
            known = sorted([*RUN_PARAMS, *RUN_SWITCHES])
            problems.append(ConfigError(name, value, f"known run parameters are {known}"))
        elif value is not None:
            _set(merged, RUN_PARAMS[name], value)
            origins[RUN_PARAMS[name]] = "param"
            merged.pop("retention", None)  # what is kept has nothing to do with a run whose target is another one
    try:
        settings = Environment.model_validate(merged)
    except ValidationError as exc:
        problems += problems_of(exc)
    report(problems)
    return Resolved(settings, origins, frozenset(name for name in RUN_SWITCHES if (conf or {}).get(name) is True))


def problems_of(exc: ValidationError) -> list[PermanentError]:
    """Turn what a model refuses into errors that name field, value and what is allowed."""
    found: list[PermanentError] = []
    for error in exc.errors(include_url=False):
        where = ".".join(str(part) for part in error["loc"])
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "setting":
            told = error["ctx"]
            field = f"{where}.{told['field']}" if where else told["field"]
            found.append(ConfigError(field, told["value"], told["allowed"]))
        elif error["type"] == "missing":
            found.append(ConfigError(where, None, "it is required"))
        elif error["type"] == "extra_forbidden":
            found.append(ConfigError(where, error["input"], "there is no such setting; see docs/reference/settings.md"))
        else:
            found.append(ConfigError(where, error["input"], message))
    return found


def _copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    return list(node) if isinstance(node, list) else node


def _leaves(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in node.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return found


def _set(node: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            return  # the model refuses the file's own value
        node = child
    node[last] = value
