"""The laboratory: virtual boards and networks, for demo, tests and benches."""
