"""ONE FLEET: the head, convergence, operations and publishing; binds snapshots into the runtime."""
