# Thin on purpose: every recipe is a command that also works by hand.
# A fresh machine needs make and Python 3.11, 3.12 or 3.13 with venv; nothing else.

BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

# The first Python that fits and can make a virtual environment; nothing when there is none.
FIND_PYTHON = for name in python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	2>/dev/null && { command -v "$$name"; break; }; done || true

.PHONY: help run test postgres programs check core rest lint bench faults screenshots lock clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/.server  ## Start the service on SQLite (flags: make run ARGS="--port 9000")
	@exec $(BIN)/keyturn serve $(ARGS)

test: programs .venv/.dev  ## Every check and every test
	@$(BIN)/python -m compileall -q src tests # Else each start does, where none may write them.
	@$(MAKE) --no-print-directory --jobs 3 lint core rest

postgres: programs .venv/.dev  ## The contract's tests on PostgreSQL, behind PgBouncer, on two servers
	for store in postgres pgbouncer two; do KEYTURN_TEST_STORE=$$store \
	  $(BIN)/pytest -n 3 --dist worksteal tests/contract $(ARGS) || exit 1; done

check: lint core  ## Lint, and the fast tests with every branch of the core covered
	$(BIN)/pytest --quiet tests/storage

core: .venv/.dev
	$(BIN)/coverage run -m pytest --quiet tests/core
	$(BIN)/coverage report

# What the tests and the bench run besides Python. One that can't be had fails its own, by name.
# Some systems start nginx and Caddy when they are installed: the tests start their own.
# PgBouncer, which stands in front of nothing then, is stopped again and is not started at boot.
programs:
	@missing=; for name in caddy chromium-headless-shell curl nginx pgbouncer strace wrk; do \
	  PATH="$$PATH:/usr/sbin" command -v "$$name" >/dev/null || missing="$$missing $$name"; done; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get -qq update; for name in $$missing; do apt-get -qq -y install "$$name"; done || true; \
	  case "$$missing" in *pgbouncer*) \
	    { update-rc.d pgbouncer disable; invoke-rc.d pgbouncer stop; } >/dev/null 2>&1 || true;; \
	  esac; fi

rest: .venv/.dev
	$(BIN)/pytest -n 3 --dist worksteal --ignore tests/core $(ARGS)

lint: .venv/.dev  ## What can be checked without running: format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: programs .venv/.dev  ## Measure (make bench ARGS=checks, ARGS=postgres; ARGS=timing: what refusals tell)
	$(BIN)/python -m bench $(ARGS)

faults: .venv/.dev  ## Break things on purpose: crashes, power cuts, full disks, races, networks
	$(BIN)/python -m tests.faults $(ARGS)

screenshots: programs .venv/.dev  ## Take the pictures of the dashboard again, into docs/images
	$(BIN)/python -m tools.screenshots

lock:  ## Resolve requirements/ again (newest versions: make lock ARGS=--upgrade)
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && \
	"$$($(FIND_PYTHON))" -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv && \
	for file in server:build postgres:build dev:dev; do \
	  extras='--extra server --extra postgres'; \
	  test "$$file" != server:build || extras='--extra server'; \
	  "$$tools/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate $$extras --group "$${file#*:}" $(ARGS) \
	    pyproject.toml -o "requirements/$${file%:*}.txt" || exit 1; \
	done

clean:  ## Remove what the other targets made; data directories stay
	rm -rf .venv .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
	  build dist
	find src tests bench tools -type d -name __pycache__ -prune -exec rm -rf {} +

.venv/.python:
	@python=$$($(FIND_PYTHON)); \
	test -n "$$python" || { echo 'Keyturn needs Python 3.11, 3.12 or 3.13 with venv' \
	  '(Debian, Ubuntu: apt install python3 python3-venv).' >&2; exit 1; }; \
	"$$python" -m venv .venv && touch $@

.venv/.server: requirements/server.txt pyproject.toml | .venv/.python
	@echo 'Installing Keyturn into .venv (once; under a minute on most machines)'
	@$(PIP) install --require-hashes -r requirements/server.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.server
	@echo 'Installing the development tools into .venv'
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
