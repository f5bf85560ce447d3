"""Host tools for boards that run the mip6 agent: provision, correspond, test in the field."""

__version__ = "0.1.0"
