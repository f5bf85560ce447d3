"""The home agent: in memory where one was provisioned."""
