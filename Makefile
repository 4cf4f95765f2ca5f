# Every verb sets up what it needs. `make run` and `make test` are all a newcomer has to know.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Installs while naming each package; a shell pipe would hide a failure, so a failure leaves a file.
INSTALL = rm -f $(VENV)/.failed; { $(PIP) install --progress-bar off $(1) || touch $(VENV)/.failed; } 2>&1 \
	| sed -n 's/^Collecting \([^ ]*\).*/    \1/p; s|^Processing .*/\([^/ ]*\) .*|    \1|p; s/^ERROR/&/p'; test ! -e $(VENV)/.failed

.PHONY: run test test-long check fix bench clauses policies reconcile verify-audit audit-heads rotate-keys rotate-data-keys backup restore lock clean help

help:               ## what each verb does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

$(VENV)/.runtime: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=… to name one"; exit 1; }
	@echo "· making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module of $(PYTHON) is missing (Debian: python3-venv)"; exit 1; }
	@echo "· installing the pinned packages (about a minute the first time)"
	@$(call INSTALL,--require-hashes -r requirements.lock)
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "· installing the test tools"
	@$(call INSTALL,--require-hashes -r requirements-dev.lock)
	@touch $@

run: $(VENV)/.runtime   ## start everything on 127.0.0.1:8000, with the demo county on first start
	@exec $(BIN)/python -m deploy.run

test: $(VENV)/.dev      ## all tests, on real PostgreSQL and NATS
	@$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.dev ## the long forms too
	@$(BIN)/python -m pytest

check: $(VENV)/.dev     ## look, change nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(VENV)/.dev       ## put imports and layout right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev $(VENV)/.bench  ## measure everything in one run of 25 minutes; PART=1,3 SECONDS=5 RUNS=1 for a trial
	@$(BIN)/python -m tests.bench

# What is compared with needs packages of its own; where they can't be installed the table says so.
$(VENV)/.bench: requirements-bench.lock
	@echo "· installing what the rules are compared with"
	@$(PYTHON) -m venv $(VENV)/bench
	@$(VENV)/bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $< \
	  && touch $@ || { rm -rf $(VENV)/bench; echo "  it can't be installed here"; }

clauses: $(VENV)/.dev   ## every clause: what it obliges and which tests claim it
	@$(BIN)/python -m tests.house.clauses

policies: $(VENV)/.dev  ## load every policy pack, run its examples, name unpinned numbers
	@$(BIN)/python -m tests.policies.report

reconcile: $(VENV)/.runtime  ## compare outbox, stream and inbox of the running system, replay the gaps
	@$(BIN)/python -m deploy.reconcile

verify-audit: $(VENV)/.runtime ## is every audit row as it was sealed? HEADS=file compares with printed heads
	@$(BIN)/python -m deploy.verify_audit $(if $(HEADS),--heads "$(HEADS)")

audit-heads: $(VENV)/.runtime ## the head of each day's audit chain, for printing; FROM= and TO= choose the days
	@$(BIN)/python -m deploy.audit_heads $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)")

rotate-keys: $(VENV)/.runtime  ## publish a new signing key, which signs ten minutes later
	@$(BIN)/python -m deploy.rotate_keys

rotate-data-keys: $(VENV)/.runtime ## a new data key, and everything sealed with it; GIVE_UP=k1 removes an old one
	@$(BIN)/python -m deploy.rotate_data_keys $(if $(GIVE_UP),--give-up "$(GIVE_UP)")

backup: $(VENV)/.runtime ## save the three databases and the secrets; FOLDER= chooses where
	@$(BIN)/python -m deploy.backup $(if $(FOLDER),--folder "$(FOLDER)")

restore: $(VENV)/.runtime ## FROM=backup [SERVICE=safety-net] restores on the stopped system; REMOVE= what was put aside
	@$(BIN)/python -m deploy.restore $(if $(FROM),"$(FROM)") $(if $(SERVICE),--service "$(SERVICE)") $(if $(REMOVE),--remove "$(REMOVE)")

lock:                   ## renew the lock files (needs uv)
	@for f in runtime:requirements.lock dev:requirements-dev.lock bench:requirements-bench.lock; do \
	  uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --universal \
	    --python-version 3.11 requirements/$${f%%:*}.in -o $${f##*:}; done

clean:                  ## remove what the verbs made, but not .data
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
