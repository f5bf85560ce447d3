"""Why a binding isn't as the user wants it: the status of an acknowledgement, the text of a
storage failure, or one of these. status.py has a line for a person on each."""

from ..compat import const

UNKEYED = const(256)
SPENT = const(257)
BINDING_ERROR = const(258)
PARAMETER_PROBLEM = const(259)
NO_WAY = const(260)
