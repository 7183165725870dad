"""What retrieval and generation know about written language: scripts and search terms. Plain Python, no models."""
