# The agent and the program that starts it, for freezing into any firmware: the manifests of the
# boards include this file.
# ruff: noqa: F821 (the names are those of MicroPython's manifestfile.py)
package("mip6", base_path="../firmware")
module("main.py", base_path="../firmware")
