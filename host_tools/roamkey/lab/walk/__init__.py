"""A scripted walk through the laboratory's networks: rehearsal of a field test."""
