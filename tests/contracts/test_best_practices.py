"""The founding checklists: every row is there, says one of two things, and whatever it points at exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import best_practices
import generate
import pytest
from airflow.dag_processing.dagbag import DagBag
from aurora_ops.core.settings import Environment
from best_practices import DAG, SETTING, Link, Row

from devstack.settings import REPO
from tests.graph.conftest import read_dags

ROWS = best_practices.read(REPO / "docs" / "best_practices.yaml")
POINTS = best_practices.read(REPO / "docs" / "acceptance.yaml")
PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
each_row = pytest.mark.parametrize("row", [*ROWS, *POINTS], ids=lambda row: f"{row.section[:5]}{row.row}")
Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return read_dags()


def setting_paths() -> set[str]:
    """Every field of the settings, and every section, as the page of settings names them."""
    schema = Environment.model_json_schema(by_alias=True)
    found: set[str] = set()
    for row in generate.rows(schema, schema["$defs"]):
        parts = re.findall(r"`([^`]+)`", row)[0].replace("[]", "").split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return found


def is_defined(path: Path, names: tuple[str, ...]) -> bool:
    """Whether a file defines a name, or a name in a class; the file is read, not imported."""
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in names:
        found = [node for node in body if name in names_of(node)]
        if not found:
            return False
        body = found[0].body if isinstance(found[0], Defined) else []
    return True


def names_of(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def headings(path: Path) -> set[str]:
    return {best_practices.slug(text) for text in re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)}


def why_dead(text: str, bag: DagBag) -> str | None:
    """Say what is wrong with a link; ``None`` where it is alive."""
    link = Link.of(text)
    path = REPO / link.target
    if link.kind:
        known = {DAG: set(bag.dags), SETTING: setting_paths()}[link.kind]
        return None if link.target in known else f"{text}: there is none"
    if not path.exists():
        return f"{text}: no such file"
    if link.names and not is_defined(path, link.names):
        return f"{text}: it defines none"
    if link.heading and link.heading not in headings(path):
        return f"{text}: its headings are {sorted(headings(path))}"
    if link.is_test and not (link.names and link.names[-1].startswith("test_") and path.name.startswith("test_")):
        return f"{text}: name the test, not its file"
    return None


def test_each_of_the_72_rows_stands_there_once() -> None:
    assert Counter(row.row for row in ROWS) == Counter(range(1, 73))
    assert [row.row for row in ROWS] == list(range(1, 73))


def test_each_point_of_acceptance_stands_there_once_and_is_shown_by_a_test() -> None:
    assert [point.row for point in POINTS] == list(range(1, 31))
    assert all(any(link.is_test for link in point.links) for point in POINTS)
    restores = [point for point in POINTS if point.section == "Restore"]
    assert all(any(text.startswith("tests/local/") for text in point.met_by) for point in restores)


@each_row
def test_a_row_is_met_or_says_why_not(row: Row) -> None:
    assert row.asks
    assert bool(row.met_by) != bool(row.not_here)
    assert bool(row.met_by) == bool(row.how)
    assert not (row.met_by and row.instead)
    assert not (row.not_here and row.yours), "the reason says what is left to whom"


@each_row
def test_what_a_row_points_at_exists(row: Row, bag: DagBag) -> None:
    dead = [why for text in (*row.met_by, *row.instead) if (why := why_dead(text, bag))]
    assert dead == []


@each_row
def test_a_row_that_claims_tests_names_one(row: Row) -> None:
    if re.search(r"\b(tests?|tested|proven)\b", f"{row.how} {row.not_here}"):
        assert any(link.is_test for link in row.links)


@each_row
def test_what_is_met_by_code_is_tested(row: Row) -> None:
    """Only what people read needs no test."""
    code = [link for link in row.links if link.kind or link.target.startswith("plugins/")]
    if row.met_by and code:
        assert any(link.is_test for link in row.links)


@pytest.mark.parametrize(
    "text",
    [
        "docs/how-to/none.md",
        "docs/how-to/records.md#no-such-heading",
        "dag:no_such_dag",
        "setting:restore.no_such_field",
        "setting:drills",
        "tests/contracts/test_best_practices.py",
        "tests/contracts/test_best_practices.py::test_that_was_renamed",
        "tests/contracts/test_best_practices.py::each_row",
        "tests/unit/operators/test_clusters.py::test_writer_is_created_in_the_cluster_and_never_public",
        "tests/unit/operators/test_clusters.py::TestInstances::test_that_was_renamed",
        "plugins/aurora_ops/core/naming.py::no_such_function",
    ],
)
def test_a_dead_link_would_be_noticed(text: str, bag: DagBag) -> None:
    assert why_dead(text, bag)


def test_the_page_shows_every_row_and_link() -> None:
    text = (REPO / "docs" / "reference" / "best-practices.md").read_text(encoding="utf-8")
    for row in ROWS:
        [line] = [line for line in text.splitlines() if line.startswith(f"| {row.row} |")]
        assert row.asks in line
        assert line.count("](") == len(row.links)
        assert line.count(" | ") == 4, "a cell holds the mark that ends cells"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        if not found.exists() or (heading and heading not in headings(found)):
            dead.append(target)
    assert dead == []
