"""An app that cannot be imported."""

raise RuntimeError("the setting EXAMPLE is missing")
