"""aiortc under pymediasoup, unmodified: sends a note and a picture, and receives the other's."""

import array
import asyncio
import fractions
import math
import sys

from aiortc import MediaStreamTrack, VideoStreamTrack
from aiortc.mediastreams import AudioStreamTrack
from av import AudioFrame
from parlor import NOTES, RATE, Listener, Signaling, until
from pymediasoup import AiortcHandler, Device
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters

FRAME = RATE // 50


class Note(AudioStreamTrack):
    """A sine, paced by the silent track that it is made of."""

    sent = 0

    async def recv(self):
        await super().recv()
        turn = 2 * math.pi * NOTES["aiortc"] / RATE
        samples = array.array("h", (int(8_000 * math.sin(turn * (self.sent + i))) for i in range(FRAME)))
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += FRAME
        return frame


async def listen(track: MediaStreamTrack, listener, pictures):
    while True:
        frame = await track.recv()
        if track.kind == "video":
            pictures.append((frame.width, frame.height))
            continue
        samples = array.array("h", bytes(frame.planes[0]))
        listener.hear(samples[:: len(frame.layout.channels)][: frame.samples])


def options(created):
    return {
        "id": created["id"],
        "iceParameters": IceParameters.model_validate(created["iceParameters"]),
        "iceCandidates": [IceCandidate.model_validate(c) for c in created["iceCandidates"] if c["protocol"] == "udp"],
        "dtlsParameters": DtlsParameters.model_validate(created["dtlsParameters"]),
        "sctpParameters": None,
    }


async def main(url, channel):
    signaling = Signaling(url, "aiortc")
    joined = await signaling.join(channel)
    note, picture = Note(), VideoStreamTrack()
    device = Device(handlerFactory=AiortcHandler.createFactory(tracks=[note, picture]))
    await device.load(RtpCapabilities.model_validate(joined["routerRtpCapabilities"]))
    send = device.createSendTransport(**options(await signaling.request("voice:rtc:createTransport", {"direction": "send"})))
    recv = device.createRecvTransport(**options(await signaling.request("voice:rtc:createTransport", {"direction": "recv"})))
    for transport in (send, recv):

        def connect(dtls, transport=transport):
            payload = {"transportId": transport.id, "dtlsParameters": dtls.model_dump(exclude_none=True)}
            return signaling.request("voice:rtc:connectTransport", payload)

        transport.on("connect", connect)

    @send.on("produce")
    async def produce(kind, rtp, app_data):
        rtp = rtp.model_dump(exclude_none=True)
        payload = {"transportId": send.id, "kind": kind, "rtpParameters": rtp, "appData": app_data}
        return (await signaling.request("voice:rtc:produce", payload))["producerId"]

    await send.produce(track=note, stopTracks=False, appData={"source": "mic"})
    await send.produce(track=picture, stopTracks=False, appData={"source": "camera"})

    listener, pictures, tasks = Listener(NOTES["gstreamer"]), [], []

    async def receive_all():
        while True:
            producer = await signaling.producers.get()
            capabilities = device.recvRtpCapabilities.model_dump(exclude_none=True)
            payload = {"producerId": producer["producerId"], "transportId": recv.id, "rtpCapabilities": capabilities}
            consumed = await signaling.request("voice:rtc:consume", payload)
            consumer = await recv.consume(
                id=consumed["id"],
                producerId=consumed["producerId"],
                kind=consumed["kind"],
                rtpParameters=RtpParameters.model_validate(consumed["rtpParameters"]),
            )
            tasks.append(asyncio.create_task(listen(consumer.track, listener, pictures)))

    receiving = asyncio.create_task(receive_all())

    def complete():
        if receiving.done():
            receiving.result()
        return listener.heard and len(pictures) > 5

    await until("GStreamer's note and picture", complete, signaling.failed)
    print(f"aiortc: heard {listener.note} Hz and saw {len(pictures)} pictures of {pictures[-1]}", flush=True)
    # The other may still listen. What fails from here on does so because somebody leaves.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    signaling.failed.cancel()
    for task in (receiving, *tasks):
        task.cancel()
    await send.close()
    await recv.close()
    await signaling.socket.disconnect()


asyncio.run(main(*sys.argv[1:]))
