# Two commands for a fresh machine: `make demo` and `make test`. Everything they make lies in .venv and .local.

SHELL := /bin/bash
# The first Python that Airflow runs on.
PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	$(p) -c 'import sys; print("$(p)" if (3, 11) <= sys.version_info[:2] <= (3, 14) else "")' 2>/dev/null)) python3)
PY := .venv/bin/python
# Byte code saves each of Airflow's processes seconds, and a caller's PYTHONPATH must not shadow a pinned package.
RUN := env -u PYTHONDONTWRITEBYTECODE -u PYTHONPATH -u PYTHONHOME
# Three at once, on two cores: one waits for a cloud mostly. What shares a running stack stays together (tests/conftest.py).
PARALLEL ?= -n 3

.DEFAULT_GOAL := help
.PHONY: help install demo test test-unit test-slow test-aws test-long test-workflows test-faults test-kills lint format docs requirements mwaa bench-mask bench-parse bench-overhead bench-audit bench-events bench-backfill up down status clean ci

help: ## show this
	@echo "Aurora operations on Apache Airflow. Needs Python 3.11 to 3.14, nothing else."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: ## install into .venv and .local (all other targets do this first; a second time costs nothing)
	@$(RUN) $(PYTHON) devstack/bootstrap.py

demo: install ## refresh staging from production on this machine, with a report; Ctrl-C ends it (DEMO_EXIT=1: at once)
	@$(RUN) DEMO_EXIT=$(DEMO_EXIT) $(PY) -m devstack demo

test: install lint ## check the code; every test that starts nothing, and the main path of the others (PYTEST_ARGS="-k switch" for some)
	@$(RUN) $(PY) -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-slow: install ## what goes wrong on the way, in real Airflow on real databases; the build plays it too
	@$(RUN) $(PY) -m pytest $(PARALLEL) -m slow tests/local $(PYTEST_ARGS)

test-unit: install ## the tests that start nothing
	@$(RUN) $(PY) -m pytest $(PARALLEL) -m "not aws and not local" --ignore=tests/local $(PYTEST_ARGS)

test-aws: install ## the check before a refresh on a real account; AURORA_OPS_TEST_AWS=<environment>, connections in the environment
	@$(PY) -m pytest -m aws tests/aws $(PYTEST_ARGS)

bench-mask: install ## masking techniques side by side on a MariaDB of their own (BENCH_ROWS=5000000)
	@$(RUN) PYTHONPATH=.:plugins $(PY) -m benchmarks.mask

test-long: install ## tests that take minutes each: policies, images and layouts, masking killed at every statement
	@$(RUN) $(PY) -m pytest -m "long" $(PYTEST_ARGS)

test-workflows: install ## each workflow alone once more, in an Airflow with all its services, through its API
	@$(RUN) AURORA_OPS_WHOLE_AIRFLOW=1 $(PY) -m pytest -m "local and not long" tests/local/workflows $(PYTEST_ARGS)

test-faults: install ## every AWS call of a refresh goes wrong in every way; the table is in .local/test/faults.md (half an hour)
	@$(RUN) $(PY) -m pytest -m "local" tests/local/faults $(PYTEST_ARGS)

test-kills: install ## every part is killed at every task of a refresh; the table is in .local/test/kills.md (half an hour)
	@$(RUN) $(PY) -m pytest -m "local" tests/local/kills $(PYTEST_ARGS)

lint: install ## ruff, mypy, layers, generated pages
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(RUN) $(PY) -m mypy plugins/aurora_ops localcloud devstack docs/policygen docs/capabilities.py docs/best_practices.py benchmarks
	@$(RUN) PYTHONPATH=plugins .venv/bin/lint-imports
	@$(RUN) PYTHONPATH=plugins $(PY) docs/generate.py --check

format: install ## format the code and mend what ruff can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: install ## write the generated pages of docs/reference
	@$(RUN) PYTHONPATH=plugins $(PY) docs/generate.py

requirements: install ## pin requirements*.in anew (REQ_ARGS=--upgrade for the newest)
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make requirements" $(REQ_ARGS) -o requirements.txt requirements.in
	@for image in image localcloud; do \
		$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate \
			--custom-compile-command "make requirements" -c requirements.txt -o requirements-$$image.txt requirements-$$image.in \
			|| exit 1; \
	done

mwaa: install ## build dist/mwaa: dags/, plugins.zip and requirements.txt for managed Airflow
	@$(RUN) $(PY) -m devstack.mwaa

bench-parse: install ## what parsing the DAG files costs, against an empty DAG
	@$(RUN) $(PY) -m benchmarks.parse

bench-overhead: install ## what a task and a deferral cost, against tasks that do nothing (two minutes)
	@$(RUN) $(PY) -m benchmarks.overhead

bench-audit: install ## the backup of audit logs against a plain stream and the CLI's paging (BENCH_MIB=1024; ten minutes, 5 GiB of disk)
	@$(RUN) PYTHONPATH=.:plugins $(PY) -m benchmarks.audit

bench-events: install ## from an event of RDS to the run that exports: seconds of single ones, and a burst (five minutes)
	@$(RUN) PYTHONPATH=.:plugins $(PY) -m benchmarks.events

bench-backfill: install ## a quarter of three databases exported with one command, killed twice (BENCH_DAYS=92, half an hour)
	@$(RUN) PYTHONPATH=.:plugins $(PY) -m benchmarks.backfill

up: install ## start localcloud and Airflow in the background
	@$(RUN) $(PY) -m devstack up

down: ## end whatever `make up` or `make demo` started
	@test ! -x $(PY) || $(RUN) $(PY) -m devstack down

status: ## say what runs
	@test ! -x $(PY) || $(RUN) $(PY) -m devstack status || true

clean: ## end everything and remove all data; the installation stays
	@test ! -x $(PY) || $(RUN) $(PY) -m devstack clean

ci: ## what the build runs: make test, make test-slow, make demo DEMO_EXIT=1
	@.ci/run
