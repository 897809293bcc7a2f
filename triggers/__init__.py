"""Triggers: translate, call the engine, translate back."""
