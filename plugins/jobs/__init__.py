"""Durable, fair, killable jobs."""
