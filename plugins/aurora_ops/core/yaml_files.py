"""YAML files of people, in which nothing is dropped silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aurora_ops.core.errors import ConfigError


class _Once(yaml.SafeLoader):
    """Refuse a key that stands in a mapping twice: YAML would silently drop what the first said."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, where: str) -> Any:
    """Read a file.

    :param path: the file, in UTF-8.
    :param where: how it is named in errors.
    :raises ConfigError: it is not YAML, or a key stands in a mapping twice.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Once)  # noqa: S506 - a SafeLoader
    except (ValueError, TypeError, yaml.YAMLError) as exc:
        raise ConfigError(where, str(exc).replace("\n", " "), "write valid YAML, each key once") from exc
