"""Compares queues, ledger, index, uploads and dead letters with each other, and puts right what does not fit."""
