"""A home agent's loop: a correspondent's, and between a first registration and its answer the home
link is asked whether the home address is free.

The registry's thread judges; what the link found is taken over while that thread has nothing to
do, and the update that waited is judged once more, with the next burst.
"""

from roamkey.correspondent.clock import now_ms
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.daemon import Daemon
from roamkey.home_agent.core.cache import HomeCache
from roamkey.home_agent.settings import HomeSettings
from roamkey.home_agent.tunnel import control
from roamkey.registry.records import HOME_AGENT


class HomeDaemon(Daemon):
    """The parts of a home agent's daemon, and what turns them. Its settings are HomeSettings."""

    role = HOME_AGENT

    def _new_cache(self, settings: HomeSettings, port: int) -> BindingCache:
        self._homes = HomeCache(
            self._address.packed,
            settings.home_prefixes,
            settings.bindings_max,
            settings.nat_refresh_s,
            port=port,
        )
        return self._homes

    def _do_more(self) -> bool:
        plane = self._plane
        if plane is None:
            return False
        now = now_ms()
        done = bool(plane.said)
        while plane.said:
            kind, body = plane.said.popleft()
            if kind == control.DETECTED:
                for home, is_free in control.FOUND.iter_unpack(body):
                    waited = self._homes.detected(home, is_free, now)
                    self._inbox.put([] if waited is None else [waited])
        due = self._homes.to_detect(now)
        if due:
            plane.tell(control.DETECT, b"".join(due))
        return done or bool(due)
