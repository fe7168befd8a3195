"""File systems and files that the embedding application writes in Python.

protocol.py is what it implements; inode.py and file.py show that to the kernel, calls.py asks and checks the
answers; the other modules have file systems that are ready to use.
"""
