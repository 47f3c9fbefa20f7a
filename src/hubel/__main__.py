"""`python -m hubel` is the command `hubel`."""

from hubel.cli import main

if __name__ == "__main__":
    main()
