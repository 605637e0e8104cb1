"""WHICH ONE, WHY: pure rules over immutable catalogs; no I/O, no framework, usable alone."""
