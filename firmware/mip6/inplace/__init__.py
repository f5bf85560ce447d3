"""Bytecode that runs where it lies in flash: at a start, then forgotten (a load unit)."""
