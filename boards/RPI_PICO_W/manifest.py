# What upstream freezes for this board, the agent and the program that starts it.
# ruff: noqa: F821 (the names are those of MicroPython's manifestfile.py)
include("$(PORT_DIR)/boards/RPI_PICO_W/manifest.py")
include("../manifest.py", platform="rp2")
