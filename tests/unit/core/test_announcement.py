"""What is said of a run fits where it is said, and says what people need."""

from __future__ import annotations

import json
import re

import pytest
from aurora_ops.core import announcement, fitting, run_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core import runs

texts = st.text(max_size=400)


def failed(**changes):
    return runs.record(
        {"switch.rename_restored": "failed", "switch.undo_rename": "success", "switch.undo_secrets": "success"},
        causes={"switch.rename_restored": "rds:modify_db_cluster: Denied\nsecond line"},
        **changes,
    )


class TestSubject:
    """One short line of ASCII."""

    def test_of_a_success_and_of_a_failure(self) -> None:
        assert announcement.subject(runs.record()) == "refresh staging succeeded in 3959 s, 1 warnings"
        assert announcement.subject(failed()) == "refresh staging failed: switch.rename_restored; serving: old cluster"

    @given(step=texts, serving=texts, environment=st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True))
    def test_is_always_taken_by_sns_and_says_what_serves(self, step, serving, environment) -> None:
        made = failed() | {"failed_step": step, "serving": "old cluster", "environment": environment}
        subject = announcement.subject(made)
        assert re.fullmatch(r"[ -~]{1,99}", subject)
        assert subject.endswith("; serving: old cluster")
        assert re.fullmatch(r"[ -~]{1,99}", announcement.subject(made | {"serving": serving}))

    def test_a_step_that_was_never_reached(self) -> None:
        made = runs.record({"publish.publish_cluster": "upstream_failed"})
        assert announcement.subject(made).startswith("refresh staging failed: a step was never reached; serving: ")


class TestText:
    """For people."""

    def test_of_a_failure(self) -> None:
        said = announcement.text(failed())
        assert said.startswith("Refresh of staging FAILED at switch.rename_restored.\n")
        for line in (
            "What happened:   rds:modify_db_cluster: Denied\n                 second line",
            "What to do:      See what serves now.",
            "Serving now:     old cluster: the switch was undone",
            "Duration:        1 h 5 min",
            "Age of the data: 3 h 55 min",
            "Snapshot:        rds:prod-shop-2026-06-30-23-10",
            "Began:           2026-07-01 02:00:00 UTC, by scheduled",
            "Warnings (1):\n- mask.scan_columns: shop.orders.note: 3 values",
            "Airflow run: https://airflow.example/dags/",
        ):
            assert line in said, line

    def test_of_a_success_says_nothing_of_failure(self) -> None:
        said = announcement.text(runs.record(results={}))
        assert said.startswith("Refresh of staging SUCCEEDED.\n")
        assert "What happened" not in said
        assert "Warnings" not in said


class TestMessage:
    """Each protocol gets its own, and all of it fits."""

    def test_people_read_text_and_machines_json(self) -> None:
        made = runs.record()
        message = announcement.message(made)
        assert message["default"] == announcement.text(made)
        assert message["sqs"] == message["lambda"] == message["https"]
        data = json.loads(message["sqs"])
        assert (data["outcome"], data["environment"], data["schema_version"]) == ("succeeded", "staging", 2)
        assert data["steps"]["mask.mask_database"]["sql_s"] == 720
        assert set(data["steps"]) == set(runs.STEPS)

    @pytest.mark.parametrize(
        ("letter", "many"), [("w", 10_000), ("é", 1000), ("😀", 1000), ("\x01", 1000), ('"', 1000)]
    )
    def test_ten_thousand_steps_and_warnings_fit(self, letter, many) -> None:
        names = [f"mask.{'long_' * 20}{number:05d}" for number in range(many)]
        made = runs.record(
            dict.fromkeys(names, "failed"),
            causes=dict.fromkeys(names, letter * 2000),
            conf={"keep_tables": [letter * 99] * 9999},
        )
        made["warnings"] = [letter * 1000] * many
        message = announcement.message(made)
        assert len(json.dumps(message).encode()) <= announcement.MESSAGE_BYTES
        data = json.loads(message["sqs"])
        assert data["outcome"] == "failed"
        assert data["failed_step"] == names[0]
        assert len(data["steps"]) + data["steps_left_out"] == many + len(runs.STEPS)

    def test_attributes_for_filters(self) -> None:
        assert announcement.attributes(failed()) == {"environment": "staging", "outcome": "failed", "warnings": "yes"}


class TestNote:
    """The note of the run."""

    def test_says_outcome_and_what_serves_and_links(self) -> None:
        note = announcement.note(failed())
        assert note.startswith(
            "**Refresh of staging failed at `switch.rename_restored`** in 1 h 5 min; serving: old cluster"
        )
        assert "data 3 h 55 min old" in note
        assert "[Airflow run](https://airflow.example/" in note
        assert "Denied" in note

    @given(cause=st.text(max_size=1000), address=st.text(max_size=1500))
    def test_fits_what_airflow_keeps(self, cause, address) -> None:
        note = announcement.note(failed() | {"cause": cause, "links": {"Report": address}})
        assert len(note) <= announcement.LONGEST_NOTE
        assert note.startswith(announcement.NOTE_MARK)

    def test_what_people_wrote_stays_and_ours_is_replaced(self) -> None:
        first, second = f"{announcement.NOTE_MARK}a** one", f"{announcement.NOTE_MARK}a** two"
        assert announcement.noted(None, first) == first
        assert announcement.noted("asked for by QA", first) == f"asked for by QA\n\n{first}"
        assert (
            announcement.noted(announcement.noted("asked for by QA", first), second) == f"asked for by QA\n\n{second}"
        )
        assert announcement.noted("x" * 990, first) == "x" * 990


class TestLate:
    """A run that is late."""

    def late(self, waiting):
        run = {"dag_id": "d", "dag_run_id": "r", "state": "running", "queued_at": "2026-07-01T02:00:00Z"}
        return announcement.late("staging", run, late_after_h=1.5, waiting=waiting, link="https://airflow.example/x")

    def test_says_what_it_waits_for(self) -> None:
        found = self.late(["restore.create_writer (deferred): instance_available of x, since 02:10:00 UTC"])
        assert (
            found.subject
            == ("refresh staging late: restore.create_writer (deferred): instance_available of x, since 02:10:00 UTC")[
                :99
            ]
        )
        assert "queued at 2026-07-01T02:00:00Z and is running after 1 h 30 min" in found.message["default"]
        assert "- restore.create_writer (deferred): instance_available of x" in found.message["default"]
        assert json.loads(found.message["sqs"])["waiting_for"][0].startswith("restore.create_writer")
        assert found.attributes == {"environment": "staging", "outcome": "late"}

    def test_a_run_that_never_began(self) -> None:
        found = self.late([])
        assert found.subject == "refresh staging late"
        assert "nothing is known to run" in found.message["default"]


class TestFitting:
    """A record fits an item."""

    @settings(max_examples=15)
    @given(
        steps=st.integers(0, 2000), name=st.integers(1, 240), warnings=st.integers(0, 1000), longest=st.integers(0, 2000),
        values=st.integers(0, 1000), letter=st.sampled_from("aé😀"),
    )  # fmt: skip
    def test_whatever_its_size(self, steps, name, warnings, longest, values, letter) -> None:
        made = runs.record({f"{letter * name}{number}": "success" for number in range(steps)})
        made |= {
            "warnings": [letter * longest] * warnings,
            "plan": {f"k{number}": [letter * 50] * 30 for number in range(values)},
        }
        found = fitting.fitted(made, fitting.ITEM_BYTES, fitting.item_bytes)
        assert fitting.item_bytes(found) <= fitting.ITEM_BYTES
        for key in ("pk", "sk", "outcome", "serving", "cause", "rto_s", "expires_at"):
            assert found[key] == made[key]
        assert len(found["steps"]) + found.get("steps_left_out", 0) == len(made["steps"])

    def test_what_fits_stays_whole(self) -> None:
        made = runs.record()
        assert fitting.fitted(made, fitting.ITEM_BYTES, fitting.item_bytes) == made

    def test_failed_and_long_steps_stay(self) -> None:
        made = runs.record({f"g.s{number}": "success" for number in range(20_000)} | {"zz.bad": "failed"})
        found = fitting.fitted(made, 60_000, fitting.item_bytes)
        assert {"zz.bad", "mask.mask_database", "source.copy_snapshot"} <= set(found["steps"])
        assert found["steps_left_out"] > 19_000

    def test_sizes_as_dynamodb_counts_them(self) -> None:
        assert fitting.item_bytes({"abc": "déf"}) == 3 + 3 + 4 + 1
        assert fitting.item_bytes([True, None, 1.5, "x"]) == 3 + 2 + 2 + 22 + 2


class TestMetrics:
    """Few names, few dimensions."""

    def test_of_a_success(self) -> None:
        data = run_metrics.of_run(runs.record())
        values = {d["MetricName"]: (d["Value"], d["Unit"]) for d in data if d["MetricName"] != "StepGroupDuration"}
        assert values == {
            "RefreshDuration": (3958.7, "Seconds"), "RefreshDataAge": (14158.7, "Seconds"), "RefreshSucceeded": (1, "Count"),
            "RefreshFailed": (0, "Count"), "RefreshWarnings": (1, "Count"),
        }  # fmt: skip
        groups = {d["Dimensions"][1]["Value"] for d in data if d["MetricName"] == "StepGroupDuration"}
        assert groups == {"prepare", "source", "restore", "mask", "switch", "publish", "clean_up"}

    def test_of_a_failure_there_is_no_age_of_data(self) -> None:
        values = {d["MetricName"]: d["Value"] for d in run_metrics.of_run(failed())}
        assert (values["RefreshFailed"], values["RefreshSucceeded"]) == (1, 0)
        assert "RefreshDataAge" not in values

    def test_dimensions_are_few(self) -> None:
        for datum in run_metrics.of_run(failed()) + run_metrics.of_late_run("staging", runs.STARTED):
            names = [dimension["Name"] for dimension in datum["Dimensions"]]
            assert names in (["Environment"], ["Environment", "StepGroup"])
            assert datum["Timestamp"].tzinfo is not None


class TestRestoreMetrics:
    """What a restore and a drill send."""

    @staticmethod
    def flat(data) -> dict[tuple[str, ...], float]:
        """Metric and its dimensions' values to its value."""
        return {(d["MetricName"], *(one["Value"] for one in d["Dimensions"])): d["Value"] for d in data}

    @pytest.mark.parametrize(("succeeded", "values"), [(True, (1.0, 0.0)), (False, (0.0, 1.0))])
    def test_restore(self, succeeded, values) -> None:
        data = run_metrics.of_restore("staging", runs.STARTED, succeeded=succeeded, duration_s=90)
        assert self.flat(data) == {
            ("RestoreDuration", "staging"): 90.0,
            ("RestoreSucceeded", "staging"): values[0],
            ("RestoreFailed", "staging"): values[1],
        }
        assert {d["Unit"] for d in data} == {"Seconds", "Count"}
        assert {d["Timestamp"] for d in data} == {runs.STARTED}

    def test_drill_tells_of_the_cluster_and_whether_any_missed(self) -> None:
        evidence = {"environment": "staging", "cluster": "prod-shop", "rpo_s": 3600, "rto_s": 1200, "missed": []}
        data = run_metrics.of_drill(evidence, runs.STARTED)
        assert self.flat(data) == {
            ("DrillRpo", "staging", "prod-shop"): 3600.0,
            ("DrillRto", "staging", "prod-shop"): 1200.0,
            ("DrillTargetMissed", "staging", "prod-shop"): 0.0,
            ("DrillTargetMissed", "staging"): 0.0,
        }

    def test_a_drill_that_failed_has_no_times_and_missed(self) -> None:
        evidence = {"environment": "staging", "cluster": "prod-shop", "rpo_s": None, "rto_s": None, "missed": ["RTO"]}
        data = run_metrics.of_drill(evidence, runs.STARTED)
        assert self.flat(data) == {
            ("DrillTargetMissed", "staging", "prod-shop"): 1.0,
            ("DrillTargetMissed", "staging"): 1.0,
        }

    def test_an_unknown_metric_cannot_be_sent(self) -> None:
        with pytest.raises(KeyError):
            run_metrics._datum("RestoreSuceeded", 1, runs.STARTED)
