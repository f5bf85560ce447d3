# roamkey: every target works from a fresh clone; each makes the virtual environment first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Of the demo alone, a third of the whole.
PLAY   := $(VENV)/.installed-for-the-demo
ADD    := $(BIN)/python host_tools/installing.py --no-compile --editable

# The tests start thousands of processes, each of which would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-kernel test-pico-w test-esp32 size handover-pico-w handover-esp32 lint format fuzz bench screenshots docs clean

help: ## print these targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(STAMP) ## make .venv and install roamkey with its tools into it

# A Debian or Ubuntu python3 may lack the parts that make environments: take what there is.
$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || \
	  { rm -rf $(VENV); $(PYTHON) -m virtualenv --quiet $(VENV) 2>/dev/null; } || \
	  { rm -rf $(VENV); test "$$(id -u)" = 0 && apt-get update -qq >/dev/null 2>&1 && \
	    apt-get install -y -qq python3-venv >/dev/null 2>&1 && $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV) 2>/dev/null && \
	    $(PYTHON) -m pip --python $(BIN)/python install --quiet pip 2>/dev/null; } || \
	  { rm -rf $(VENV); echo "make: $(PYTHON) can't make a virtual environment;" \
	    "install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }

$(STAMP): pyproject.toml | $(BIN)/python
	@echo "installing roamkey and its tools into $(VENV) …"
	@$(ADD) '.[dev]'
	@touch $@

$(PLAY): pyproject.toml | $(BIN)/python
	@test $(STAMP) -nt pyproject.toml || { echo "installing what the demo needs into $(VENV) …" && \
	  $(ADD) '.[lab,field,page]'; }
	@touch $@

demo: $(PLAY) ## the main job on virtual boards: provision, register, move, lose power, come back
	$(BIN)/roamkey lab demo --out demo-out

test: $(STAMP) ## the tests, under CPython and MicroPython (about ten minutes on two cores)
	$(BIN)/python -m pytest -n 4 --dist loadfile -m "not slow and not long and not kernel"

test-slow: $(STAMP) ## whole stories: people's first days, each line of the documents, walks (minutes)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "slow and not long and not kernel"

test-kernel: $(STAMP) ## both data planes in a kernel with Mobile IPv6, booted as a process (Debian: apt install user-mode-linux kmod)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "kernel and not long"

test-pico-w: $(STAMP) ## the agent on real Pico W firmware, emulated; PICO_W_UF2 names it (a quarter of an hour)
	@test -n "$$PICO_W_UF2$$PICO_W_FROZEN_UF2" || { echo "make: PICO_W_UF2 must name a MicroPython UF2 for" \
	  "RPI_PICO_W, from micropython.org/download/RPI_PICO_W," \
	  "or PICO_W_FROZEN_UF2 one with the agent in it (boards/RPI_PICO_W)" >&2; exit 2; }
	@$(ADD) '.[dev,pico-w]'
	$(BIN)/python -m pytest tests/pico_w

test-esp32: $(STAMP) ## the agent on real ESP32-C3 firmware, emulated; ESP32_QEMU, ESP32_FIRMWARE, ESP32_STOCK_FIRMWARE (a quarter of an hour)
	@test -n "$$ESP32_QEMU" && test -n "$$ESP32_FIRMWARE$$ESP32_STOCK_FIRMWARE" || { echo "make: ESP32_QEMU must name" \
	  "the emulator (docs/LIMITS.md), ESP32_FIRMWARE a firmware.bin of boards/ESP32_GENERIC_C3" \
	  "or ESP32_STOCK_FIRMWARE one of MicroPython's own ESP32_GENERIC_C3" >&2; exit 2; }
	$(BIN)/python -m pytest tests/esp32

size: $(STAMP) ## octets and flash of the agent; with PICO_W_UF2, PICO_W_FROZEN_UF2, or ESP32_FIRMWARE, ESP32_STOCK_FIRMWARE and ESP32_QEMU, RAM and times, emulated
	@test -z "$$PICO_W_UF2$$PICO_W_FROZEN_UF2" || $(ADD) '.[dev,pico-w]'
	$(BIN)/python bench/footprint.py

handover-pico-w: $(STAMP) ## moves of an emulated Pico W in phases; PICO_W_UF2 names the firmware (a quarter of an hour)
	@$(ADD) '.[dev,pico-w]'
	$(BIN)/python bench/pico_w_handover.py

handover-esp32: $(STAMP) ## moves of an emulated ESP32-C3 in phases; ESP32_FIRMWARE, ESP32_QEMU (minutes)
	$(BIN)/python bench/esp32_handover.py

fuzz: $(STAMP) ## power cuts, failing flash, lossy moves, noise, damaged files, everything at once (long)
	$(BIN)/python bench/cuts.py
	$(BIN)/python bench/faults.py
	$(BIN)/python bench/kills.py
	$(BIN)/python bench/kills.py --daemon home-agent
	$(BIN)/python bench/batch_kills.py
	$(BIN)/python bench/two_daemons.py
	$(BIN)/python bench/following.py
	$(BIN)/python bench/chaos.py
	$(BIN)/python bench/hostile.py
	$(BIN)/python bench/edges.py
	$(BIN)/python -m pytest -m long
	CAMPAIGN=full $(BIN)/python -m pytest tests/correspondent/test_hostile.py
	CAMPAIGN=full $(BIN)/python -m pytest -s tests/core/test_inside_hostile.py tests/core/test_home_agent_hostile.py \
	  tests/lab/test_roaming.py tests/lab/test_any_network.py tests/lab/test_roaming_hostile.py \
	  tests/lab/test_home_agent_story.py \
	  tests/lab/test_rogue_neighbour.py tests/board/test_noise.py tests/field/test_walk_report.py

bench: $(STAMP) ## what it costs: tables, and bench/out/*.json (minutes)
	$(BIN)/python bench/endurance.py
	$(BIN)/python bench/wear.py
	$(BIN)/python bench/handover.py
	$(BIN)/python bench/routes.py
	$(BIN)/python bench/anynetwork.py
	$(BIN)/python bench/provisioning.py
	$(BIN)/python bench/correspondent.py
	$(BIN)/python bench/importing.py
	$(BIN)/python bench/dataplane.py
	$(BIN)/python bench/page.py
	$(BIN)/python bench/startup.py

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## let ruff lay the code out
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

screenshots: $(STAMP) ## the live page's picture, docs/page.png, by itself (needs chromium, chromium-driver)
	$(BIN)/python bench/screenshots.py

docs: $(STAMP) ## make what is made from the code: the state table in docs/, the package of mip
	$(BIN)/python -m roamkey.state_table docs/DESIGN.md
	$(BIN)/python -m roamkey.mip_package firmware/package.json

clean: ## remove what the targets made
	rm -rf $(VENV) demo-out demo-out.before bench/out .pytest_cache .mypy_cache .ruff_cache
