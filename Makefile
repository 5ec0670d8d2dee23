# `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3

# What a shell with another ROS or a notebook would bring in.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH
unexport RMW_IMPLEMENTATION ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
export MPLBACKEND := Agg

# `.venv` here, or a folder of the user where this one belongs to somebody else.
VENV := $(shell $(PYTHON) tools/setup_environment.py --where)
BIN := $(VENV)/bin
OUT ?= $(if $(shell test -w . && echo yes),demo,$(HOME)/tacdiff_demo)

.PHONY: setup demo test fuzz bench bench-smoke lint format clean

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	"$(BIN)/tacdiff" demo --out "$(OUT)"

# Nodes that keep time with each other run after the other tests, which share the cores.
test: setup
	"$(BIN)/python" -m pytest -m "not alone" -n auto --maxprocesses 4 --dist loadgroup; others=$$?; \
	"$(BIN)/python" -m pytest -m alone && exit $$others

# Seconds for each reader.
fuzz: SECONDS ?= 600
fuzz: setup
	"$(BIN)/python" benchmarks/fuzz.py --seconds "$(SECONDS)"

bench: setup
	"$(BIN)/python" -m pip install --quiet "cholespy>=2.1,<3"
	"$(BIN)/python" benchmarks/first_run.py
	"$(BIN)/python" benchmarks/acquisition.py
	"$(BIN)/python" benchmarks/rig_mount.py
	"$(BIN)/python" benchmarks/optics.py
	"$(BIN)/python" benchmarks/mechanics.py
	"$(BIN)/python" benchmarks/calibration.py
	"$(BIN)/python" benchmarks/inversion.py
	"$(BIN)/python" benchmarks/object_pose.py
	"$(BIN)/python" benchmarks/translation.py
	"$(BIN)/python" benchmarks/touch_features.py
	"$(BIN)/python" benchmarks/twin.py
	"$(BIN)/python" benchmarks/attack.py
	"$(BIN)/python" benchmarks/adversity.py

# The quick form of every benchmark: exit code and figures, some minutes each.
bench-smoke: setup
	"$(BIN)/python" -m pytest test/benchmarks/quick_forms.py test/docs/long_snippets.py

lint: setup
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/python" tools/check_vocabulary.py

format: setup
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

clean:
	rm -rf .venv build install log demo
