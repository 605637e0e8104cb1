"""``python -m pointsman.cli``: the command, where its script is not on the path."""

from pointsman.cli.main import run

if __name__ == "__main__":
    run()
