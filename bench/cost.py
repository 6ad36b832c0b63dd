"""What a run of programs takes: wall clock, CPU seconds, memory."""
import os
import subprocess
import tempfile
import threading
import time

LOOK_SECONDS = 0.01
LOOK_SECONDS_MOST = 0.2


class OutOfTime(Exception):
    """The run went past its limit and was ended."""


class Broken(SystemExit):
    """A program of the run failed."""


class Cost:
    """Runs in turn add up: seconds by the clock, CPU seconds of every process and of those it waited for. `peak` is
    that of the hungriest run in MiB: the sum, over every process of the run, of the most that each ever held (VmHWM, pages
    shared between two of them counted twice). `before` are words that stand before every command (taskset, chrt)."""

    def __init__(self, before=()):
        self.wall = self.cpu = self.peak = 0.0
        self.before = before

    def run(self, *commands, limit=None, servants=(), **options):
        """The commands joined by pipes; raises when one fails. `limit` is in seconds by the clock. `servants` are pids of
        processes that work for the run and outlive it."""
        complaints = tempfile.TemporaryFile()
        served = sum(map(cpu_seconds, servants))
        begin = time.monotonic()
        processes = begin_pipe([[str(word) for word in (*self.before, *command)] for command in commands],
                               {"stderr": complaints, **options})
        watch = Watch([process.pid for process in processes] + list(servants))
        timer = threading.Timer(limit, end_all, [processes]) if limit else None
        if timer:
            timer.start()
        try:
            for process in processes:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu += usage.ru_utime + usage.ru_stime
        finally:
            end_all(processes)  # those that run still: this one is being ended
            for process in processes:
                process.wait()
            peak = watch.end()
            if timer:
                timer.cancel()
        elapsed = time.monotonic() - begin
        self.cpu += sum(map(cpu_seconds, servants)) - served
        self.wall += elapsed
        self.peak = max(self.peak, peak / 1024)
        if timer and elapsed >= limit:
            raise OutOfTime("over %d s: %s" % (limit, processes[0].args[0]))
        for process in processes:
            if process.returncode != 0:
                complaints.seek(0)
                raise Broken("%s ended with %d: %s" % (" ".join(process.args), process.returncode,
                                                       complaints.read().decode(errors="replace")[-2000:]))
        return self

    def as_dict(self):
        return {"wall": self.wall, "cpu": self.cpu, "peak": self.peak}


def cpu_seconds(pid):
    """Of a process that runs, and of its children that it has waited for."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def begin_pipe(commands, options):
    processes = []
    stdin = options.pop("stdin", subprocess.DEVNULL)
    stdout = options.pop("stdout", subprocess.DEVNULL)
    for command in commands:
        last = len(processes) + 1 == len(commands)
        processes.append(subprocess.Popen(command, stdin=stdin, stdout=stdout if last else subprocess.PIPE,
                                          **options))
        if processes[:-1]:
            stdin.close()
        stdin = processes[-1].stdout
    return processes


def end_all(processes):
    for process in processes:
        if process.returncode is None:
            process.kill()


class Watch:
    """Looks at the processes of a run and at all that these began: every few milliseconds, then ever more rarely, for what a
    process held at most it does not forget while it lives."""

    def __init__(self, pids):
        self.pids, self.peaks, self.ended = pids, {}, threading.Event()
        self.look()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        pause = LOOK_SECONDS
        while not self.ended.wait(pause):
            self.look()
            pause = min(pause * 1.05, LOOK_SECONDS_MOST)

    def look(self):
        to_see = list(self.pids)
        while to_see:
            pid = to_see.pop()
            try:
                for task in os.listdir("/proc/%d/task" % pid):
                    with open("/proc/%d/task/%s/children" % (pid, task)) as children:
                        to_see += map(int, children.read().split())
                with open("/proc/%d/status" % pid) as status:
                    held = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
            except OSError:  # it ended meanwhile
                continue
            self.peaks[pid] = max(held + [self.peaks.get(pid, 0)])

    def end(self):
        """KiB."""
        self.ended.set()
        self.thread.join()
        return sum(self.peaks.values())
