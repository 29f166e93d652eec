# Two commands are enough: `make demo` and `make test`. Each installs all it needs.
PYTHON ?= python3
SHIPMATE := .venv/bin/shipmate
PORT ?= 8765
AGENT ?= rehearsal

.PHONY: setup probe browser demo test check bench golden lock clean

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Shipmate needs Python 3.11 to 3.13; this is `$(PYTHON) --version`. Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "No venv module. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 2; }
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# What this machine allows is found out before anything is installed.
probe:
ifndef UNISOLATED
	@$(PYTHON) -m sandbox.probe
endif

demo: probe setup
	@SHIPMATE_UNISOLATED=$(UNISOLATED) $(SHIPMATE) demo --port $(PORT) --agent $(AGENT)

# The pages are tested in a real browser. Without one, those tests say that they were skipped.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		{ [ "`id -u`" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "No Chromium here: the browser tests are skipped. On Debian or Ubuntu: sudo apt-get install chromium"

test: setup browser
	.venv/bin/pytest $(ARGS)

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup
	.venv/bin/python -m tests.bench $(if $(ONLY),--only $(ONLY))

golden: setup
	.venv/bin/python -m tests.golden

lock: setup
	.venv/bin/pip install --quiet uv
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .shipmate build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
