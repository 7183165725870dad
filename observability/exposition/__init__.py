"""Figures as `/metrics` shows them: the text format of Prometheus, and JSON.

`latest` needs series and what reads them; the gateway, which is to stay small, imports only `registered` and `formats`.
"""
