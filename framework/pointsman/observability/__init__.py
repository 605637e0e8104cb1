"""WHAT HAPPENED: events, log lines, spans and metrics; never decides anything."""
