"""What the clients here share: a token, signaling over socket.io, and listening for a tone."""

import asyncio
import json
import math
import urllib.request

import socketio

# Each client sings its own note, and listens for the other's.
RATE = 48_000
NOTES = {"gstreamer": 440, "aiortc": 1_000, "anna": 600, "zoe": 1_400}


class Refused(Exception):
    """The server answered with an error."""


def token(url, user):
    """A token of a server in development mode."""
    body = json.dumps({"user": user, "pro": True}).encode()
    request = urllib.request.Request(f"{url}/api/dev/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["token"]


class Signaling:
    """One session in a channel."""

    def __init__(self, url, user):
        self.url, self.user = url, user
        self.socket = socketio.AsyncClient(reconnection=False)
        self.producers = asyncio.Queue()
        self.failed = asyncio.get_running_loop().create_future()
        self.socket.on("voice:newProducer", lambda producer: self.producers.put_nowait(producer))
        self.socket.on("voice:transportState", self._moved)

    async def join(self, channel):
        await self.socket.connect(self.url, auth={"token": token(self.url, self.user)}, transports=["websocket"])
        joined = await self.request("voice:join", {"channelId": channel})
        for participant in joined["participants"]:
            for producer in participant["producers"]:
                self.producers.put_nowait(producer)
        return joined

    async def request(self, event, payload):
        reply = await self.socket.call(event, payload, timeout=15)
        if "code" in reply:
            raise Refused(f"{self.user}: {event}: {reply}")
        return reply

    def _moved(self, push):
        print(f"{self.user}: a transport is {push['state']} {push.get('reason', '')}", flush=True)
        if push["state"] == "failed" and not self.failed.done():
            self.failed.set_exception(Refused(f"{self.user}: a transport failed: {push}"))


class Listener:
    """Finds a note in 16-bit samples of one channel, and remembers that it did."""

    WINDOW = RATE // 10

    def __init__(self, note):
        self.note, self.samples, self.found = note, [], 0

    def hear(self, samples):
        self.samples.extend(samples)
        while len(self.samples) >= self.WINDOW:
            window, self.samples = self.samples[: self.WINDOW], self.samples[self.WINDOW :]
            # Half a second of it, so that a click is none.
            self.found = self.found + 1 if self._is_note(window) else 0

    @property
    def heard(self):
        return self.found >= 5

    def _is_note(self, window):
        """Goertzel: nearly all that is in the window is the note."""
        turn = 2 * math.cos(2 * math.pi * self.note / RATE)
        last = before = energy = 0.0
        for sample in window:
            last, before = sample + turn * last - before, last
            energy += sample * sample
        power = last * last + before * before - turn * last * before
        return energy > len(window) * 100.0**2 and power > 0.4 * energy * len(window)


async def until(what, condition, failed, seconds=30):
    """Waits for a condition, or for the failure of a transport."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        if failed.done():
            failed.result()
        if asyncio.get_running_loop().time() > end:
            raise TimeoutError(f"still missing after {seconds} s: {what}")
        await asyncio.sleep(0.1)
