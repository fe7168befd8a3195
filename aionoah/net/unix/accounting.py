"""How much of a send buffer a message takes: Linux counts the memory behind it, not its bytes.

Programs see it in how much fits, so the arithmetic of sock_alloc_send_pskb is followed (net/core/sock.c,
net/core/skbuff.c, net/unix/af_unix.c; 4 KiB pages).
"""

from functools import lru_cache
from typing import Final

from aionoah.abi.architecture import PAGE_SIZE

_SKB: Final = 256  # struct sk_buff
_SHARED_INFO: Final = 320  # struct skb_shared_info, at the end of the head
_SMALLEST_HEAD: Final = 512
_LARGEST_HEAD: Final = 4 * PAGE_SIZE - _SHARED_INFO  # SKB_MAX_ALLOC
_PAGE_HEAD: Final = PAGE_SIZE - _SHARED_INFO  # SKB_MAX_HEAD(0)
_FRAGMENTS: Final = 32768  # UNIX_SKB_FRAGS_SZ


def _with_head(length: int) -> int:
    """The memory of an sk_buff whose head has so many bytes."""
    needed = -(-length // 64) * 64 + _SHARED_INFO
    return _SKB + max(_SMALLEST_HEAD, 1 << (needed - 1).bit_length())


def _paged(length: int) -> int:
    return -(-length // PAGE_SIZE) * PAGE_SIZE


@lru_cache(maxsize=256)
def packet_cost(length: int) -> int:
    """Of one packet of a datagram or sequenced-packet socket."""
    beyond = _paged(max(length - _LARGEST_HEAD, 0))
    return _with_head(length - beyond) + beyond if beyond else _with_head(length)


@lru_cache(maxsize=256)
def segment_limit(send_buffer: int) -> int:
    """How many bytes of a stream go into one segment at most."""
    return min((send_buffer >> 1) - 64, _PAGE_HEAD + _FRAGMENTS)


@lru_cache(maxsize=256)
def segment_cost(length: int) -> int:
    """Of one segment of a stream."""
    beyond = min(length, _paged(max(0, length - _PAGE_HEAD)))
    return _with_head(length - beyond) + _paged(beyond)
