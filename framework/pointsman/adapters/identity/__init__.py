"""Providers of ``adapter/identity``."""
