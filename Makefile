# `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test bench lint format clean

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	$(BIN)/tacdiff demo --out demo

test: setup
	$(BIN)/python -m pytest

bench: setup
	$(BIN)/python -m pip install --quiet "cholespy>=2.1,<3"
	$(BIN)/python benchmarks/acquisition.py
	$(BIN)/python benchmarks/optics.py
	$(BIN)/python benchmarks/mechanics.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/inversion.py
	$(BIN)/python benchmarks/translation.py
	$(BIN)/python benchmarks/twin.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build install log demo
