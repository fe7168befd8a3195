"""Real programs that take too long, or are too big to install, for `make test`: `make test-programs` runs these.

The same output as natively; of stress-ng, which measures, that it finds nothing wrong.
"""

import textwrap
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool, run_in_guest, run_natively

pytestmark = [pytest.mark.guest, pytest.mark.asyncio(loop_factories=["uvloop"])]

PROJECT = r"""
mkdir project && cd project || exit 1
for i in $(seq 50); do
  printf '#include <stdio.h>\n#include <stdlib.h>\n#include "all.h"\nint part%d(int x) { char t[32];\n' $i >part$i.c
  printf 'snprintf(t, sizeof t, "%%d", x * %d); return atoi(t) %% 1009; }\n' $i >>part$i.c
  echo "int part$i(int);" >>all.h
done
{ echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) { int s = 7;'
  for i in $(seq 50); do echo "s = part$i(s + 1);"; done; echo 'printf("%d\n", s); }'; } >main.c
printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tcc -o $@ $^\n' >Makefile
printf '%%.o: %%.c all.h\n\tcc -O2 -Wall -c -o $@ $<\n' >>Makefile
make -j2 | sort; ./program; sha256sum program; touch part7.c; make; make
"""
NODE = r"""
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const { execFileSync, spawn } = require("child_process");
function main() {
  const shared = new SharedArrayBuffer(4), count = new Int32Array(shared);
  const ask = n => new Promise((resolve, reject) => {
    const w = new Worker(__filename, { workerData: { shared } });
    w.on("message", resolve); w.on("error", reject); w.postMessage(n);
  });
  Promise.all([1, 2, 3, 4].map(ask)).then(answers => {
    console.log(answers.join(), Atomics.load(count, 0), execFileSync("echo", ["child"]).toString());
    const c = spawn("sh", ["-c", "cat; exit 3"]);
    c.stdin.end("to cat"); c.stdout.on("data", d => console.log(String(d)));
    c.on("close", code => { console.log(code); process.kill(process.pid, "SIGUSR2"); });
    process.on("SIGUSR2", () => { const s = spawn("sleep", ["9"]); s.on("exit", (_, signal) => spin(signal)); s.kill(); });
  });
}
function spin(signal) {
  const w = new Worker("require('worker_threads').parentPort.postMessage(1); for (;;);", { eval: true });
  w.on("message", () => w.terminate().then(code => console.log(signal, "terminated", code)));
}
if (isMainThread) main();
else {
  for (let i = 0; i < 1000; i++) Atomics.add(new Int32Array(workerData.shared), 0, 1);
  parentPort.on("message", m => { parentPort.postMessage(m * 2); parentPort.close(); });
}
"""
JAVA = r"""
import java.util.*; import java.util.concurrent.*; import java.util.concurrent.atomic.*; import java.util.stream.*;
public class T {
    static int depth(int n) { return depth(n + 1) + 1; }
    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Long>> futures = new ArrayList<>();
        for (int t = 0; t < 16; t++) {
            final int n = t;
            futures.add(pool.submit(() -> LongStream.range(0, 200000).map(i -> i * n % 7).sum()));
        }
        long total = 0; for (Future<Long> f : futures) total += f.get();
        pool.shutdown(); System.out.println(total + " " + pool.awaitTermination(5, TimeUnit.SECONDS));
        AtomicInteger counter = new AtomicInteger(); Object lock = new Object(); int[] plain = {0};
        Thread[] threads = new Thread[20];
        for (int i = 0; i < 20; i++) (threads[i] = new Thread(() -> {
            for (int j = 0; j < 1000; j++) { counter.incrementAndGet(); synchronized (lock) { plain[0]++; } }
        })).start();
        for (Thread t : threads) t.join();
        System.out.println(counter + " " + plain[0]);
        for (int i = 0; i < 2000; i++) Arrays.fill(new byte[10000], (byte) 1);
        System.gc();
        try { depth(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
        try { args[0] = null; args[0].length(); } catch (NullPointerException e) { System.out.println("null"); }
        Process p = new ProcessBuilder("sh", "-c", "echo from child; exit 3").start();
        System.out.println(new String(p.getInputStream().readAllBytes()).trim() + " " + p.waitFor());
        System.out.println(IntStream.range(0, 10000).parallel().map(x -> x * 2).sum());
        Thread spinner = new Thread(() -> { while (!Thread.interrupted()) { } System.out.println("interrupted"); });
        spinner.start(); Thread.sleep(50); spinner.interrupt(); spinner.join();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
        System.exit(3);
    }
}
"""

# What is needed, source file, its text, and what is done with it.
PROGRAMS: dict[str, tuple[str, str, str]] = {
    "make": ("t.sh", PROJECT, "bash t.sh"),
    "node": ("t.js", NODE, "node t.js"),
    "java": ("T.java", JAVA, "javac -d out T.java && java -cp out T x"),
}
STRESSORS = {
    **{
        name: (f"--{name}", "2")
        for name in ("fork", "vfork", "clone", "futex", "pthread", "signal", "sigsegv")
    },
    **{name: (f"--{name}", "2") for name in ("timer", "wait", "itimer", "sigq", "mmap")},
    "vm": ("--vm", "1", "--vm-bytes", "64M"),
}


@pytest.mark.parametrize("tool", PROGRAMS)
async def test_runs_as_natively(tool: str, tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool(tool)
    name, text, command = PROGRAMS[tool]
    natively, in_guest = tmp_path / "native" / "work", tmp_path / "guest" / "work"
    for directory in (natively, in_guest):
        directory.mkdir(parents=True)
        (directory / name).write_text(textwrap.dedent(text))
    words = ["/bin/bash", "-c", command]
    expected = run_natively(words, natively)
    actual = await run_in_guest(DYNAMIC, words, in_guest)
    assert actual.output.replace(str(in_guest), str(natively)) == expected.output
    assert actual._replace(output=expected.output) == expected


@pytest.mark.parametrize("stressor", STRESSORS)
async def test_stress_ng_finds_nothing_wrong(stressor: str, tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool("stress-ng")
    words = ["/usr/bin/stress-ng", *STRESSORS[stressor], "--timeout", "10s", "--verify"]
    done = await run_in_guest(DYNAMIC, words, tmp_path)
    assert done.status == 0, done
    assert "fail" not in (done.output + done.errors).replace("failed: 0", "")
