"""Measurements: each returns rows, and asserts that what it compares agrees."""
