"""Every reason that the code counts has its advice, and every advice its reason."""

import re
from pathlib import Path

from mip6 import messages, packets
from roamkey.correspondent import encapsulation, status
from roamkey.correspondent.core import (
    cache,
    inside,
    others,
    reasons,
    responder,
    routability,
    triage,
)
from roamkey.correspondent.dataplane import tally
from roamkey.home_agent.core import cache as home_agent


def counted():
    """The reasons as the source names them."""
    found = set()
    for module in (messages, packets, inside):
        found |= set(re.findall(r'Violation\(\s*"([a-z -]+)"', Path(module.__file__).read_text()))
    assert '"length"' in Path(messages.__file__).read_text()
    found.add("length")  # chosen beside "truncated"
    for module in (cache, others, routability, home_agent):
        text = Path(module.__file__).read_text()
        found |= set(re.findall(r'dropped\(\s*(?:authentic\.)?inbound, "([A-Za-z -]+)"', text))
        found |= set(re.findall(r'(?:return|or) "([a-z ]+)"\n', text))
    found |= {*encapsulation._CUT, encapsulation.FRAGMENT}
    found |= {
        "a key was entered",
        "authenticator",
        "no binding",
        "message type",
        "no key",
        "home address",
        "registry behind",
        triage.FLOOD,
    }  # given by name
    for module in (responder, status):
        text = Path(module.__file__).read_text()
        found |= set(re.findall(r'entries\.DROPPED, "([a-z ]+)"', text))
    return found


def test_each_has_its_advice():
    assert counted() - set(reasons.DROPPED) == set()
    assert set(reasons.DROPPED) - counted() == set()
    assert set(reasons.REFUSED) == {
        *home_agent._REASONS.values(),
        *routability.REFUSALS.values(),
    }
    assert set(cache.REFUSALS.items()) <= set(home_agent._REASONS.items())
    assert {*reasons.DATA_PLANE, *reasons.PASSED_ON} == {*tally.NAMES, tally.OF_THE_LINK}


def test_each_advice_is_a_sentence():
    for text in [text for table in reasons._TABLES.values() for text in table.values()]:
        assert text.endswith(".") and ". " not in text, text
    assert reasons.advice("dropped", "from a later version").startswith("Unknown")
