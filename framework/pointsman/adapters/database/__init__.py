"""Providers of ``adapter/database``."""
