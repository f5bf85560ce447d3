"""Which /main.py is ours: by its SHA-256, and never by what stands in it.

A program of somebody's own that only mentions the agent is theirs. The list holds every main.py
that was ever written to a board; `firmware/main.py`, whenever it changes, is added to it (a test
holds that). What the slots' manifests say that an installation wrote is ours, too, so that an
older roamkey takes a newer one's for what it is.
"""

from roamkey.board.slots import Survey

#: SHA-256 of firmware/main.py, from the first to the present one.
OURS = frozenset(
    (
        "7198c683afeea3d17d939dbc9e19a600ec2d401b42910ad95c70f6fa8d059909",
        "5e35d0ddd48bbb4f5378b762a2cbbae233b777a5cbb125443a320f591d35565f",
        "162e63e08e6405d0d25df545d0570b468d04925ea2e827805edd3b281cf19e9f",
        "272f8edaaf0899edbfb6d4a01413a2d716f02d95bd1fd6878c688c00655818a5",
        "8a778adc75173a86732fa614ecbb92428e95aa973c2471964c4412e3558fbfea",
        "ae7d8b8ed9e9252e496ed5627ddab5f828ae35b4bce269d82cacdf13e7e330c6",
        "cf96cc11fd6a7fbcbb97ff676604bfc29502755add4a31088f30bca841ef7875",
    )
)


def is_ours(survey: Survey) -> bool:
    """Whether the board's /main.py may be overwritten: it is ours, or there is none."""
    recorded = {slot.main for slot in survey.slots.values()}
    return survey.main is None or survey.main in OURS or survey.main in recorded
