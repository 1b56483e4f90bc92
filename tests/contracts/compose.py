"""docker-compose.yaml as compose would read it: anchors and variables resolved, profiles applied."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from devstack.settings import REPO

FILE = REPO / "docker-compose.yaml"
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:[-?])([^}]*))?\})")


class UnsetError(KeyError):
    """A variable that must be set is not."""


def filled(example: Path = REPO / ".env.example", **more: str) -> dict[str, str]:
    """A filled-in copy of an env file.

    :param more: values on top of it.
    """
    read = dotenv_values(stream=io.StringIO(example.read_text()))
    return {name: value or "filled-in" for name, value in read.items()} | more


def interpolated(text: str, env: dict[str, str]) -> str:
    """Replace ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``$$``.

    :raises UnsetError: a variable without default is unset or empty.
    """

    def value(match: re.Match[str]) -> str:
        name, operator, operand = match.groups()
        if name is None:
            return "$"
        if env.get(name):
            return env[name]
        if operator == ":-":
            return operand
        raise UnsetError(name)

    return VARIABLE.sub(value, text)


def resolved(node: Any, env: dict[str, str]) -> Any:
    """Interpolate every text below a node."""
    match node:
        case dict():
            return {key: resolved(value, env) for key, value in node.items()}
        case list():
            return [resolved(value, env) for value in node]
        case str():
            return interpolated(node, env)
        case _:
            return node


def load(env: dict[str, str], *profiles: str) -> dict[str, Any]:
    """The services that run with these variables and profiles.

    Variables without a value take it from ``env``, or are absent.
    """
    document = resolved(yaml.safe_load(FILE.read_text()), env)
    chosen = {}
    for name, service in document["services"].items():
        if not service.get("profiles") or set(service["profiles"]) & set(profiles):
            given = service.get("environment", {})
            service["environment"] = {
                key: env[key] if value is None else value
                for key, value in given.items()
                if value is not None or key in env
            }
            chosen[name] = service
    return chosen
