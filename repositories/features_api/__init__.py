"""OGC API – Features and vector tiles of loaded layers: tipg on the app's own database connections (ADR 14).

Importing this loads neither FastAPI nor tipg: the first request does.
"""

from .service import FeaturesApi

__all__ = ["FeaturesApi"]
