# The interface of the lab. Every target sets up what it needs; `make help` lists them.

PYTHON ?= $(shell command -v python3.13 || echo python3)
VARIABLES := LAB_DIR PATTERN TARGET YES KEEP CLOCK PORT EVENT COUNT ID RATE DURATION QUEUE COPY
VARIABLES += COMMAND FUNCTION MODE WHEN PROBABILITY RECEIVE_COUNT PARAMETERS
export $(VARIABLES)
# as they were typed: make would expand a $ in them
$(foreach name,$(VARIABLES),$(if $(filter-out undefined,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
ifeq ($(strip $(value LAB_DIR)),)
override LAB_DIR := .lab
endif

# Recipes name the folder as the shell does, "$$LAB_DIR": whatever is in it, the shell takes it for one word.
LAB := PYTHONPATH=.:lambdas/fault_injection/python "$$LAB_DIR/venv/bin/python" -m lab

define CHECK_PYTHON
{ command -v "$(PYTHON)" >/dev/null || { echo "Python 3.13 is needed, and there is no $(PYTHON) on PATH: https://www.python.org/downloads/" >&2; exit 1; }; } \
  && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13) and f"Python 3.13 is needed; $(PYTHON) is {sys.version.split()[0]}. Name another: make PYTHON=python3.13 ...")'
endef

.DEFAULT_GOAL := help
.PHONY: help setup up down status env new build apply send trace load fault heal peek redrive replay verify destroy test lint docs bench profile clean
.SILENT:

help:  ## list what there is to type
	awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup:  ## the lab's own Python environment (every other target does it too)
	cmp -s requirements.lock "$$LAB_DIR/venv/.installed" || { $(CHECK_PYTHON) && "$(PYTHON)" -m lab.setup; }

up: setup  ## start LocalStack (PORT=4566)
	$(LAB) up

down: setup  ## stop LocalStack; what was deployed on it is gone with it
	$(LAB) down

status: setup  ## what runs, where, and what is deployed
	$(LAB) status

env: setup  ## for eval "$(make -s env)": points terraform, aws and boto3 at the target
	$(LAB) env

new: setup  ## make a new pattern from the template: PATTERN=
	$(LAB) new

build: setup  ## the zips of a pattern: PATTERN=
	$(LAB) build

apply: setup  ## deploy a pattern: PATTERN= [TARGET=local|endpoint|aws] [YES=1]
	$(LAB) apply

send: setup  ## send sample events in and follow them: PATTERN= [EVENT=default] [COUNT=1]
	$(LAB) send

trace: setup  ## the journey of a correlation id, or an execution, across functions and states: PATTERN= ID=
	$(LAB) trace

load: setup  ## send at a rate and watch the queue: PATTERN= [RATE=20] [DURATION=30]
	$(LAB) load

fault: setup  ## break a function: PATTERN= FUNCTION= MODE= [WHEN=] [PROBABILITY=] [RECEIVE_COUNT=] [PARAMETERS=]
	$(LAB) fault

heal: setup  ## take all faults back: PATTERN=
	$(LAB) heal

peek: setup  ## look into a dead-letter queue, and take nothing out of it: PATTERN= QUEUE=
	$(LAB) peek

redrive: setup  ## move a dead-letter queue's messages back: PATTERN= QUEUE=
	$(LAB) redrive

replay: setup  ## process again what the pattern gave up on: PATTERN=
	$(LAB) replay

verify: setup  ## check what the pattern has recorded: PATTERN=
	$(LAB) verify

destroy: setup  ## destroy a pattern and prove that nothing is left: PATTERN= [COPY=] [YES=1]
	$(LAB) destroy

test: setup  ## run the experiments of a pattern, or without PATTERN every test there is: [PATTERN=] [KEEP=1] [CLOCK=virtual]
	$(LAB) test

lint: setup  ## ruff, mypy, terraform fmt and test, checkov, cfn-lint on state machines, tflint
	$(LAB) lint

docs: setup  ## write the generated parts of the READMEs from code and evidence
	$(LAB) docs

bench: setup  ## measure what the lab promises: PATTERN=
	$(LAB) bench

profile: setup  ## whose processor time a command takes, by kind of process: [COMMAND=test] and the command's own
	$(LAB) profile

clean:  ## remove everything that the lab made
	"$(PYTHON)" -m lab.paths claim
	if [ -x "$$LAB_DIR/venv/bin/python" ]; then $(LAB) clean; fi
	"$(PYTHON)" -m lab.paths remove
