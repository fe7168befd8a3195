"""Loading without looking for garbage: nothing of what is loaded is any, and to look costs a tenth of a short program's
time. __main__.py begins it, for a command; `loaded` ends it.
"""

import gc


def loaded() -> None:
    """From here on garbage is collected as ever, but not looked for among what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
