"""Options that name whom a board is to know: correspondents, with keys or not, a home agent."""

from typing import Annotated

import typer

from roamkey.cli.options import global_address
from roamkey.enroll.peers import Peers

CorrespondentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--correspondent",
        metavar="ADDRESS",
        help="A correspondent's address; may be repeated. Default: the site's.",
    ),
]
RoutabilityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--return-routability",
        metavar="ADDRESS",
        help="A correspondent that is given no key: return routability takes its place, through "
        "the home agent. May be repeated.",
    ),
]
HomeAgentOption = Annotated[
    str | None,
    typer.Option(
        "--home-agent",
        metavar="ADDRESS",
        help="The home agent's address, which is given keys too. Default: the site's.",
    ),
]
InsecureHomeAgentOption = Annotated[
    str | None,
    typer.Option(
        "--insecure-home-agent",
        metavar="ADDRESS",
        help="A home agent that takes registrations without authentication: for laboratories.",
    ),
]
NoHomeAgentOption = Annotated[
    bool, typer.Option("--no-home-agent", help="None, whatever the site says.")
]


def named(
    correspondent: list[str] | None,
    return_routability: list[str] | None,
    home_agent: str | None,
    insecure_home_agent: str | None,
    no_home_agent: bool,
) -> Peers:
    """What the options name; raises BadInputError, BadParameter."""
    if (home_agent is not None) + (insecure_home_agent is not None) + no_home_agent > 1:
        raise typer.BadParameter(
            "give one of --home-agent, --insecure-home-agent and --no-home-agent"
        )
    agent = None
    if home_agent is not None:
        agent = global_address(home_agent, "--home-agent")
    elif insecure_home_agent is not None:
        agent = global_address(insecure_home_agent, "--insecure-home-agent")
    return Peers(
        tuple(global_address(text, "--correspondent") for text in correspondent or ()),
        tuple(global_address(text, "--return-routability") for text in return_routability or ()),
        agent,
        insecure_home_agent is not None,
    )


def warn(text: str) -> None:
    """Say on standard error what a person has to know of them, where that is anything."""
    if text:
        typer.echo(f"roamkey: warning: {text}", err=True)
