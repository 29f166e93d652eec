# Two commands are enough: `make demo` and `make test`. Each installs all it needs.
PYTHON ?= python3
SHIPMATE := .venv/bin/shipmate
PORT ?= 8765
AGENT ?= rehearsal
UNISOLATED ?= $(SHIPMATE_UNISOLATED)

.PHONY: setup needs probe browser demo test test-agents check bench scale hostile modal-days golden kills soak lock clean

setup: needs .venv/.ready

# Said in words, because what a missing program leads to later is hard to understand.
needs:
	@command -v git >/dev/null || { echo "Shipmate needs git. On Debian or Ubuntu: sudo apt-get install git"; exit 2; }
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Shipmate needs Python 3.11 to 3.13." \
		"On Debian or Ubuntu: sudo apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Shipmate needs Python 3.11 to 3.13; this is `$(PYTHON) --version`. Try: make PYTHON=python3.12"; exit 2; }

.venv/.ready: requirements.lock pyproject.toml
	@echo "Installing into .venv; once only, and it takes a minute or two."
	@$(PYTHON) -m venv .venv || { echo "Python's venv module does not work here. On Debian or Ubuntu:" \
		"sudo apt-get install python3-venv"; exit 2; }
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e . || \
		{ echo "The libraries could not be installed. If the lines above speak of connections or certificates, see the" \
		"network; behind a proxy set HTTPS_PROXY, with an index of your own PIP_INDEX_URL. Then the same command again."; \
		exit 1; }
	@touch $@

# What this machine allows is found out before anything is installed.
probe: needs
ifeq ($(filter 1 true yes on,$(UNISOLATED)),)
	@$(PYTHON) -m sandbox.probe
endif

demo: probe setup
	@exec env SHIPMATE_UNISOLATED=$(UNISOLATED) $(SHIPMATE) demo --port $(PORT) --agent $(AGENT)

# The pages are tested in a real browser. Without one, those tests say that they were skipped.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		{ [ "`id -u`" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "No Chromium here: the browser tests are skipped. On Debian or Ubuntu: sudo apt-get install chromium"

# Much of what the tests do is wait for real processes: four at a time fill two cores.
WORKERS ?= 4
test: setup browser
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile --ignore=tests/agents $(ARGS)

# The main job with the real agents, fetched from the registry: AGENTS=codex,opencode chooses. One that cannot be fetched is left out, and says why.
# Each agent's tests are in one process, two agents at a time; three failures end it, for each may have waited for minutes.
test-agents: setup
	AGENTS="$(AGENTS)" .venv/bin/python -m pytest tests/agents -n 2 --maxfail 3 -rs $(ARGS)

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup
	.venv/bin/python -m tests.bench $(if $(ONLY),--only $(ONLY))

modal-days: setup
	.venv/bin/python -m tests.modal $(if $(ONLY),--only $(ONLY))

# The control plane with thousands of sessions, boxes on paper: BURST at once, ALIVE in all. docs/scale.md has what it said.
BURST ?= 1000
ALIVE ?= 5000
scale: setup
	.venv/bin/python -m tests.scale --burst $(BURST) --alive $(ALIVE)

hostile: setup
	.venv/bin/python -m tests.hostile $(if $(ONLY),--only $(ONLY))

golden: setup
	.venv/bin/python -m tests.golden

# kill -9 to everything at every moment, about half an hour; VICTIM="whole box" and MOMENT=mid-text choose, kills.json has the rows.
kills: setup
	.venv/bin/python -m tests.kills $(if $(VICTIM),--victim "$(VICTIM)") $(if $(MOMENT),--moment "$(MOMENT)") \
		$(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS))

# Random kills over five sessions, 200 rounds or ROUNDS of them.
soak: setup
	.venv/bin/python -m tests.kills.soak $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS))

lock: setup
	.venv/bin/pip install --quiet uv
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-find-links --no-emit-index-url --extra dev pyproject.toml -o requirements.lock

# Boxes and sockets may lie outside: where the boxes' user can reach them, and where paths are short.
clean:
	@[ ! -d .shipmate ] || [ ! -x .venv/bin/python ] || .venv/bin/python -c 'import shutil; from jobs.settings import JobSettings; \
		s = JobSettings.from_env({}); [shutil.rmtree(each, True) for each in (s.boxes_dir.parent, s.gateway_dir)]' || :
	rm -rf .venv .shipmate build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
