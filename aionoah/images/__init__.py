"""Images of containers: fetched from a registry or a tarball, unpacked once, and shown to guests as their root.

A layer becomes a directory that an overlay reads as it is (see fs/overlay_marks.py and fs/hostfs_owners.py for what
is noted in it). Sources: OCI image-spec and distribution-spec 1.1; Docker's "Image Manifest V2, Schema 2".
"""


class ImageError(Exception):
    """What is wrong with an image, the store or a registry, as a sentence for the user."""
