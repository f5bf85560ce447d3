"""Mobile IPv6 with a preconfigured key (RFC 6275, RFC 4449), for MicroPython and CPython."""

__version__ = "0.1.0"
