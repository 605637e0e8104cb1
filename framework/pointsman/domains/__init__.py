"""KINDS OF WORK: bridges for services, tasks, events, workflows and actions."""
