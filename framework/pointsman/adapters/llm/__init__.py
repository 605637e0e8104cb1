"""Providers of ``adapter/llm``."""
