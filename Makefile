# One command each (`make help` lists them). The virtual environment in .venv is made
# and filled by the first of them and again when a requirements file changes.

VENV := .venv
PY := $(VENV)/bin/python
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
SPACE := .venv-space
ENGINE := .docker
PETALS := .venv-petals
PETALS_STAMP := $(PETALS)/.installed
CLIENTS := .venv-clients
CLIENTS_STAMP := $(CLIENTS)/.installed
# The tests that need nothing but requirements-dev.txt, a Chromium and, for a real model, the package
# index (as in pyproject.toml).
USUAL := not interop and not netns and not machines and not containers and not clients and not space and not slow
FAST := not swarm and not browser and not real and $(USUAL)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

.PHONY: run
run: $(RUN_STAMP)  ## start the app in the browser; flags go through ARGS, e.g. ARGS="--port 8000"
	@exec $(PY) app.py $(ARGS)

.PHONY: node
node: $(RUN_STAMP)  ## serve blocks to a swarm; ARGS="CHECKPOINT --peers ADDRESS"
	@exec $(PY) -m farmesh serve $(ARGS)

.PHONY: test
test: $(DEV_STAMP)  ## all tests but the slow ones, real processes and a real browser included
	@scripts/install_chromium.sh
ifeq ($(ARGS),)
	@# What a browser does wants the machine to itself; all else shares the cores, a file's tests in order.
	@failed=0; \
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not browser and $(USUAL)" -n 2 --dist worksteal --durations 15 || failed=1; \
	$(PY) -m pytest -m "browser and $(USUAL)" --durations 15 || failed=1; \
	exit $$failed
else
	$(PY) -m pytest $(ARGS)
endif

.PHONY: check
check: lint  ## what to run before a commit: lint, and the tests that take seconds
	$(PY) -m pytest -q -m "$(FAST)" $(ARGS)

.PHONY: slow
slow: $(DEV_STAMP)  ## what make test has a sample of, or what seldom changes: all model types, training (minutes)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow -n 2 $(ARGS)

.PHONY: real
real: $(DEV_STAMP)  ## the tests with a real chat model, those to its last token too (minutes)
	@scripts/install_chromium.sh
	$(PY) -m pytest -m real tests/real tests/browser $(ARGS)

.PHONY: interop
interop: $(DEV_STAMP) $(PETALS_STAMP)  ## talk to Petals 2.2 nodes and clients, installed beside (minutes)
	$(PY) -m pytest -m interop tests/interop $(ARGS)

.PHONY: machines
machines: $(DEV_STAMP)  ## what compose.yaml starts, and two replicas behind nginx (minutes)
	@scripts/install_chromium.sh
	@scripts/install_nginx.sh
	$(PY) -m pytest -m machines tests/machines $(ARGS)

.PHONY: clients
clients: $(DEV_STAMP) $(CLIENTS_STAMP)  ## other people's clients, agents and load, installed beside, against the app (minutes)
	$(PY) -m pytest -m clients tests/clients $(ARGS)

.PHONY: space
space:  ## prove it as a Hugging Face Space: its one solve, the fast tests on that, user 1000 (minutes)
	@[ "$$(id -u)" -ne 0 ] || scripts/install_netns.sh
	@scripts/space_check.sh $(SPACE) "$(FAST)"

.PHONY: containers
containers: $(DEV_STAMP)  ## the image, compose.yaml and systemd's units in Docker (minutes; root where there is no Docker)
	@scripts/with_docker.sh $(ENGINE) $(PY) -m pytest -m containers tests/containers $(ARGS)

.PHONY: lint
lint: $(DEV_STAMP)  ## format, lint, types, and whether the documents match the code
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m deno fmt --quiet --check
	$(PY) -m deno lint --quiet
	$(PY) -m scripts.check_docs

.PHONY: bench
bench: $(RUN_STAMP)  ## measure this machine; benchmarks/METHODOLOGY.md defines every number
	$(PY) -m benchmarks $(ARGS)

.PHONY: scaling
scaling: $(RUN_STAMP)  ## simulate swarms of 10 to 10,000 nodes; ARGS=--write keeps the result
	$(PY) -m benchmarks.scaling $(ARGS)

.PHONY: soak
soak: $(RUN_STAMP)  ## random people, programs and node failures for minutes; ARGS="--minutes 30"
	$(PY) -m benchmarks.soak $(ARGS)

.PHONY: fuzz
fuzz: $(DEV_STAMP)  ## damaged messages into every decoder; ARGS="--inputs 1000000 [--atheris]"
	$(if $(findstring --atheris,$(ARGS)),@scripts/install_atheris.sh $(PY))
	$(PY) -m scripts.fuzz $(ARGS)

.PHONY: netns
netns: $(DEV_STAMP)  ## a swarm over hosts with routers between them (root; Linux network namespaces)
	@scripts/install_netns.sh
	$(PY) -m pytest -m netns tests/netns $(ARGS)

.PHONY: guide
guide: $(RUN_STAMP)  ## train the bundled model anew (models/guide)
	$(PY) -m training.make_guide $(ARGS)

.PHONY: clean
clean:  ## remove the virtual environment, caches and the app's state
	rm -rf $(VENV) $(SPACE) $(ENGINE) $(PETALS) $(CLIENTS) .state benchmarks/.cache .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/artifacts
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(PY):
	@scripts/make_venv.sh $(VENV)

# A stamp is older than its requirements file exactly when something has to be installed.
$(RUN_STAMP): requirements.txt | $(PY)
	@echo "Installing what the app needs (once; a few minutes)."
	@$(PY) -m pip install --disable-pip-version-check --prefer-binary -r requirements.txt
	@touch $@

$(DEV_STAMP): requirements.txt requirements-dev.txt | $(PY)
	@echo "Installing what the app and its tests need (once; a few minutes)."
	@$(PY) -m pip install --disable-pip-version-check --prefer-binary \
		-r requirements.txt -r requirements-dev.txt
	@touch $@ $(RUN_STAMP)

$(CLIENTS_STAMP): requirements-clients.txt
	@scripts/make_venv.sh $(CLIENTS)
	@echo "Installing other people's clients (a few minutes)."
	@$(CLIENTS)/bin/python -m pip install -q --disable-pip-version-check --prefer-binary \
		-r requirements-clients.txt
	@touch $@

$(PETALS_STAMP): scripts/make_petals_env.sh
	@scripts/make_petals_env.sh $(PETALS)
	@touch $@
