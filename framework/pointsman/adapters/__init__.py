"""THE OUTSIDE WORLD: providers by category, reached by reference only."""
