"""A Linux machine as a mobile node: the agent under CPython, as a service."""
