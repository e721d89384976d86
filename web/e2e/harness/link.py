"""A cable in user space: carries frames between two TAP devices, as slowly, late and unreliably as it is told.

    link.py NAME_A NAME_B

Makes both devices, prints `ready`, and reads one JSON object a line from its input: {"there": {…}, "back": {…}}, where
`there` is from A to B. It ends with its input, and the devices go with it.

A direction has: loss (percent), delay and jitter (ms; uniform around the delay, nothing overtakes), rate (kbit/s, 0 for
none) and queue (ms of that rate; what does not fit is dropped, the newest first). netem would do the same, where there is one.
"""

import collections
import fcntl
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
LARGEST_FRAME = 65_535
# Behind a delay of a second, at 50 Mbit/s, are this many packets. More is a mistake of the test.
MOST_UNDER_WAY = 5_000


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    return fd


class Direction:
    """One way of the cable: first the queue in front of the bottleneck, then the distance."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.queue, self.queued = collections.deque(), 0
        self.under_way = collections.deque()
        self.free_at = self.last_due = 0.0
        self.lost = self.overflowed = 0
        self.set({})

    def set(self, how):
        self.loss = how.get("loss", 0) / 100
        self.delay, self.jitter = how.get("delay", 0) / 1e3, how.get("jitter", 0) / 1e3
        self.rate = how.get("rate", 0) * 1e3 / 8
        self.room = self.rate * how.get("queue", 200) / 1e3

    def take_in(self, now):
        while True:
            try:
                frame = os.read(self.source, LARGEST_FRAME)
            except BlockingIOError:
                return
            if random.random() < self.loss:
                self.lost += 1
            elif len(self.under_way) >= MOST_UNDER_WAY or (self.rate and self.queued + len(frame) > max(self.room, 3_000)):
                self.overflowed += 1
            else:
                self.queue.append((now, frame))
                self.queued += len(frame)

    def move(self, now):
        while self.queue:
            came, frame = self.queue[0]
            start = max(came, self.free_at)
            if self.rate and start > now:
                break
            self.queue.popleft()
            self.queued -= len(frame)
            self.free_at = start + len(frame) / self.rate if self.rate else start
            due = self.free_at + self.delay + random.uniform(-self.jitter, self.jitter)
            self.last_due = max(due, self.last_due)
            self.under_way.append((self.last_due, frame))
        while self.under_way and self.under_way[0][0] <= now:
            frame = self.under_way.popleft()[1]
            try:
                os.write(self.sink, frame)
            except OSError:
                pass  # The far end is down, or its buffer is full: a cable does not mind.

    def next(self):
        times = []
        if self.queue:
            times.append(max(self.queue[0][0], self.free_at))
        if self.under_way:
            times.append(self.under_way[0][0])
        return min(times, default=None)


def main():
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError:
        pass  # Then a busy machine adds jitter of its own.
    a, b = tap(sys.argv[1]), tap(sys.argv[2])
    ways = {"there": Direction(a, b), "back": Direction(b, a)}
    print("ready", flush=True)
    poll = select.poll()
    for fd in (0, a, b):
        poll.register(fd, select.POLLIN)
    unread = b""
    while True:
        nexts = [time_ for time_ in (way.next() for way in ways.values()) if time_ is not None]
        wait = None if not nexts else max(0.0, min(nexts) - time.monotonic()) * 1e3
        ready = {fd for fd, _ in poll.poll(wait)}
        if 0 in ready:
            got = os.read(0, LARGEST_FRAME)
            if not got:
                return
            *lines, unread = (unread + got).split(b"\n")
            for line in lines:
                for name, how in json.loads(line).items():
                    ways[name].set(how)
                print(json.dumps({name: {"lost": way.lost, "overflowed": way.overflowed} for name, way in ways.items()}), flush=True)
        now = time.monotonic()
        for way in ways.values():
            if way.source in ready:
                way.take_in(now)
            way.move(now)


if __name__ == "__main__":
    main()
