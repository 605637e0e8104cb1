"""ASGI middleware of the house, each a callable around a callable."""
