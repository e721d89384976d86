"""Sound of aiortc: a note to send, and listening to a track."""

import array
import fractions
import math

from aiortc.mediastreams import AudioStreamTrack
from av import AudioFrame
from common import RATE

FRAME = RATE // 50


class Note(AudioStreamTrack):
    """A sine, paced by the silent track that it is made of."""

    sent = 0

    def __init__(self, frequency):
        super().__init__()
        self.turn = 2 * math.pi * frequency / RATE

    async def recv(self):
        await super().recv()
        samples = array.array("h", (int(8_000 * math.sin(self.turn * (self.sent + i))) for i in range(FRAME)))
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += FRAME
        return frame


async def listen(track, listener):
    """Hears a track of sound for as long as there is one."""
    while True:
        frame = await track.recv()
        samples = array.array("h", bytes(frame.planes[0]))
        listener.hear(samples[:: len(frame.layout.channels)][: frame.samples])
