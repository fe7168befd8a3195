"""`python -m aionoah`: the command line."""

import _signal as signal  # type: ignore[import-not-found] # what is built in: the rest takes milliseconds to load

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C ends us as any other program: at once, and without a traceback out of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from aionoah.cli import main

if __name__ == "__main__":
    main()
