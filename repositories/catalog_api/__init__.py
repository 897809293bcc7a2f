"""The STAC API: stac-fastapi-pgstac on the app's own database connections (docs/adr/0012).

Importing this loads neither FastAPI nor anything else of it: the first request does.
"""

import logging

from .service import CatalogApi

# It warns, while it is imported, of settings that it is given later.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)

__all__ = ["CatalogApi"]
