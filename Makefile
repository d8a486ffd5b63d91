# make demo    mirror real images between three registries on this machine, through Airflow
# make ui      look at the demo in Airflow's web UI
# make test    all tests, with real registries, skopeo and Airflow, and as root with real Docker and containerd
# make drill   only the latter: what machines get when a registry is down
# make lint    ruff, mypy
# make reliability   every fault at every stage (about ten minutes), and the table of it in docs/reliability.md
# make venv    only the Python environment

PYTHON ?= $(firstword $(foreach each,python3.11 python3.12 python3.13 python3,$(shell command -v $(each))))
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check --no-cache-dir --quiet
export PYTHONPATH := plugins:.

.PHONY: demo ui screenshot test reliability drill lint format bench load schema venv dev packages drill-packages clean

demo: $(VENV)/ready packages
	@$(VENV)/bin/python -m demo run

ui: $(VENV)/ready packages
	@$(VENV)/bin/python -m demo ui

screenshot: $(VENV)/ready packages
	@scripts/install_packages.sh chromium=chromium
	@$(VENV)/bin/python -m demo screenshot

test: $(VENV)/dev packages drill-packages
	@scripts/install_packages.sh gpg=gnupg
	$(VENV)/bin/python -m pytest $(ARGS)

reliability: $(VENV)/dev packages
	FAULTS=all $(VENV)/bin/python -m pytest --dist load tests/faults/test_matrix.py $(ARGS)

drill: $(VENV)/dev packages drill-packages
	$(VENV)/bin/python -m pytest tests/drill -n 0 -v $(ARGS)

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

# Only root can hold the drill; for others it is left out, and tests say so.
drill-packages:
	@test "$$(id -u)" != 0 || scripts/install_packages.sh dockerd=docker.io containerd=containerd ip=iproute2 unshare=util-linux

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
