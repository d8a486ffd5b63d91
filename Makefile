# `make help` lists the targets. PYTHON chooses the interpreter, VENV the folder of its environment.

PYTHON ?= $(firstword $(foreach each,python3.11 python3.12 python3.13 python3,$(shell command -v $(each))))
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --no-cache-dir --quiet
export PYTHONPATH := plugins:.

# Compose is a plug-in of docker, or a separate command.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help demo ui screenshot env connections test unit drill drill-new stack reliability registries servers lint format bench load \
	schema venv dev packages drill-packages stack-packages clean

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready packages  ## mirror real images between three registries on this machine, through Airflow
	@$(VENV)/bin/python -m demo run

ui: $(VENV)/ready packages  ## look at the demo in Airflow's web UI
	@$(VENV)/bin/python -m demo ui

screenshot: $(VENV)/ready packages  ## photograph the demo and the Mirrors page in Airflow's web UI for the documentation
	@scripts/install_packages.sh chromium=chromium
	@$(VENV)/bin/python -m demo screenshot

env:  ## write .env, with new secrets, for docker-compose.yaml
	@scripts/make_env.sh

connections:  ## load Connections and pools of the running stack from the files in secrets/
	@$(COMPOSE) run --rm init

test: $(VENV)/dev packages drill-packages stack-packages servers  ## run all tests, with real registries, skopeo and Airflow; as root also with real Docker and containerd
	@scripts/install_packages.sh gpg=gnupg chromium=chromium redis-server=redis-server
	$(VENV)/bin/python -m pytest $(ARGS)

unit: $(VENV)/dev  ## run the unit tests and doctests (one minute)
	$(VENV)/bin/python -m pytest tests/unit plugins $(ARGS)

reliability: $(VENV)/dev packages  ## run every fault at every stage (ten minutes), and write the table of docs/faults.md
	FAULTS=all $(VENV)/bin/python -m pytest --dist load tests/faults/test_matrix.py $(ARGS)

servers: .servers/ready  ## build other registry servers for tests, from Go modules (two minutes the first time)

registries: $(VENV)/dev packages servers  ## run every case with every registry server, and write the tables of docs/tried-registries.md
	REGISTRIES=write $(VENV)/bin/python -m pytest tests/servers $(ARGS)

drill: $(VENV)/dev packages drill-packages  ## run the failover drill: a real Docker and containerd while registries are down
	$(VENV)/bin/python -m pytest tests/drill -n 0 -v $(ARGS)

drill-new: $(VENV)/dev packages drill-packages  ## run the drill with newer runtimes, unpacked into .runtimes (weekly), and write the table of docs/node-failures.md
	@scripts/install_packages.sh mmdebstrap=mmdebstrap go=golang-go
	scripts/install_new_runtimes.sh "$(abspath .runtimes)"
	@rm -rf .runtimes/results
	PATH="$(abspath .runtimes)/debian:$$PATH" DRILL=new $(VENV)/bin/python -m pytest tests/drill -n 0 -v $(ARGS)
	PATH="$(abspath .runtimes)/go:$$PATH" DRILL=new $(VENV)/bin/python -m pytest tests/drill -n 0 -v -k "not docker" $(ARGS)
	@$(VENV)/bin/python -m tests.drill.table

stack: $(VENV)/dev packages stack-packages  ## build, start and remove the stack of docker-compose.yaml, and kill a worker of it
	$(VENV)/bin/python -m pytest tests/stack -n 0 -v $(ARGS)

lint: $(VENV)/dev  ## check style, types, spelling and declared dependencies
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/deptry plugins dags
	$(VENV)/bin/codespell

format: $(VENV)/dev  ## format the code, and fix what ruff can fix
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/ready packages servers  ## measure costs beside the peers on PATH; ARGS=--write puts them into docs/performance.md
	@$(VENV)/bin/python -m bench $(ARGS)

load: $(VENV)/ready packages  ## measure a load of many mirrors, and write its table
	@$(VENV)/bin/python -m bench.load --write

schema: $(VENV)/ready  ## write the JSON schema of the mirrors file
	$(VENV)/bin/python -m registry_sync schema > include/mirrors.schema.json

venv: $(VENV)/ready  ## make the Python environment

dev: $(VENV)/dev  ## make the Python environment with the tools for tests

packages:
	@scripts/install_packages.sh skopeo=skopeo docker-registry=docker-registry

# Only root can run the drill and the stack. For other users these tests are skipped, with a message.
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

.servers/ready: scripts/build_servers.sh testkit/go_servers/go.mod testkit/go_servers/go.sum testkit/go_servers/ociserver/main.go \
		testkit/go_servers/countproxy/main.go | $(VENV)/ready
	@PIP="$(abspath $(VENV)/bin/pip) --disable-pip-version-check --no-cache-dir --quiet" scripts/build_servers.sh "$(abspath .servers)"
	@touch $@

clean:  ## remove Python environments, caches, built servers, unpacked runtimes and the demo
	rm -rf .venv .venv-* .demo .servers .runtimes .pytest_cache .mypy_cache .ruff_cache
