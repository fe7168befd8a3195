"""/proc: what the kernel tells of processes and of itself (proc(5)).

filesystem.py puts the tree together; the other modules have the functions that make the text of its files.
"""
