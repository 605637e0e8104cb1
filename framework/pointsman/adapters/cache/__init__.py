"""Providers of ``adapter/cache``."""
