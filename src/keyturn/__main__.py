"""`python -m keyturn` is the `keyturn` command."""

from keyturn.cli import main

if __name__ == "__main__":
    main()
