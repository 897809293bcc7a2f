"""The STAC API: stac-fastapi-pgstac on the app's own database connections (docs/adr/0012).

Importing this loads neither FastAPI nor anything else of it: the first request does.
"""

from .service import CatalogApi

__all__ = ["CatalogApi"]
