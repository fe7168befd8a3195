"""Debian's own programs, run natively and in aionoah on KVM: the same output, errors and exit status."""

import random
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, UNICORN, need_backend, need_tool, run_in_guest, run_natively

PERL = r"""
use strict; my %h; $h{$_ * 3 % 17}++ for 1..100;
print join(" ", map {"$_=$h{$_}"} sort { $a <=> $b } keys %h), "\n";
my $s = "hello world"; (my $t = $s) =~ s/(\w+)/\u$1/g; print "$t\n";
printf "%.6f\n", atan2(1, 1) * 4;
print join(",", reverse sort qw(x y z a b)), "\n";
open(my $f, "<", "/etc/passwd") or die; my $n = 0; $n++ while <$f>; close $f; print "$n\n";
print scalar(gmtime(0)), "\n"; print length(join "", map { chr(65 + $_ % 26) } 1..10000), "\n";
my @w = split /\s+/, "the quick brown fox"; print scalar(@w), " $w[-1]\n";
my $pid = fork; if (!$pid) { exit 5 } waitpid $pid, 0; print $? >> 8, "\n";
print `echo from a shell`; local $SIG{USR1} = sub { print "signal\n" }; kill USR1 => $$;
my @sorted = sort { $b->[1] <=> $a->[1] } map { [$_, length] } @w; print $sorted[0][0], "\n";
my $str = sprintf("%05d|%-5s|%x", 42, "ab", 255); print "$str\n"; print "ok\n" if "foobar" =~ /^foo(?=bar)/;
my %seen = map { $_ => 1 } grep { $_ % 2 } 1..9; print join("", sort keys %seen), "\n";
print join("|", map { sprintf "%03b", $_ } 0..7), "\n"; my @m = ("a1b22c333" =~ /(\d+)/g); print "@m\n";
"""
PYTHON = r"""
import decimal, hashlib, json, re, sqlite3, subprocess, threading
print(json.dumps({"a": [1, 2, {"b": None}], "c": 1.5}, sort_keys=True))
print(hashlib.sha256(b"abc" * 1000).hexdigest())
print(re.findall(r"(\w+)@(\w+)", "a@b c@d e"))
c = sqlite3.connect(":memory:"); c.execute("create table t(a, b)")
c.executemany("insert into t values(?, ?)", [(i, i * i) for i in range(1000)])
print(c.execute("select sum(a), sum(b), count(*) from t where a % 7 = 3").fetchall())
print(decimal.Decimal(2).sqrt(decimal.Context(prec=60)))
found = []
threads = [threading.Thread(target=lambda i=i: found.append(i * i)) for i in range(10)]
[t.start() for t in threads]; [t.join() for t in threads]; print(sorted(found))
print(subprocess.run(["echo", "from a child"], capture_output=True).stdout)
"""
SHELL = r"""
seq 1000 | grep 7 | wc -l; cat <<X
here $((1 + 2))
X
trap 'echo bye' EXIT; (sleep 0.02; echo background) & wait
for i in a b c; do echo $i; done | sort -r; false | true; echo ${PIPESTATUS[@]}
x=$(echo substituted); echo $x; (exit 3); echo $?; timeout 0.1 sleep 999; echo $?
seq 8 | xargs -P4 -n2 echo | sort; nice -n 5 nice; set -o pipefail; false | cat; echo $?
"""

COMMANDS: dict[str, tuple[list[str], bytes]] = {
    "ls": (["/bin/ls", "-l", "/usr"], b""),
    "cat": (["/bin/cat", "/etc/passwd", "-"], b"and standard input\n"),
    "sha256sum": (["/usr/bin/sha256sum", "big"], b""),
    "find": (["/usr/bin/find", "/usr/share", "-type", "f"], b""),
    "sort": (["/usr/bin/sort", "lines"], b""),
    "sort -n": (["/usr/bin/sort", "-n", "-r", "lines"], b""),
    "awk": (["/usr/bin/awk", "{ s += $1; n++ } END { print n, s }", "lines"], b""),
    "sed": (["/usr/bin/sed", "-n", r"s/line \(.*\)7$/<\1>/p", "lines"], b""),
    "grep": (["/usr/bin/grep", "-r", "root", "/etc/passwd", "/etc/group", "/usr/include/linux"], b""),
    "tar": (["/usr/bin/tar", "cf", "/dev/null", "/usr/include"], b""),
    "tar to a pipe": (["/usr/bin/tar", "cf", "-", "--sort=name", "/usr/include/linux"], b""),
    "gzip": (["/usr/bin/gzip", "-c", "-n", "lines"], b""),
    "bc": (["/usr/bin/bc", "-l"], b"scale=50; 4*a(1); 2^200; for (i = 0; i < 5; i++) i*i\n"),
    "git": (["/usr/bin/git", "--version"], b""),
    "perl": (["/usr/bin/perl", "-e", PERL], b""),
    "python3": (["/usr/bin/python3", "-c", PYTHON], b""),
    "busybox": (["/bin/busybox", "sha256sum", "lines"], b""),
    "bash": (["/bin/bash", "-c", "for ((i=0;i<1000;i++)); do x+=$i; done; echo ${#x}"], b""),
    "bash with children": (["/bin/bash", "-c", SHELL], b""),
    "gcc": (["/bin/bash", "-c", "gcc -O1 -o hello hello.c && ./hello"], b""),
    "make": (["/bin/bash", "-c", "rm -f *.o all && make -s -j2 all && ./all"], b""),
    "false": (["/bin/false"], b""),
    "stat": (["/usr/bin/stat", "-c", "%n %s %a %U %F", "/etc/passwd", "/bin"], b""),
    "date": (["/bin/date", "-u", "-d", "@0"], b""),
    "dd": (["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64k", "count=100", "status=none"], b""),
}
PARTS = 10


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands work on."""
    made = tmp_path_factory.mktemp("data")
    source = random.Random(1)
    (made / "big").write_bytes(source.randbytes(100 << 20))
    (made / "lines").write_text("".join(f"{source.random()} line {i}\n" for i in range(30_000)))
    (made / "hello.c").write_text('#include <stdio.h>\nint main(void) { printf("hello %d\\n", 42); }\n')
    for i in range(PARTS):
        (made / f"part{i}.c").write_text(f"int part{i}(int x) {{ return x * {i}; }}\n")
    calls = " + ".join(f"part{i}(3)" for i in range(PARTS))
    declarations = "".join(f"int part{i}(int);\n" for i in range(PARTS))
    main = f'#include <stdio.h>\n{declarations}int main(void) {{ printf("%d\\n", {calls}); }}\n'
    (made / "main.c").write_text(main)
    objects = " ".join(["main.o", *(f"part{i}.o" for i in range(PARTS))])
    (made / "Makefile").write_text(f"all: {objects}\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\n")
    return made


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("name", COMMANDS)
async def test_runs_as_natively(name: str, directory: Path) -> None:
    need_backend(DYNAMIC)
    command, data = COMMANDS[name]
    need_tool(command[0])
    assert await run_in_guest(DYNAMIC, command, directory, data) == run_natively(command, directory, data)


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_static_program_of_musl(directory: Path) -> None:
    need_backend(DYNAMIC)
    need_tool("musl-gcc")
    command = ["/bin/bash", "-c", "musl-gcc -static -O1 -o hello-musl hello.c && ./hello-musl"]
    assert await run_in_guest(DYNAMIC, command, directory) == run_natively(command, directory)


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_busybox_on_unicorn(directory: Path) -> None:
    need_tool("/bin/busybox")
    command = ["/bin/busybox", "sha256sum", "lines"]
    assert await run_in_guest(UNICORN, command, directory) == run_natively(command, directory)
