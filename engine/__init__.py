"""Submit, fan out, run, complete, relay, reconcile: drives controllers through repositories."""

from .boundary import Arrival
from .engine import Engine
from .waking import waking

__all__ = ["Arrival", "Engine", "waking"]
