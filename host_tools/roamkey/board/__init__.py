"""Boards at a serial port: found, flashed, installed, asked."""
