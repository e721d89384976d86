"""aiortc under pymediasoup, unmodified: sends a note and a picture, and receives the other's."""

import asyncio
import functools
import sys

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, VideoStreamTrack
from common import NOTES, Listener, Signaling, until
from pymediasoup import AiortcHandler, Device
from pymediasoup.handlers import aiortc_handler
from pymediasoup.models.transport import DtlsParameters, IceCandidate, IceParameters
from pymediasoup.rtp_parameters import RtpCapabilities, RtpParameters
from sound import Note, listen


async def watch(track, pictures):
    while True:
        frame = await track.recv()
        pictures.append((frame.width, frame.height))


def options(created, rtc_config):
    servers = [RTCIceServer(server["urls"], server.get("username"), server.get("credential")) for server in rtc_config["iceServers"]]
    return {
        "iceServers": servers,
        "id": created["id"],
        "iceParameters": IceParameters.model_validate(created["iceParameters"]),
        "iceCandidates": [IceCandidate.model_validate(c) for c in created["iceCandidates"] if c["protocol"] == "udp"],
        "dtlsParameters": DtlsParameters.model_validate(created["dtlsParameters"]),
        "sctpParameters": None,
    }


async def main(url, channel):
    signaling = Signaling(url, "aiortc")
    joined = await signaling.join(channel)
    note, picture = Note(NOTES["aiortc"]), VideoStreamTrack()
    # pymediasoup hands on the servers, and not what may be used of them.
    policy = RTCIceTransportPolicy(joined["rtcConfig"]["iceTransportPolicy"])
    aiortc_handler.RTCConfiguration = functools.partial(RTCConfiguration, iceTransportPolicy=policy)
    device = Device(handlerFactory=AiortcHandler.createFactory(tracks=[note, picture]))
    await device.load(RtpCapabilities.model_validate(joined["routerRtpCapabilities"]))
    created = {way: await signaling.request("voice:rtc:createTransport", {"direction": way}) for way in ("send", "recv")}
    send = device.createSendTransport(**options(created["send"], joined["rtcConfig"]))
    recv = device.createRecvTransport(**options(created["recv"], joined["rtcConfig"]))
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
            is_sound = consumer.track.kind == "audio"
            received = listen(consumer.track, listener) if is_sound else watch(consumer.track, pictures)
            tasks.append(asyncio.create_task(received))

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
