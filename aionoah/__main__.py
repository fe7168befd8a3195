"""`python -m aionoah`: the command line."""

import _signal as signal  # type: ignore[import-not-found] # what is built in: the rest takes milliseconds to load

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C ends us as any other program: at once, and without a traceback out of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import atexit
import gc

gc.disable()  # until a command is loaded: see cli/loading.py
atexit.register(gc.freeze)  # what there is at the end goes with the process, garbage or not

from aionoah.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    main()
