"""Processes, threads and signals as language runtimes use them, natively and in aionoah: the same output."""

import textwrap
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool, run_in_guest, run_natively

BASH = r"""
cat <<X | tr a-z A-Z | rev
hello $((6*7)) $(echo sub)
X
trap 'echo usr1' USR1; kill -USR1 $$; trap 'echo exit $?' EXIT
(exit 3) & a=$!; (exit 4) & b=$!; wait $a; echo $?; wait $b; echo $?
for i in 1 2 3 4 5; do (echo job $i) & done | sort; wait
coproc cat; echo co >&${COPROC[1]}; read -r l <&${COPROC[0]}; echo $l; p=$COPROC_PID; kill $p; wait $p; echo $?
diff <(seq 3) <(seq 2 4); echo $?
{ sleep 999 & p=$!; until grep -q sleep /proc/$p/comm; do :; done; kill -STOP $p; kill -CONT $p; kill $p; wait $p; echo $?; } 2>/dev/null
timeout -s INT 0.1 sleep 999; echo $?; nice -n 7 nice; ulimit -n 50; ulimit -n
(kill -9 $BASHPID) 2>/dev/null; echo $?; bash -c 'kill -SEGV $$' 2>/dev/null; echo $?
/usr/bin/time -f %x false 2>&1; for i in $(seq 10); do /bin/true & done; wait; seq 20 | xargs -P4 -n3 echo | sort
bash -c 'exec -a name sleep 0'; echo $?
"""
CPLUSPLUS = r"""
#include <atomic>
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
    std::atomic<int> n{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back([&] { for (int j = 0; j < 1000; j++) n++; });
    for (auto &t : threads) t.join();
    try { throw std::runtime_error("caught"); } catch (std::exception &e) { std::cout << n << e.what() << "\n"; }
    std::cout << std::async(std::launch::async, [] { return 5; }).get() << "\n";
}
"""
PERL = r"""
use strict; use POSIX ":sys_wait_h"; $| = 1;
my @p; for my $i (1 .. 5) { my $p = fork; exit $i if !$p; push @p, $p }
print join(" ", map { waitpid $_, 0; $? >> 8 } @p), "\n";
pipe(my $r, my $w); if (!fork) { close $r; print $w "from child\n"; exit } close $w; print <$r>; wait;
my $n = 0; local $SIG{ALRM} = sub { $n++ }; POSIX::alarm(1); select undef, undef, undef, 3; print "alarm $n\n";
my $o = `sh -c 'echo out; exit 4'`; print $o, $? >> 8, "\n";
open(my $c, "|-", "cat") or die; print $c "to cat\n"; close $c;
local $SIG{USR1} = sub { die "usr1\n" }; eval { kill USR1 => $$; 1 while 1 }; print $@;
"""
PYTHON = r"""
import multiprocessing as mp, os, concurrent.futures as cf, resource, subprocess
def square(x): return x * x
def child(q): q.put(os.getpid() != os.getppid())
def main():
    for method in ("fork", "spawn"):
        c = mp.get_context(method)
        with c.Pool(2) as pool: print(method, pool.map(square, range(6)))
        q = c.Queue(); p = c.Process(target=child, args=(q,)); p.start(); print(q.get()); p.join(); print(p.exitcode)
    with cf.ThreadPoolExecutor(8) as e: print(sum(e.map(square, range(100))))
    try: subprocess.run(["sleep", "999"], timeout=0.1)
    except subprocess.TimeoutExpired: print("timeout")
    p = subprocess.Popen(["sleep", "9"]); p.terminate(); print(p.wait())
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(own.ru_utime > 0, own.ru_stime > 0, children.ru_utime > 0, own.ru_maxrss > 5000)
    print(children.ru_maxrss > 5000, own.ru_minflt > 0, own.ru_nvcsw > 0)
if __name__ == "__main__": main()
"""
RUBY = r"""
q = Queue.new; ts = 8.times.map { |i| Thread.new { 100.times { |j| q << i * j } } }; ts.each(&:join)
s = 0; s += q.pop until q.empty?; puts s
r, w = IO.pipe; pid = fork { r.close; w.puts "child"; w.close; exit! 3 }; w.close; puts r.read
Process.wait pid; puts $?.exitstatus
m = Mutex.new; c = ConditionVariable.new; ready = false
t = Thread.new { m.synchronize { c.wait(m) until ready; puts "woken" } }
m.synchronize { ready = true; c.signal }; t.join
u = Queue.new; trap("USR1") { u << 1 }; Process.kill("USR1", $$); u.pop; puts "usr1"
puts IO.popen(["cat"], "r+") { |io| io.write "x"; io.close_write; io.read }
puts 5.times.map { |i| fork { exit i } }.map { |p| Process.wait2(p)[1].exitstatus }.inspect
require "timeout"; begin; Timeout.timeout(0.05) { sleep 999 }; rescue Timeout::Error; puts "timeout"; end
f = Fiber.new { Fiber.yield 1; 2 }; puts f.resume, f.resume
"""
TCL = r"""
puts [exec echo hi | tr a-z A-Z]; set f [open "|cat" r+]; puts $f x; flush $f; puts [gets $f]; close $f
after 20 {set done 1}; vwait done; catch {exec sh -c "exit 3"} e o; puts [lindex [dict get $o -errorcode] 2]
"""
LUA = r"""
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end); print(co(), co(), co())
local f = io.popen("echo hi; exit 3"); print(f:read("a")); print(f:close()); print(os.execute("exit 4"))
"""
GO = r"""
package main

import ("context"; "fmt"; "os/exec"; "runtime"; "sync"; "time")

func main() {
    runtime.GOMAXPROCS(4)
    var wg sync.WaitGroup
    s, ch := 0, make(chan int, 10)
    go func() { for v := range ch { s += v; wg.Done() } }()
    for i := 0; i < 1000; i++ { wg.Add(1); go func(i int) { time.Sleep(time.Millisecond); ch <- i }(i) }
    wg.Wait()
    go func() { for { } }() // only a signal takes the processor away from it
    time.Sleep(30 * time.Millisecond)
    runtime.GC()
    o, _ := exec.Command("echo", "from", "go").Output()
    ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
    defer cancel()
    fmt.Println(s, string(o), exec.CommandContext(ctx, "sleep", "999").Run() != nil)
    defer func() { fmt.Println(recover()) }()
    var p *int
    fmt.Println(*p)
}
"""

# Source file, its text, and what is done with it.
PROGRAMS: dict[str, tuple[str, str, str]] = {
    "bash": ("t.sh", BASH, "bash t.sh 2>/dev/null"),
    "g++": ("t.cc", CPLUSPLUS, "g++ -o cplusplus t.cc -pthread && ./cplusplus"),
    "perl": ("t.pl", PERL, "perl t.pl"),
    "python3": ("t.py", PYTHON, "python3 t.py"),
    "ruby": ("t.rb", RUBY, "ruby t.rb"),
    "tclsh": ("t.tcl", TCL, "tclsh t.tcl"),
    "lua5.4": ("t.lua", LUA, "lua5.4 t.lua"),
}


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("tool", PROGRAMS)
async def test_runs_as_natively(tool: str, tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool(tool)
    name, text, command = PROGRAMS[tool]
    (tmp_path / name).write_text(textwrap.dedent(text))
    words = ["/bin/bash", "-c", command]
    assert await run_in_guest(DYNAMIC, words, tmp_path) == run_natively(words, tmp_path)


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_thousand_goroutines(tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool("go")
    (tmp_path / "t.go").write_text(GO)
    built = run_natively(["go", "build", "-o", tmp_path / "t", "t.go"], tmp_path)
    assert built.status == 0, built.errors
    assert await run_in_guest(DYNAMIC, [tmp_path / "t"], tmp_path) == run_natively([tmp_path / "t"], tmp_path)
