"""Honest little worlds for the tests: each refuses impossible orders."""
