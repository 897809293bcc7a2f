"""Callbacks in the database, and their way out of it: CloudEvents, signed, to addresses that were checked."""

from .repository import CallbackRepository
from .sender import HttpCallbackSender

__all__ = ["CallbackRepository", "HttpCallbackSender"]
