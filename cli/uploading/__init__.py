"""Bringing files to the gateway: which ones, under which ids, and what becomes of each."""
