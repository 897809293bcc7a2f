"""Submit, fan out, run, complete, relay, reconcile: drives controllers through repositories."""

from .boundary import Arrival
from .engine import Engine

__all__ = ["Arrival", "Engine"]
