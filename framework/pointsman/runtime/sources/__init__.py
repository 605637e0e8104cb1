"""Where settings come from: files, variables and arguments, read each for itself and laid over one another."""
