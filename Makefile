# Everything here is also an adamw-lab command. `make` alone prints the targets.
#
#   make study ARGS="--jobs 1"    more options for the command behind a target
#   make study VENV=              use the active environment (conda's, say) and whatever torch it holds; installs nothing
#   make study PYTHON=python3.12  the Python that .venv is made with

PYTHON = python3
VENV = .venv
STUDY = optimizers
PROFILE = quick
DATA = fashion_mnist cifar10
ARGS =

ifeq ($(strip $(VENV)),)
python := $(or $(shell command -v python),$(PYTHON))
ready := active
else
python := $(abspath $(VENV))/bin/python
ready := $(VENV)/.installed
endif
# Quoted, since the path of a checkout or of an environment may hold spaces.
lab := "$(python)" -m adamw_lab

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup active study test lint lab notebooks data gallery figures bench clean

help:  ## this list
	@echo "make TARGET [ARGS=...] [VENV=] [PYTHON=python3]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(ready)  ## make or bring up to date the virtual environment .venv (every target that needs it does so)

study: $(ready)  ## every optimizer on ResNet-18: a table and a figure [STUDY=optimizers PROFILE=quick]
	@$(lab) study $(STUDY) --profile $(PROFILE) $(ARGS)

test: $(ready)  ## the test suite
	@$(lab) test $(ARGS)

lint: $(ready)  ## ruff
	@$(lab) lint $(ARGS)

lab: $(ready)  ## JupyterLab on notebooks/00_start_here.ipynb
	@$(lab) lab $(ARGS)

notebooks: $(ready)  ## execute every notebook into runs/notebooks/
	@$(lab) notebooks $(ARGS)

data: $(ready)  ## get the data sets that are not there yet [DATA="fashion_mnist cifar10"]
	@$(lab) data $(DATA) $(ARGS)

gallery: $(ready)  ## execute every notebook and write them as a static site, runs/gallery/index.html
	@$(lab) gallery $(ARGS)

figures: $(ready)  ## redraw figures/ from the numbers in figures/data/
	@$(lab) figures $(ARGS)

bench: $(ready)  ## measure speed and memory here; the tables go to runs/bench/
	@$(if $(strip $(VENV)),"$(python)" -m pip --disable-pip-version-check install --quiet -c constraints.txt -e '.[bench]',:)
	@$(lab) bench $(ARGS)

clean:  ## remove .venv and caches; runs/ and data/ stay
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	@find adamw_lab tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("adamw-lab needs Python 3.11 or newer; \
	this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): a few minutes the first time, most of it torch."
	@$(PYTHON) -m venv $(VENV)
	@"$(python)" -m pip --disable-pip-version-check install --quiet -c constraints.txt -e '.[lab,dev]'
	@touch $@
	@echo "$(VENV) is ready."

# From another folder: here the source alone would be found, and a notebook's kernel starts elsewhere.
active:
	@cd / && "$(python)" -c 'import sys; from importlib.util import find_spec; \
	sys.exit(not all(map(find_spec, ("adamw_lab", "torch", "typer"))))' || { echo "VENV= uses the active environment \
	($(python)), but adamw-lab is not installed there: pip install -e '.[lab,dev]'" >&2; exit 2; }
