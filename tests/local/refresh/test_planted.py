"""What must not get through is planted: an e-mail where nobody declared one, a masker that changes nothing."""

from __future__ import annotations

import pytest

from tests.local.refresh.conftest import PRODUCTION, STAGING

pytestmark = [pytest.mark.local, pytest.mark.slow]

PLANTED = "ann.planted@example.com"


def stopped_before_the_switch(stack, estate, run, step: str, column: str) -> None:
    """The run failed at a step that names the column, and what served before serves."""
    assert run.state == "failed"
    states = stack.states(run)
    assert states[step] == "failed", states
    assert states["switch.rename_live"] == "upstream_failed"
    record = estate.record(run)
    assert record["failed_step"] == step
    assert column in record["cause"]
    assert PLANTED not in record["cause"]
    assert PLANTED not in stack.log(run, step)
    assert record["serving"] == "old cluster: it was never touched"
    assert estate.clusters(STAGING) <= {"staging-shop", "staging-shop-old"}, "unmasked data does not lie around"


def write(estate, sql: str, *values: str) -> None:
    """Change production's data."""
    connection = estate.connect(PRODUCTION, "prod-shop")
    with connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        connection.commit()


def test_an_email_in_a_text_that_nobody_declared(stack, estate, run_to_end):
    update = "UPDATE shop.products SET name = %s WHERE id = 1"
    [(before,)] = estate.rows(PRODUCTION, "prod-shop", "SELECT name FROM shop.products WHERE id = 1")
    write(estate, update, f"ask {PLANTED} about it")
    try:
        run = run_to_end({"snapshot": "fresh"})
    finally:
        write(estate, update, before)
    stopped_before_the_switch(stack, estate, run, "mask.scan_columns", "shop.products.name")
    assert "email 1" in estate.record(run)["cause"]


def test_a_masker_that_returns_its_input(stack, estate, run_to_end):
    folder = stack.config.include / "sql" / "masking" / "shop"
    rules, script = folder / "columns.yaml", folder / "900_identity.sql"
    before = rules.read_text()
    assert "  card_token: token\n" in before
    rules.write_text(before.replace("  card_token: token\n", "  card_token: {mask: script}\n"))
    script.write_text("UPDATE shop.payment_methods SET card_token = card_token;\n")
    try:
        run = run_to_end()
    finally:
        rules.write_text(before)
        script.unlink()
    stopped_before_the_switch(stack, estate, run, "mask.prove_mask", "shop.payment_methods.card_token")
