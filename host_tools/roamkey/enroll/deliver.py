"""Key sets on their way to a board: new ones (`provision`) and the next ones (`rekey`).

Whole, or not at all, and the order is what makes it so. (1) Ask the board who it is and which set
it holds; confirm or withdraw whatever an earlier, interrupted run left `sent`. (2) Refuse
conflicts. (3) The registry records the new set as `sent`. (4) The board takes it in one atomic
step. (5) The registry records it as `confirmed`.

Until the last octet of (4) has left, a failure withdraws the set and the registry is as before.
After that, the board alone knows: it is asked which set it holds, and the set is confirmed or
withdrawn accordingly. If it can't be asked, `sent` stays, the user is told, and the next run
finds out at (1).
"""

from collections.abc import Callable

from mip6 import addresses
from mip6.console.params import new_keys_of, parameters_of
from mip6.keystore.keyset import Credentials
from mip6.keystore.records import STORAGE_ERROR
from roamkey.board.agent import await_agent
from roamkey.board.identity import Identity
from roamkey.board.patience import patient
from roamkey.board.serial_client import SerialClient
from roamkey.enroll.held import Held, held_by
from roamkey.enroll.home import Pool
from roamkey.enroll.plan import GENERATIONS, Plan, next_keys
from roamkey.enroll.reach import check_agent, tell
from roamkey.errors import BadInputError, BoardError, RefusedError, RoamkeyError
from roamkey.registry import CONFIRMED, SENT, Registry, TakenError
from roamkey.registry.records import pairs_of
from roamkey.waiting import until

ASK_AGAIN_S = 6.0  # how long a board that fell silent may take to come back
_PAUSE_S = 0.2
_RESTART_S = 20.0  # at most
_FEATURE = "home-agent"  # of `identify`: agents that know one, and return routability
_ADDRESSES_MAX = 100  # that other commands may take before this one

Connect = Callable[[str], SerialClient]


def provision(
    registry: Registry,
    port: str,
    plan: Plan,
    *,
    pool: Pool | None = None,
    replace: bool = False,
    connect: Connect = SerialClient,
    ask_again_s: float = ASK_AGAIN_S,
) -> Held:
    """Carry out `plan` on the board at `port`; see the top of this file.

    `pool`: gives the home address where the plan has none; `replace`: also where the board holds
    keys already. Raises BadInputError (nothing was done), BoardError, RefusedError (the registry
    is as before, or the message says that it isn't).
    """
    plan.check()
    with connect(port) as client:
        identity = client.identify()
        check_agent(identity, plan.reach, plan.native)
        _check_agent(identity, plan)
        finished = _end_earlier(registry, identity)
        here = for_board(plan, pool, identity.board)
        if finished is not None and _is_as_planned(registry, finished, here):
            name_as_planned(registry, here)
            tell_reach(client, identity, plan)
            return held_by(registry, identity.board, finished, finished=True)
        for left in reversed(range(_ADDRESSES_MAX)):
            here = for_board(plan, pool, identity.board)
            try:
                credentials, failure = _give(registry, client, identity, here, plan, replace)
                break
            except TakenError:
                if pool is None or plan.home_address is not None or not left:
                    raise
                pool.drop(identity.board)
    held = _end(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)
    if client.restarts:  # a Pico W, for a home agent
        await_agent(port, identity.board, patient(_RESTART_S))
    return held


def rekey(
    registry: Registry,
    port: str,
    generations: int = GENERATIONS,
    *,
    connect: Connect = SerialClient,
    ask_again_s: float = ASK_AGAIN_S,
) -> Held:
    """Give the board at `port` the next `generations` of keys for each peer that it knows by keys.

    Home address, peers, nonces and lifetime stay, and the keys before are retired. An
    earlier run that was interrupted is finished instead. Raises as `provision`.
    """
    with connect(port) as client:
        identity = client.identify()
        finished = _end_earlier(registry, identity)
        if finished is not None:
            held = held_by(registry, identity.board, finished, finished=True)
            agent = () if held.home_agent is None else (held.home_agent,)
            given = {len(numbers) for _, numbers in held.correspondents + agent}
            if given - {0} == {generations}:
                return held
        credentials, lifetime = next_keys(registry, identity, generations)
        failure = _send(
            registry,
            client,
            identity.board,
            credentials,
            lifetime,
            lambda: client.rekey(new_keys_of(credentials)),
        )
    return _end(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)


def tell_reach(client: SerialClient, identity: Identity, plan: Plan) -> None:
    """Have a board that holds the keys of `plan` know where to reach its correspondents, too."""
    places = {owner: plan.reach.get(owner, ()) for owner in plan.peers}
    tell(client, identity, places, plan.native)


def name_as_planned(registry: Registry, plan: Plan) -> None:
    """Have the node of a plan with a home address called as it says, where it says anything;
    raises RefusedError where that is another one's name."""
    if plan.name is not None and plan.home_address is not None:
        registry.rename(plan.home_address, plan.name)


def for_board(plan: Plan, pool: Pool | None, board: str) -> Plan:
    """The plan with a home address: its own, else the pool's for this board."""
    if plan.home_address is not None:
        return plan
    if pool is None:
        raise BadInputError("no home address is given, and no prefix to take one of")
    return plan.at(pool.address_for(board))


def _check_agent(identity: Identity, plan: Plan) -> None:
    """Raise RefusedError where a board's agent is too old for a home agent."""
    if plan.home_agent is not None and _FEATURE not in identity.features:
        raise RefusedError(
            f"the agent of board {identity.board} ({identity.agent}) knows no home agent: update "
            "it (roamkey install)"
        )


def _give(
    registry: Registry,
    client: SerialClient,
    identity: Identity,
    here: Plan,
    plan: Plan,
    replace: bool,
) -> tuple[Credentials, RoamkeyError | None]:
    """Send a new set, the plan being `here` for this board; and what `_send` says.

    Raises TakenError where the pool's address went to another board meanwhile."""
    assert here.home_address is not None
    home_address = here.home_address
    own = _refuse_conflicts(registry, identity, home_address, replace)
    credentials = here.make(
        {peer: registry.next_generation(home_address, peer) for peer in here.keyed}
    )
    failure = _send(
        registry,
        client,
        identity.board,
        credentials,
        here.lifetime,
        lambda: client.provision(parameters_of(credentials)),
        fresh=plan.home_address is None and not own,
        name=plan.name,
    )
    return credentials, failure


def holds(registry: Registry, identity: Identity, plan: Plan) -> bool:
    """Whether a board holds a confirmed set that is what `plan` would make."""
    return any(
        known.state == CONFIRMED
        and known.set_id.hex() == identity.set_id
        and _is_as_planned(registry, known.set_id, plan)
        for known in registry.sets_of_board(identity.board)
    )


def _refuse_conflicts(
    registry: Registry, identity: Identity, home_address: bytes, replace: bool
) -> bool:
    """Raise RefusedError for what is another board's, or would replace keys unasked; whether the
    home address is this board's already."""
    node = registry.node_by_home_address(home_address)
    if node is not None and node.board_id not in (None, identity.board):
        raise TakenError(
            f"home address {addresses.text(home_address)} belongs to board {node.board_id}"
        )
    if identity.set_id is not None and not replace:
        raise RefusedError(
            f"board {identity.board} holds keys already: --replace gives it new ones"
        )
    return node is not None and node.board_id == identity.board


def _is_as_planned(registry: Registry, set_id: bytes, plan: Plan) -> bool:
    """Whether a set in the registry is what `plan` would make."""
    wanted = [
        (plan.home_address, peer, plan.lifetime, plan.role(peer))
        for peer in plan.keyed
        for _ in range(plan.generations)
    ]
    wanted += [
        (plan.home_address, peer, plan.lifetime, plan.role(peer))
        for peer in plan.peers
        if peer not in plan.keyed
    ]
    given = registry.kcns_of_set(set_id) if plan.kcns else ()
    found = [
        (entry.home_address, entry.correspondent, entry.lifetime, entry.role)
        for entry in registry.entries_of_set(set_id)
    ]
    return found == wanted and given == plan.kcns


def _end_earlier(registry: Registry, identity: Identity) -> bytes | None:
    """Confirm or withdraw what earlier runs left `sent`; the set confirmed by this, or None."""
    if identity.keystore == STORAGE_ERROR:
        raise BoardError(
            f"board {identity.board} can't read its flash just now, so nobody knows what it holds"
        )
    confirmed = None
    for earlier in registry.sets_of_board(identity.board):
        if earlier.state != SENT:
            continue
        if earlier.set_id.hex() == identity.set_id:
            registry.confirm(earlier.set_id)
            confirmed = earlier.set_id
        else:
            registry.withdraw(earlier.set_id)
    return confirmed


def _send(
    registry: Registry,
    client: SerialClient,
    board: str,
    credentials: Credentials,
    lifetime: int,
    give: Callable[[], str],
    fresh: bool = False,
    name: str | None = None,
) -> RoamkeyError | None:
    """Record a set as `sent` and have `give` put it on the board. None: it holds it. A failure:
    only the board knows. Raises where the board can't hold it, the set being withdrawn."""
    set_id = credentials.set_id
    registry.add_sent(set_id, board, pairs_of(credentials), lifetime, fresh, name)
    try:
        if give() == set_id.hex():
            return None
        return BoardError("the board confirms another set than it was sent")
    except RoamkeyError as error:
        if client.delivered:
            return error
        registry.withdraw(set_id)
        raise
    except BaseException:  # Ctrl-C, or a fault of ours
        if not client.delivered:
            registry.withdraw(set_id)
        raise


def _end(
    registry: Registry,
    board: str,
    set_id: bytes,
    failure: RoamkeyError | None,
    port: str,
    connect: Connect,
    ask_again_s: float,
) -> Held:
    """Confirm what the board holds. After a failure it is asked: where it holds another set,
    this one is withdrawn and the failure raised."""
    if failure is not None:
        identity = _ask_again(port, board, connect, ask_again_s)
        if identity is None:
            raise BoardError(
                f"{failure}; whether board {board} took the keys is unknown, the registry keeps "
                "them as sent: run the same command again"
            )
        if identity.set_id != set_id.hex():
            registry.withdraw(set_id)
            raise failure
    registry.confirm(set_id)
    return held_by(registry, board, set_id, finished=False)


def _ask_again(port: str, board: str, connect: Connect, ask_again_s: float) -> Identity | None:
    """The identity of `board` from a port opened anew; None if it doesn't come back in time."""

    def answer() -> Identity | None:
        try:
            with connect(port) as client:
                return client.identify()
        except BoardError:
            return None

    identity = until(answer, ask_again_s, _PAUSE_S)
    known = identity and identity.board == board and identity.keystore != STORAGE_ERROR
    return identity if known else None
