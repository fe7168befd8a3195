"""/sys/devices/system/cpu and node (Documentation/ABI/testing/sysfs-devices-system-cpu, …-node).

All processors are cores of one package and of one node. Caches are the host's where it tells.
"""

from typing import TYPE_CHECKING, Any, Final

from aionoah.fs.proc.hardware import vmstat
from aionoah.fs.proc.status import format_list, format_mask
from aionoah.fs.proc.system import meminfo
from aionoah.fs.synthetic import Directory, Link, Node
from aionoah.fs.sys.attribute import attribute, empty
from aionoah.host import facts

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

Nodes = dict[bytes, Node["Kernel"]]
_MITIGATION: Final = b"Not affected"
_VULNERABILITIES: Final = (
    *(b"gather_data_sampling", b"itlb_multihit", b"l1tf", b"mds", b"meltdown", b"mmio_stale_data"),
    *(b"reg_file_data_sampling", b"retbleed", b"spec_rstack_overflow", b"spec_store_bypass", b"spectre_v1"),
    *(b"spectre_v2", b"srbds", b"tsx_async_abort"),
)
_NODE_MEMORY: Final = (
    *(b"MemTotal", b"MemFree", b"Active", b"Inactive", b"Dirty", b"Writeback", b"FilePages", b"Mapped"),
    *(b"AnonPages", b"Shmem", b"Slab"),
)


def cpus(count: int) -> Directory["Kernel"]:
    every = format_list((1 << count) - 1)
    nodes: Nodes = {b"cpu%d" % cpu: _cpu(cpu, count) for cpu in range(count)}
    nodes |= {
        b"isolated": attribute(b""),
        b"kernel_max": attribute(8191),
        b"modalias": attribute(b"cpu:type:x86"),
        b"offline": attribute(b""),
        b"online": attribute(every),
        b"possible": attribute(every),
        b"present": attribute(every),
        b"smt": Directory({b"active": attribute(0), b"control": attribute(b"notsupported")}),
        b"uevent": empty(),
        b"vulnerabilities": Directory({name: attribute(_MITIGATION) for name in _VULNERABILITIES}),
    }
    return Directory(nodes)


def _cpu(cpu: int, count: int) -> Directory["Kernel"]:
    nodes: Nodes = {
        b"cache": _caches(cpu, count),
        b"node0": Link(b"../../node/node0"),
        b"subsystem": Link(b"../../../../bus/cpu"),
        b"topology": _topology(cpu, count),
        b"uevent": empty(),
    }
    if cpu:  # the first one cannot be taken away
        nodes[b"online"] = attribute(1)
    return Directory(nodes)


def _topology(cpu: int, count: int) -> Directory["Kernel"]:
    alone, together = 1 << cpu, (1 << count) - 1
    sets = {
        *((b"core_cpus", alone), (b"thread_siblings", alone), (b"cluster_cpus", alone)),
        *((b"core_siblings", together), (b"die_cpus", together), (b"package_cpus", together)),
    }
    nodes: Nodes = {
        b"cluster_id": attribute(65535),
        b"core_id": attribute(cpu),
        b"die_id": attribute(0),
        b"physical_package_id": attribute(0),
    }
    for name, members in sets:
        nodes[name] = attribute(format_mask(members, count))
        nodes[name + b"_list"] = attribute(format_list(members))
    return Directory(dict(sorted(nodes.items())))


def _caches(cpu: int, count: int) -> Directory["Kernel"]:
    nodes: Nodes = {}
    for index, cache in enumerate(facts.caches()):
        members = (1 << count) - 1 if cache.is_shared else 1 << cpu
        fields: dict[bytes, Any] = {
            b"coherency_line_size": cache.line_size,
            b"id": 0 if cache.is_shared else cpu,
            b"level": cache.level,
            b"number_of_sets": cache.size // (cache.line_size * cache.ways),
            b"physical_line_partition": 1,
            b"shared_cpu_list": format_list(members),
            b"shared_cpu_map": format_mask(members, count),
            b"size": b"%dK" % (cache.size // 1024),
            b"type": cache.kind.encode(),
            b"ways_of_associativity": cache.ways,
        }
        nodes[b"index%d" % index] = Directory({name: attribute(value) for name, value in fields.items()})
    return Directory(nodes)


def memory_nodes(count: int) -> Directory["Kernel"]:
    every = (1 << count) - 1
    node: Nodes = {b"cpu%d" % cpu: Link(b"../../cpu/cpu%d" % cpu) for cpu in range(count)}
    node |= {
        b"cpulist": attribute(format_list(every)),
        b"cpumap": attribute(format_mask(every, count)),
        b"distance": attribute(10),
        b"hugepages": Directory(),
        b"meminfo": attribute(_node_memory),
        b"numastat": attribute(
            b"numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0"
        ),
        b"uevent": empty(),
        b"vmstat": attribute(lambda kernel: vmstat(kernel).rstrip(b"\n")),
    }
    sets = (b"has_cpu", b"has_memory", b"has_normal_memory", b"online", b"possible")
    return Directory({b"node0": Directory(node), **{name: attribute(0) for name in sets}})


def _node_memory(kernel: "Kernel") -> bytes:
    known = {
        line.partition(b":")[0]: line.partition(b":")[2].strip() for line in meminfo(kernel).splitlines()
    }
    known[b"FilePages"] = known[b"Cached"]
    return b"\n".join(b"Node 0 %-15s %s" % (name + b":", known.get(name, b"0 kB")) for name in _NODE_MEMORY)
