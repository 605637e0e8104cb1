"""Providers of ``adapter/secrets``."""
