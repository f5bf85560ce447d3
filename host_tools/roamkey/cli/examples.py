"""Examples of each command, as people type them: shown below its help."""

EXAMPLES: dict[str, tuple[str, ...]] = {}


def below(path: str) -> str:
    """What stands below the help of a command, from its path with `roamkey` in front."""
    lines = EXAMPLES.get(path.partition(" ")[2], ())
    return "\n\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
