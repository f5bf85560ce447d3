"""How long the keys of a correspondent last: uses left, days at the present rate, when to warn."""

from .compat import const
from .sequence import LIMIT, warning

_DAY = const(86400000)  # ms


def outlook(next_number, later_generations, uses, elapsed):
    """A dictionary: `uses_left`, `generations_left`, `days_left`, `used_percent`, `warning`.

    `next_number` (0 to 65536) is the current generation's, `later_generations` how many follow it,
    `uses` how many numbers were used in the last `elapsed` ms. `days_left` is a whole number, None
    where nothing was used to judge by. `used_percent` is of the current generation. `warning` is
    None, 80, 95 or 100 (exhausted): per cent of the last generation used, None on earlier ones.
    """
    left = LIMIT - next_number + LIMIT * later_generations
    used = next_number * 100 // LIMIT
    return {
        "uses_left": left,
        "generations_left": later_generations,
        "days_left": left * elapsed // uses // _DAY if uses > 0 and elapsed > 0 else None,
        "used_percent": used,
        "warning": None if later_generations else warning(next_number),
    }
