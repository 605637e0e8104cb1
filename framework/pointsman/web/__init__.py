"""THE ASGI SURFACE: application, routing, injection, problems, probes, middleware, admin."""
