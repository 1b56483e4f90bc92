"""Rules of masking: what ``include/sql/masking/<schema>/columns.yaml`` decides about each column, and what is proven of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.maskers import HIGHEST_DATE, LOWEST_DATE, MASKERS, Options, Proof, literal
from aurora_ops.core.tables import Column, quoted
from aurora_ops.core.yaml_files import read_yaml

Decision = Literal["mask", "script", "generated", "keep"]
JSON = "json"
# Maskers of values inside JSON documents: those whose fake is text or nothing.
JSON_MASKERS = tuple(sorted(set(MASKERS) - {"date_shift", "number_noise"}))
_FORMS = (
    "write a masker's name, or {mask: <masker>, <options>}, {mask: json, paths: {<path>: <masker>}}, {mask: generated}, "
    '{mask: script} or {keep: "<reason>"}'
)
_PATH = re.compile(r'\$(?:\.(?:[A-Za-z_][0-9A-Za-z_]*|"[^"\\*]+")|\[\d+\])+')


class ProofTarget(NamedTuple):
    """One thing to prove of a column.

    :param label: names it: ``schema.table.column``, for JSON followed by the path.
    :param expression: SQL of the value that is compared; NULL and '' are nobody's.
    """

    label: str
    expression: str


@dataclass(frozen=True)
class ColumnRule:
    """What is decided about a column.

    :param column: the column.
    :param decision: ``mask`` (by a masker), ``script`` (by a SQL file of the folder), ``generated`` (follows its sources),
        ``keep``.
    :param masker: name of the masker, ``json`` among them; only where the decision is ``mask``.
    :param options: all options of the masker; for ``json`` the one option ``paths``: path to (masker, options).
    :param reason: why the column is kept.
    :param proof: ``values`` (no original value is found anywhere in the column), ``rows`` (no row keeps its own value), ``none``.
    """

    column: Column
    decision: Decision
    masker: str | None
    options: Mapping[str, Any]
    reason: str | None
    proof: Proof


def read_rules(folder: Path) -> list[ColumnRule]:
    """Read what is decided about the columns of a schema.

    :param folder: ``include/sql/masking/<schema>``; its ``columns.yaml`` maps table to column to rule.
    :return: the rules, in the order of the file.
    :raises ConfigError: no file, or a rule of another form; names file, table and column.
    """
    path = folder / "columns.yaml"
    where = f"masking/{folder.name}/columns.yaml"
    if not path.is_file():
        raise ConfigError(where, None, f"write {path.name}: table -> column -> rule")
    content: Any = read_yaml(path, where)
    if not isinstance(content, dict) or not content:
        raise ConfigError(where, content, "write table -> column -> rule")
    found: list[ColumnRule] = []
    for table, columns in content.items():
        if not isinstance(columns, dict) or not columns:
            raise ConfigError(f"{where}:{table}", columns, "write column -> rule")
        for name, given in columns.items():
            column = Column.parse(f"{folder.name}.{table}.{name}", where)
            found.append(parse_rule(column, given, f"{where}:{table}.{name}"))
    _require_unmasked_keys(found, where)
    return found


def parse_rule(column: Column, given: Any, field: str) -> ColumnRule:
    """Read one rule.

    :param column: whose it is.
    :param given: what the file says.
    :param field: where it says so, for errors.
    :raises ConfigError: it has none of the forms.
    """
    if isinstance(given, str):
        given = {"mask": given}
    if not isinstance(given, dict) or ("mask" in given) == ("keep" in given):
        raise ConfigError(field, given, _FORMS)
    if "keep" in given:
        reason = given["keep"]
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigError(f"{field}.keep", reason, "write the reason why its values may stay")
        _refuse_unknown(given, {"keep"}, field)
        return ColumnRule(column, "keep", None, {}, reason.strip(), "none")
    rest = {key: value for key, value in given.items() if key not in ("mask", "proof")}
    name = _masker_name(given["mask"])
    if name in ("script", "generated"):
        _refuse_unknown(rest, set(), field)
        decision: Decision = "script" if name == "script" else "generated"
        return ColumnRule(column, decision, None, {}, None, _proof(given, "values", field))
    if name == JSON:
        _refuse_unknown(rest, {"paths"}, field)
        options: Options = {"paths": _paths(rest.get("paths"), f"{field}.paths")}
        return ColumnRule(column, "mask", JSON, options, None, _proof(given, "values", field))
    options = _options(name, rest, f"{field}.mask", field)
    return ColumnRule(column, "mask", name, options, None, _proof(given, MASKERS[name].proof, field))


def proof_targets(rule: ColumnRule) -> list[ProofTarget]:
    """List what is proven of a column: the column itself, for JSON each path; nothing of a kept one or without proof.

    A fake that is the same everywhere is left out of the comparison: it may have been somebody's value, and shows nobody's.
    """
    if rule.decision == "keep" or rule.proof == "none":
        return []
    name = quoted(rule.column.name)
    if rule.masker == JSON:
        return [
            ProofTarget(f"{rule.column} {path}", _without_fixed(f"NULLIF({json_text(name, path)}, 'null')", *masked))
            for path, masked in rule.options["paths"].items()
        ]
    if rule.masker is None:
        return [ProofTarget(str(rule.column), name)]
    expression = _without_fixed(name, rule.masker, rule.options)
    if rule.masker == "date_shift":
        # marks such as 9999-12-31 are not shifted
        expression = f"IF({name} >= '{LOWEST_DATE}' AND {name} < '{HIGHEST_DATE}', {name}, NULL)"
    return [ProofTarget(str(rule.column), expression)]


def json_text(document: str, path: str) -> str:
    """Write the SQL of a value inside a JSON document, as text without quotes; NULL for what is no document or not in it."""
    return f"IF(JSON_VALID({document}), JSON_UNQUOTE(JSON_EXTRACT({document}, {literal(path)})), NULL)"


def _without_fixed(value: str, masker: str, options: Options) -> str:
    fixed = MASKERS[masker].fixed(options)
    return f"NULLIF({value}, {fixed})" if fixed is not None else value


def _masker_name(given: Any) -> Any:
    # {mask: null} is YAML's null, and means the masker of that name
    return "null" if given is None else given


def _options(masker: Any, given: Mapping[str, Any], field: str, owner: str) -> dict[str, Any]:
    if not isinstance(masker, str) or masker not in MASKERS:
        raise ConfigError(field, masker, f"write one of {', '.join(sorted([*MASKERS, JSON, 'script', 'generated']))}")
    known = MASKERS[masker].options
    _refuse_unknown(given, set(known), owner)
    options = {name: given.get(name, option.default) for name, option in known.items()}
    for name, option in known.items():
        if name in given and not option.accepts(given[name]):
            raise ConfigError(f"{owner}.{name}", given[name], option.allowed)
        if options[name] is ...:
            raise ConfigError(f"{owner}.{name}", None, option.allowed)
    return options


def _paths(given: Any, field: str) -> dict[str, tuple[str, dict[str, Any]]]:
    if not isinstance(given, dict) or not given:
        raise ConfigError(field, given, "write path -> masker, such as {$.contact.email: email}")
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, rule in given.items():
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise ConfigError(
                field,
                path,
                'write a path of names and positions, such as $.contact."e-mail" or $.phones[0]; no wildcards',
            )
        where = f"{field}.{path}"
        masked = {"mask": rule} if isinstance(rule, str) else rule
        name = _masker_name(masked.get("mask", "")) if isinstance(masked, dict) else None
        if not isinstance(masked, dict) or name not in JSON_MASKERS:
            raise ConfigError(where, rule, f"inside JSON write one of {', '.join(JSON_MASKERS)}")
        options = {key: value for key, value in masked.items() if key != "mask"}
        found[path] = (name, _options(name, options, where, where))
    for one in found:
        if any(other != one and other.startswith((f"{one}.", f"{one}[")) for other in found):
            raise ConfigError(field, one, "leave it out, or the paths inside it: one of them would undo the other")
    return found


def _proof(given: Mapping[str, Any], default: Proof, field: str) -> Proof:
    proof = given.get("proof", default)
    if proof not in get_args(Proof):
        raise ConfigError(f"{field}.proof", proof, f"write one of {', '.join(get_args(Proof))}")
    return proof  # type: ignore[no-any-return]


def _refuse_unknown(given: Mapping[str, Any], known: set[str], field: str) -> None:
    if unknown := sorted(str(key) for key in given if key not in known):
        allowed = ", ".join(sorted(known)) or "nothing"
        raise ConfigError(f"{field}.{unknown[0]}", given.get(unknown[0]), f"beside mask and proof allowed is {allowed}")


def _require_unmasked_keys(rules: list[ColumnRule], where: str) -> None:
    """See that columns which others are shifted by keep their values: an UPDATE may set them first."""
    changed = {rule.column for rule in rules if rule.decision != "keep"}
    for rule in rules:
        by = rule.options.get("by")
        if by and rule.column._replace(name=by) in changed:
            raise ConfigError(
                f"{where}:{rule.column.table.name}.{rule.column.name}.by", by, "name a column that is not masked"
            )
