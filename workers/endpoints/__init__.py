"""HTTP endpoints that serve a model: a pool that spreads requests over them and leaves out those that fail.

It knows JSON and server-sent events, and nothing of what is asked for.
"""
