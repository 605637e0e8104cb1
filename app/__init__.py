"""The reference service: settings and handlers, put together."""
