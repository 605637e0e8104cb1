"""THE SHELL: one command a module, each a thin line over the layers below."""
