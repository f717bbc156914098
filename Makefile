# make demo: set up and run a station day.  make test: set up and run every check.  Nothing here needs root; as root, `test` installs what its tests need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DIST := build/dist
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
# Hundreds of processes are started by tests: each compiles the package again where byte code may not be written.
export PYTHONDONTWRITEBYTECODE :=
STEP = @printf '\n== %s\n'

.PHONY: help setup demo tools lint check compiled test nightly soak bench pictures format wheel deb fabric-bin fabric-up fabric-down

help:
	@printf '%s\n' 'make demo    a simulated station day, with its settlement' \
	  'make check   format, lint, types, imports, unit and property tests: two minutes' \
	  'make test    the same and all other tests but the nightly ones: ten minutes' \
	  'make nightly the tests that are too long for make test' \
	  'make soak    the long forms of the tests' \
	  'make bench   the benchmarks (ONLY=ocpp, meters, trades, memory, idle, pages or web)' \
	  'make pictures  the pictures of README, from a run of the browser tests' \
	  'make format  put the code into its form' \
	  'make wheel   build/dist/edgegw-*.whl, for pipx' \
	  'make deb     build/dist/edgegw_*.deb, for Debian 12' \
	  'make fabric-up, fabric-down  a Hyperledger Fabric network on this machine (FABRIC_VERSION=2.5.16 for the LTS)' \
	  'make fabric-bin  only build its programs; FABRIC_BIN=FOLDER names those you have' \
	  'make setup   only build .venv for development'

setup: $(DEVELOPMENT)

demo: $(RUNTIME)
	@$(BIN)/edgegw demo

# What tests need beside Python, program:package, or file:package. Without root they are skipped, each with one line that says
# what is missing.
TOOLS := mosquitto:mosquitto strace:strace debootstrap:debootstrap systemd-nspawn:systemd-container systemd-analyze:systemd \
  softhsm2-util:softhsm2 chromium:chromium /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc:fonts-noto-cjk

tools:
	@missing=(); for tool in $(TOOLS); do \
	  [ -e "$${tool%:*}" ] || PATH="$$PATH:/usr/sbin:/sbin" command -v "$${tool%:*}" >/dev/null || missing+=("$${tool#*:}"); done; \
	if [ $${#missing[@]} -eq 0 ]; then :; \
	elif [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing $${missing[*]} (once)"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	else echo "some tests will be skipped; as root: apt-get install $${missing[*]}"; fi

# Ends what still runs after an hour; each test has limits of its own (pyproject.toml).
PYTEST := timeout --foreground --kill-after=30 3600 $(BIN)/python -m pytest

lint: $(DEVELOPMENT)
	$(STEP) 'ruff format'
	@$(BIN)/ruff format --check .
	$(STEP) 'ruff check'
	@$(BIN)/ruff check .
	$(STEP) 'mypy'
	@$(BIN)/mypy
	$(STEP) 'import rules'
	@$(BIN)/lint-imports --no-logo --no-cache

check: lint
	$(STEP) 'pytest: unit and property tests'
	@$(PYTEST) tests/unit tests/property -n 2 --dist worksteal -m 'not soak and not nightly'

# pytest compiles each file of tests for its asserts: once, beside lint, and not in each worker.
compiled: $(DEVELOPMENT)
	@$(BIN)/python -m pytest --collect-only -p no:xdist -p no:cacheprovider >/dev/null 2>&1 || true

test: $(DEVELOPMENT) tools
	@$(MAKE) -j2 lint compiled
	$(STEP) 'pytest'
	@rm -f .coverage .coverage.*
	@EDGEGW_COVERAGE=1 $(PYTEST) -n 4 --dist worksteal --durations=12 -m 'not soak and not nightly' | tee .venv/pytest.txt
	$(STEP) 'coverage: 100 % in contract and core, 90 % over all'
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --include='edgegw/contract/*,edgegw/core/*' --fail-under=100
	@$(BIN)/coverage report --format=total --fail-under=90
	@tail -n 1 .venv/pytest.txt

nightly: $(DEVELOPMENT) tools
	@$(PYTEST) -n 2 --dist worksteal --durations=12 -m nightly

soak: $(DEVELOPMENT)
	@$(BIN)/python -m pytest -m soak

bench: $(DEVELOPMENT)
	@$(BIN)/python -m tests.bench $(addprefix --only ,$(ONLY))

pictures: $(DEVELOPMENT) tools
	@rm -rf build/pictures
	@$(BIN)/python -m pytest tests/browser
	@mkdir -p docs/pictures && cp build/pictures/*.webp docs/pictures/ && ls -s --block-size=1k docs/pictures

format: $(DEVELOPMENT)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

wheel: $(RUNTIME)
	@rm -rf build/lib build/bdist.* $(DIST)/*.whl
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w $(DIST) .
	@ls $(DIST)/*.whl

deb: wheel
	@deb/build.sh $(DIST)/*.whl $(DIST)

# Hyperledger Fabric's programs. Its tags are no versions to Go, whose module path ends in no /v3: a pseudo-version names the commit.
FABRIC_VERSION ?= 3.1.5
FABRIC_MODULE_3.1.5 := v1.4.0-rc1.0.20260618074816-86c1172bec37
FABRIC_MODULE_2.5.16 := v1.4.0-rc1.0.20260617221605-f871cf92a026
FABRIC_MODULE = $(FABRIC_MODULE_$(FABRIC_VERSION))
FABRIC_PROGRAMS := peer orderer configtxgen cryptogen osnadmin
FABRIC_BIN ?= build/fabric/$(FABRIC_VERSION)/bin
export FABRIC_BIN
FABRIC_HAS = for program in $(FABRIC_PROGRAMS); do test -x '$(FABRIC_BIN)'/$$program || exit 1; done
GO_BUILD = env GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN='$(abspath $(FABRIC_BIN))' go

fabric-bin:
	@if ($(FABRIC_HAS)); then echo 'Fabric programs: $(FABRIC_BIN)'; \
	elif [ -z '$(FABRIC_MODULE)' ]; then echo 'fabric-bin: FABRIC_VERSION is one of 3.1.5, 2.5.16' >&2; exit 2; \
	elif ! command -v go >/dev/null; then \
	  echo 'fabric-bin: skipped, no Go toolchain (1.26.4 or newer); FABRIC_BIN=FOLDER names programs you have'; \
	elif ! (cd / && $(GO_BUILD) list -m github.com/hyperledger/fabric@$(FABRIC_MODULE)) >/dev/null 2>&1; then \
	  echo 'fabric-bin: skipped, the Go module proxy does not give github.com/hyperledger/fabric; FABRIC_BIN=FOLDER names programs you have'; \
	else echo 'building Fabric $(FABRIC_VERSION) (once, some minutes)'; cd / && $(GO_BUILD) install \
	  -ldflags '-s -w -X github.com/hyperledger/fabric/common/metadata.Version=$(FABRIC_VERSION)' \
	  $(FABRIC_PROGRAMS:%=github.com/hyperledger/fabric/cmd/%@$(FABRIC_MODULE)); fi

fabric-up: $(RUNTIME) fabric-bin
	@if ($(FABRIC_HAS)); then $(BIN)/edgegw devnet up; fi

fabric-down: $(RUNTIME)
	@$(BIN)/edgegw devnet down

# The package itself is built with the locked setuptools, which stands in the development lock only.
$(RUNTIME): requirements.lock requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo 'setting up .venv (once)'
	@sed -n '/^setuptools==/,/^[^ ]/{/^setuptools==/p;/--hash/p}' requirements-dev.lock | sed '$$s/ *\\*$$//' >.venv/build.lock
	@$(PIP) --require-hashes -r requirements.lock -r .venv/build.lock
	@$(PIP) --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	@echo 'setting up the development tools (once)'
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'edgegw needs Python 3.11 or newer; name it: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'Python cannot make virtual environments here; as root: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv .venv
