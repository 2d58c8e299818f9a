# Lockstep. `make run` starts a demo that needs nothing but this machine; `make test` runs every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1

.PHONY: run serve test check lint types imports bench storm pins screenshots clean

run: $(VENV)/.run rsync
	@exec $(BIN)/flask demo

serve: $(VENV)/.run rsync
	@exec $(BIN)/python wsgi.py

rsync:
	@tools/need rsync:rsync
.PHONY: rsync

# What the tests start: sshd, BIND, Chromium, PostgreSQL, MariaDB, nginx, promtool, ddclient.
programs: rsync
	@tools/need openssh-server:sshd openssh-client:ssh bind9:named bind9-utils:tsig-keygen \
	  bind9-dnsutils:dig chromium:chromium postgresql:initdb mariadb-server:mariadbd nginx-light:nginx \
	  prometheus:promtool ddclient:ddclient
.PHONY: programs

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "Lockstep needs Python 3.11 to 3.13; name one: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt $(wildcard requirements-*.txt)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt $(EXTRAS:%=-r %)
	@touch $@

EXTRAS := $(filter-out requirements-dev.txt,$(wildcard requirements-*.txt))

test: $(VENV)/.dev programs
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --reruns 2 --reruns-delay 2

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy

imports: $(VENV)/.dev
	@$(BIN)/lint-imports

check: lint types imports test

bench: $(VENV)/.dev rsync
	@tools/need lsyncd:lsyncd || true
	@$(BIN)/python -m bench

storm: $(VENV)/.dev programs
	@STORM_SEED=$(SEED) STORM_SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest -q -m storm tests --timeout=0

screenshots: $(VENV)/.dev programs
	@$(BIN)/python -m tools.screenshots

pins: $(VENV)/.dev
	@for name in requirements requirements-dev; do \
	  $(BIN)/pip-compile -q --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  -o $$name.txt $$name.in; done

clean:
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
