"""SIGNED INTENT: bytes in, verdict out; pure, and nothing is imported or fetched here."""
