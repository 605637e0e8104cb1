"""WHERE IT LIES: one protocol of conditional reads and compare-and-swap writes, four stores."""
