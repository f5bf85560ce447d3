"""The home address over lwIP, where there is a home agent."""
