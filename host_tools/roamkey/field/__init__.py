"""Field tests: what boards and correspondents wrote down on a walk, joined and shown."""
