"""ONE REPLICA: inputs, snapshots and access to components; works without control."""
