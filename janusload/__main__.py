"""`python -m janusload` is the command `janusload`."""

from janusload.cli import entry

if __name__ == "__main__":
    entry()
