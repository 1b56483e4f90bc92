"""Templates of CloudFormation, read, and evaluated as CloudFormation does, as far as ours need it."""

from __future__ import annotations

from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as lists: name, value."""


Loader.add_multi_constructor(
    "!",
    lambda loader, name, node: [
        name,
        loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True),
    ],
)


def evaluated(template: dict[str, Any], value: Any, **given: Any) -> Any:
    """What CloudFormation makes of a value with these parameters."""
    parameters = {name: one.get("Default") for name, one in template["Parameters"].items()} | given
    match value:
        case ["If", [condition, yes, no]]:
            return evaluated(template, yes if holds(template, condition, **given) else no, **given)
        case ["GetAtt", _]:
            return value
        case ["Ref", "AWS::NoValue"]:
            return None
        case ["Ref", name]:
            return parameters.get(name, f"<{name}>")
        case ["Sub", text]:
            for name, default in parameters.items():
                text = text.replace(f"${{{name}}}", str(default))
            return text
        case ["FindInMap", [name, first, second]]:
            return template["Mappings"][name][evaluated(template, first, **given)][second]
        case dict():
            return {key: evaluated(template, inner, **given) for key, inner in value.items()}
        case list():
            found = [evaluated(template, inner, **given) for inner in value]
            return [one for one in found if one is not None]
    return value


def holds(template: dict[str, Any], condition: Any, **given: Any) -> bool:
    """Whether a condition, by its name or written out, holds with these parameters."""
    match condition:
        case ["Equals", [left, right]]:
            return str(evaluated(template, left, **given)) == str(right)
        case ["Or", parts]:
            return any(holds(template, one, **given) for one in parts)
        case ["Not", [inner]]:
            return not holds(template, inner, **given)
        case {"Condition": name} | str(name):
            return holds(template, template["Conditions"][name], **given)
    raise ValueError(condition)
