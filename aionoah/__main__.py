"""`python -m aionoah`: the command line."""

from aionoah.cli import main

if __name__ == "__main__":
    main()
