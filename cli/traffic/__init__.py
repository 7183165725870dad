"""Simulated traffic: invented documents, questions about them, sent at a steady rate, and what became of each."""
