"""What the flash went through, from the log that `flash` keeps."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 4096  # octets, the least that can be erased


@dataclass
class Wear:
    """What happened to the flash: erases per sector (its address in the image), pages, octets."""

    erases: Counter[int] = field(default_factory=Counter)
    page_programs: int = 0
    octets_programmed: int = 0

    @classmethod
    def read(cls, log: Path) -> "Wear":
        """Add up a log that `WrittenThrough` keeps; a torn last line doesn't count."""
        wear = cls()
        for line in log.read_text().splitlines():
            kind, *numbers = line.split()
            if kind == "erase" and len(numbers) == 2:
                address, size = map(int, numbers)
                wear.erases.update(range(address, address + size, SECTOR))
            elif kind == "program" and len(numbers) == 2:
                wear.page_programs += 1
                wear.octets_programmed += int(numbers[1])
        return wear
