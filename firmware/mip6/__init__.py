"""What a program on a board may import: the modules named in `__all__`, and `main(node)`'s node.

Mobile IPv6 with a preconfigured key (RFC 6275, RFC 4449), for MicroPython and CPython.
docs/APPLICATIONS.md describes what they promise. Everything else in this package may change.
"""

__version__ = "0.1.0"

__all__ = ["addresses", "clock", "datagrams", "errors"]
