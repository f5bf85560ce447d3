"""A playground: a board, networks and a correspondent, there until somebody takes them down."""
