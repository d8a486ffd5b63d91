# make demo    mirror real images between three registries on this machine, through Airflow
# make ui      look at the demo in Airflow's web UI
# make env          write .env, with new secrets, for docker-compose.yaml
# make connections  bring Connections and pools of the running stack to what the files in secrets/ say
# make test    all tests, with real registries, skopeo and Airflow, and as root with real Docker and containerd
# make drill   only what machines get when a registry is down
# make stack   only the stack of docker-compose.yaml: build it, start it, mirror, kill a worker, remove it
# make lint    ruff, mypy
# make reliability   every fault at every stage (about ten minutes), and the table of it in docs/reliability.md
# make venv    only the Python environment

PYTHON ?= $(firstword $(foreach each,python3.11 python3.12 python3.13 python3,$(shell command -v $(each))))
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --no-cache-dir --quiet
export PYTHONPATH := plugins:.

# Compose is a plug-in of docker, or a command of its own.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: demo ui screenshot env connections test drill stack reliability lint format bench load schema venv dev packages \
	drill-packages stack-packages clean

demo: $(VENV)/ready packages
	@$(VENV)/bin/python -m demo run

ui: $(VENV)/ready packages
	@$(VENV)/bin/python -m demo ui

screenshot: $(VENV)/ready packages
	@scripts/install_packages.sh chromium=chromium
	@$(VENV)/bin/python -m demo screenshot

env:
	@scripts/make_env.sh

connections:
	@$(COMPOSE) run --rm init

test: $(VENV)/dev packages drill-packages stack-packages
	@scripts/install_packages.sh gpg=gnupg
	$(VENV)/bin/python -m pytest $(ARGS)

reliability: $(VENV)/dev packages
	FAULTS=all $(VENV)/bin/python -m pytest --dist load tests/faults/test_matrix.py $(ARGS)

drill: $(VENV)/dev packages drill-packages
	$(VENV)/bin/python -m pytest tests/drill -n 0 -v $(ARGS)

stack: $(VENV)/dev packages stack-packages
	$(VENV)/bin/python -m pytest tests/stack -n 0 -v $(ARGS)

lint: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/ready packages
	@$(VENV)/bin/python -m bench

load: $(VENV)/ready packages
	@$(VENV)/bin/python -m bench.load --write

schema: $(VENV)/ready
	$(VENV)/bin/python -m registry_sync schema > include/mirrors.schema.json

venv: $(VENV)/ready

dev: $(VENV)/dev

packages:
	@scripts/install_packages.sh skopeo=skopeo docker-registry=docker-registry

# Only root can hold the drill and start the stack; for others these are left out, and tests say so.
drill-packages:
	@test "$$(id -u)" != 0 || scripts/install_packages.sh dockerd=docker.io containerd=containerd ip=iproute2 unshare=util-linux

stack-packages:
	@test "$$(id -u)" != 0 || scripts/install_packages.sh dockerd=docker.io docker=docker.io docker-compose=docker-compose \
		slirp4netns=slirp4netns mmdebstrap=mmdebstrap iptables=iptables ip=iproute2 unshare=util-linux

$(VENV)/ready: requirements.txt constraints.txt
	@echo "Python environment: $(VENV) (about a minute the first time)"
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, $(PYTHON) is {sys.version.split()[0]}; choose another with make PYTHON=...")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/dev: $(VENV)/ready requirements-dev.txt
	@$(PIP) install -r requirements-dev.txt -c constraints.txt
	@touch $@

clean:
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache
