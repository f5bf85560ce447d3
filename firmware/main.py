"""Boot entry: the agent and its console, until 0x03 on the serial line gives the REPL."""

from mip6 import agent

agent.main()
