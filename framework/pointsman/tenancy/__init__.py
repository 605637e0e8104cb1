"""WHO ASKS: where the tenant id is read, and what is believed of it."""
