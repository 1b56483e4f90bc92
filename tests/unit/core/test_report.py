"""The report is one page that needs nothing else, and cannot be made to do anything."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from aurora_ops.core import report
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core import runs

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
OUTSIDE = {"script", "img", "link", "iframe", "object", "embed", "form", "input", "base"}


class Page(HTMLParser):
    """Elements, attributes, text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_says_what_people_ask() -> None:
    page = Page(runs.page())
    for said in (
        "Refresh of staging succeeded", "new cluster", "rds:prod-shop-2026-06-30-23-10", "staging-shop-restore",
        "shop.customers.email 243,118", "0 original values survived in 2 columns", "shop.orders.note: 3 values look like",
        "8,412,233", "critical path", "aurora-ops 0.1.0", "2026-07-01 02:00:00 UTC", "waiting for AWS",
    ):  # fmt: skip
        assert said in page.text, said
    assert page.open == []


def test_failure_is_told_with_cause_and_remedy() -> None:
    made = runs.record({"mask.prove_mask": "failed"}, causes={"mask.prove_mask": "survived: a.b.c; mend it"})
    page = Page(runs.page(made, results={}))
    assert "failed at mask.prove_mask" in page.text
    assert "survived: a.b.c; mend it" in page.text
    assert "What to do: What serves was not touched. Mend it." in page.text
    assert "The proof did not come to its end" in page.text


def test_needs_nothing_else_and_runs_nothing() -> None:
    page = Page(runs.page())
    assert not OUTSIDE & set(page.tags)
    loads = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "data", "action")]
    assert loads == ["https://airflow.example/dags/refresh_staging/runs/x"], (
        "links that people follow, nothing that is loaded"
    )
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in runs.page()
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def evil_run(evil: str) -> str:
    made = runs.record(
        {evil: "failed"},
        causes={evil: evil},
        conf={evil: evil},
        triggered_by=evil,
        plan=runs.PLAN | {"target_cluster": evil, evil: [evil]},
        timings=runs.timings() | {evil: {"spans": [{"kind": "sql", "what": evil, "start": 1.0, "end": 2.0}], "try": 1}},
        results={evil: {evil: evil, "warnings": [evil]}, "mask.prove_mask": {"columns": {evil: 1}, "survivors": 0}},
    )
    made["links"] = {evil: f"https://x/{evil}"}
    results = {evil: {evil: {evil: evil}}, "mask.prove_mask": {"columns": {evil: 1}, "survivors": 0}}
    return runs.page(made, results=results, versions={evil: evil})


@pytest.mark.parametrize(
    "evil", [EVIL, "</style><script>x</script>", "</title><script>x</script>", "{{ 7 * 7 }}", "\ud800\x00"]
)
def test_whatever_stands_in_names_is_text(evil) -> None:
    page = Page(evil_run(evil))
    assert not OUTSIDE & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("style") == 1
    assert "49" not in page.words


@settings(max_examples=20)
@given(st.text(max_size=60).map(lambda text: f"<{text}"))  # never the name of a step or a setting that is there already
def test_any_text_is_text(evil) -> None:
    plain = Page(evil_run("harmless"))
    assert sorted(Page(evil_run(evil)).tags) == sorted(plain.tags)


def test_json_has_the_same_data() -> None:
    content = json.loads(report.as_json(runs.content()))
    assert content["schema_version"] == 1
    assert content["outcome"] == "succeeded"
    assert content["record"] == {"pk": "refresh#222222222222#staging-shop", "sk": runs.record()["sk"]}
    assert set(content["steps"]) == set(runs.STEPS)
    assert content["spans"]["mask.mask_database"][1]["kind"] == "sql"
    assert content["masking"] == {"columns_proven": runs.RESULTS["mask.prove_mask"]["columns"], "survivors": 0}
    assert content["results"]["mask.verify_database"]["rows"] == 8_412_233
    assert content["upstream"]["prepare.take_lock"] == ["prepare.check"]
    assert content["versions"] == {"aurora-ops": "0.1.0"}


def test_ten_thousand_steps_make_a_page_that_opens() -> None:
    states = {f"mask.step_{number:05d}": "success" for number in range(10_000)}
    made = runs.record(
        states, timings={name: {"spans": [{"kind": "sql", "what": "x", "start": 1.0, "end": 2.0}]} for name in states}
    )
    text = runs.page(made, timings={})
    assert len(text) < 1_500_000
    assert "9040 more steps are in report.json" in Page(text).text
    assert "Only the longest steps are drawn" in text


def test_refused_at_the_first_step() -> None:
    made = runs.record(
        dict.fromkeys(runs.STEPS, "upstream_failed") | {"prepare.check": "failed"},
        plan={}, timings={}, results={}, causes={"prepare.check": "2 problems:\n- a\n- b; c"},
    )  # fmt: skip
    page = Page(runs.page(made, timings={}, results={}))
    assert "the check before the run failed" in page.text
    assert "Nothing was changed. Correct what the message names" in page.text
