"""KEEP IT RUNNING, REPLACE IT WHILE IT RUNS: instances, leases, epochs, swaps."""
