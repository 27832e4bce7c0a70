# The one door to everything that is done with this clone. `make` lists the tasks.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON := .venv/bin/python
# What Python compiles is kept, whatever the environment says: else each worker, and each command that
# a test starts, would compile it anew.
PYTEST := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/build/bytecode \
	$(PYTHON) -m pytest
# How many seeds of the simulator are played: 20,000 by `make sim`, 1,000 by `make test`, and how
# many besides without an operator: 2,000. With UNATTENDED=1 `make sim` plays only such.
SEEDS ?=
UNATTENDED ?=
# What `make walk` walks: so many faults in one run, of those with these words (all when empty),
# so many turns deep (empty: until nothing is new), these kinds of arbitration (empty: all).
FAULTS ?= 1
ONLY ?=
DEPTH ?=
KINDS ?=
# The guests of the lab: qemu or uml (empty: what this machine can do is probed), and the area of
# the scenarios that `make lab` plays, or several (empty: all; an unknown one lists them).
GUESTS ?=
AREA ?=
ifneq ($(filter-out qemu uml,$(GUESTS)),)
$(error GUESTS=$(GUESTS): there are no such guests; use qemu or uml)
endif
ifneq ($(GUESTS),)
export HAPAIR_LAB_GUESTS := $(GUESTS)
endif
# Of a second task that it does not know make would speak when the first one, perhaps hours, is over.
UNKNOWN := $(filter-out $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST))),$(MAKECMDGOALS))
ifneq ($(UNKNOWN),)
$(error there is no task $(UNKNOWN); an area of the lab is named so: make lab AREA=$(UNKNOWN))
endif
# The soak: for how long, which faults, from which round on, how many rounds (0: until the time is
# over), who grants the right (paths, operator or witness), what runs beside orders (bank or
# postgresql), and a file for its figures.
MINUTES ?= 60
SEED ?= 1
FIRST ?= 1
ROUNDS ?= 0
ARBITRATION ?= paths
APPLICATION ?= bank
JSON ?=
# The version of the package; the default is the one in src/hapair/__init__.py.
VERSION ?=
PYTHON_FOLDERS := $(wildcard src tests tools bench)
# All cores; what cannot be run beside itself is grouped in tests/conftest.py.
PARALLEL := -n auto --dist loadgroup --no-loadscope-reorder
# Guests mostly wait: three labs side by side, one of emulated guests, and one who computes meanwhile.
BESIDE_GUESTS := -n 5 --dist loadgroup --no-loadscope-reorder
# Every branch of the pure parts is covered by some tests that need neither root nor guests: MEASURED
# in tests/conftest.py. All others run as fast as ever, in the same run.
COVERAGE := --cov --cov-report=term-missing:skip-covered

.PHONY: help
help: ## list the tasks
	@echo "make TASK, where TASK is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r task text; do printf '  %-10s %s\n' "$$task" "$$text"; done

.PHONY: ready
ready: ## install what development needs (every task does it by itself)
	@tools/bootstrap

.PHONY: ready-lab
ready-lab:
	@tools/bootstrap lab

.PHONY: format
format: ready ## lay out the code and mend what can be mended mechanically
	$(PYTHON) -m ruff format $(PYTHON_FOLDERS)
	$(PYTHON) -m ruff check --fix $(PYTHON_FOLDERS)

.PHONY: lint
lint: ready
	$(PYTHON) -m ruff format --check --quiet $(PYTHON_FOLDERS)
	$(PYTHON) -m ruff check --quiet $(PYTHON_FOLDERS)

.PHONY: types
types: ready
	$(PYTHON) -m mypy $(PYTHON_FOLDERS)

.PHONY: compiled
compiled: ready
	@# What cannot be collected is told by the run itself.
	@$(PYTEST) --collect-only --quiet --no-cov -m "not lab" >/dev/null || true

.PHONY: coverage
coverage: ready ## every branch of model, config and core is covered
	$(PYTEST) --quiet -m "not no_cover" $(PARALLEL) $(COVERAGE)

.PHONY: check
check: lint types ## layout, lint, types, coverage, all but the slow tests without guests and root: three minutes
	$(PYTEST) -m "not lab and not native and not slow" $(PARALLEL) $(COVERAGE)

.PHONY: sim
sim: ready ## the simulator and the walk, 20,000 seeds: make sim SEEDS=1000000 UNATTENDED=1
	$(PYTEST) $(if $(UNATTENDED),tests/sim/test_seeds.py -k operator,tests/sim tests/walk) $(PARALLEL) \
		--seeds=$(or $(SEEDS),20000) --unattended=$(if $(UNATTENDED),$(or $(SEEDS),20000),2000)

.PHONY: walk
walk: ready ## every state that FAULTS=1 can reach: make walk FAULTS=2 ONLY="networks cut" DEPTH=40
	$(PYTHON) -m tests.walk --faults $(FAULTS) $(if $(ONLY),--only "$(ONLY)") \
		$(if $(DEPTH),--depth $(DEPTH)) $(KINDS)

.PHONY: images
images: ready-lab deb ## build the images and the snapshot of booted guests now
	$(PYTHON) -m hapair_lab prepare

.PHONY: formed
formed: ready-lab deb ## the same, and the one of a formed cluster: cllab up --snapshot formed-paths-2s
	$(PYTHON) -m hapair_lab prepare --cluster

.PHONY: emulated
emulated: formed ## the same for the emulated guests on which make test plays its reference scenarios
	$(if $(GUESTS),,HAPAIR_LAB_GUESTS=qemu $(PYTHON) -m hapair_lab prepare --cluster)

.PHONY: area
area: ready
	@$(PYTHON) -m tests.times.areas $(AREA) >/dev/null

.PHONY: lab
lab: area formed ## all scenarios on guests, or one area's: make lab AREA=networks GUESTS=qemu
	$(PYTEST) -m lab $(BESIDE_GUESTS) $$($(PYTHON) -m tests.times.areas $(AREA)) \
		--times --note $(addprefix --area=,$(AREA))

.PHONY: soak
soak: images ## random faults on guests while clients write: make soak MINUTES=60 SEED=1 GUESTS=uml
	@$(PYTHON) -m hapair_lab.soak --minutes $(MINUTES) --seed $(SEED) --first $(FIRST) \
		--rounds $(ROUNDS) --arbitration $(ARBITRATION) --application $(APPLICATION) \
		$(if $(JSON),--json $(JSON))

.PHONY: test
test: ready-lab deb ## what continuous integration runs: all but the long scenarios of make lab, in half an hour
	@# The guests boot on one processor while the other one checks, and compiles the tests once for
	@# all workers. Beside the scenarios a cluster of emulated guests would take four times as long.
	@$(MAKE) --no-print-directory --jobs=2 emulated lint types compiled
	@# One run, for whoever counts tests by pytest's last line.
	$(PYTEST) -m "not long and not deep" $(BESIDE_GUESTS) --in-time $(COVERAGE) --times \
		--seeds=$(or $(SEEDS),1000) --unattended=2000

.PHONY: demo
demo: images ## build a cluster, pull the power of the active node, watch the service return
	@$(PYTHON) -m hapair_lab demo

.PHONY: deb
deb: ready ## build the Debian package into dist/ (make deb VERSION=1.2.3)
	@$(PYTHON) -m tools.build_package $(if $(VERSION),--version $(VERSION))

.PHONY: wheel
wheel: ready ## build the wheel for pip and pipx into dist/
	@mkdir -p dist
	@$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

.PHONY: bench
bench: images ## measure failover and planned move, write the figures
	$(PYTHON) -m bench.failover

.PHONY: reference
reference: ready ## write the documents that are made from the code
	$(PYTEST) tests/arch/test_reference.py --rewrite --quiet

.PHONY: clean
clean: ## remove what was built here (the caches in the home folder stay)
	rm -rf build dist .venv .coverage .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
