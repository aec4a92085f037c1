# `make demo` shows the bot at work, `make test` proves it. Both need Python 3.11 and make, nothing else.
PYTHON ?= $(firstword $(shell command -v python3.11 python3 2>/dev/null))
ARGS ?=
BIN := .venv/bin
PIP_OPTIONS := --quiet --disable-pip-version-check --require-hashes --only-binary :all:
.DELETE_ON_ERROR:
.PHONY: demo test lint types imports domain unit coverage bench soak lock clean

demo: .venv/.installed
	@$(BIN)/alertbot demo $(ARGS)

test: lint types imports domain
	$(BIN)/pytest --ignore=tests/domain $(ARGS)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile

types: .venv/.installed
	$(BIN)/mypy

imports: .venv/.installed
	$(BIN)/lint-imports

# What decides, with its branch coverage; of everything (`make coverage`) it takes twice the time of the tests.
domain: .venv/.installed
	$(BIN)/pytest --cov=alertbot.domain --cov-branch --cov-report=term:skip-covered tests/domain

unit: .venv/.installed
	$(BIN)/pytest $(ARGS)

coverage: .venv/.installed
	$(BIN)/pytest --cov=alertbot --cov-branch --cov-report=term:skip-covered $(ARGS)

bench: .venv/.installed
	@for script in evaluate points process; do $(BIN)/python -m benchmarks.bench_$$script || exit 1; done

# Half an hour under fire; ARGS="--minutes 5 --seed 7 --sqlite" is shorter, and on SQLite.
soak: .venv/.installed
	@$(BIN)/python -m benchmarks.soak $(ARGS)

# Nothing is installed without a hash, uv included, nor built by a tool that has none. uv is several times faster than pip;
# where it cannot be had, or fails, pip installs the same lock.
.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	@sed '/^uv==/,/# via/!d' requirements.lock > .venv/uv.lock
	@if $(BIN)/pip install $(PIP_OPTIONS) -r .venv/uv.lock 2>/dev/null && \
	    VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --only-binary :all: -r requirements.lock; then :; else \
	    echo "installing with pip"; $(BIN)/pip install $(PIP_OPTIONS) -r requirements.lock; fi
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: .venv/.installed
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --no-strip-extras --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements.lock

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
