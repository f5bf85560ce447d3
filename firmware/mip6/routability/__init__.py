"""Return routability: in memory where a correspondent without a key and a home agent are set."""
