"""Host tools for boards that run the mip6 agent: provision, correspond, test in the field."""

from mip6 import __version__

__all__ = ["__version__"]
