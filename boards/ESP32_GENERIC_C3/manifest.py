# What upstream freezes, the agent and the program that starts it.
# ruff: noqa: F821 (the names are those of MicroPython's manifestfile.py)
include("$(PORT_DIR)/boards/manifest.py")
include("../manifest.py", platform="esp32")
