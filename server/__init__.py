"""The deployment: one ASGI application, its settings and its command line."""
