"""GStreamer's webrtcbin, which always has an RSA certificate: sends a note and a picture as DTLS server, and receives the other's
as DTLS client. What is between webrtcbin and Parlor is SDP written by hand, as few lines as webrtcbin is content with."""

import array
import asyncio
import re
import sys
from urllib.parse import quote

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

from common import NOTES, RATE, Listener, Signaling, until  # noqa: E402

Gst.init(None)
# Numbers of the payloads it sends.
OPUS, VP8 = 100, 101
HELD = []
SENDING = f"""
webrtcbin name=rtc bundle-policy=max-bundle
audiotestsrc is-live=true wave=sine freq={NOTES['gstreamer']} volume=0.3 ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2
  ! opusenc ! rtpopuspay pt={OPUS} ! application/x-rtp,media=audio,encoding-name=OPUS,payload={OPUS},encoding-params=(string)2 ! rtc.
videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 keyframe-max-dist=30
  ! rtpvp8pay pt={VP8} ! application/x-rtp,media=video,encoding-name=VP8,payload={VP8} ! rtc.
"""


def description(kind, text):
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(kind, message)


async def ask(rtc, signal, *arguments, answer=None):
    """Emits a signal of webrtcbin and waits for its promise, which another thread keeps. Gives the field named by `answer`."""
    promise = Gst.Promise.new()
    rtc.emit(signal, *arguments, promise)
    await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, promise.wait), 15)
    # What is in a reply belongs to it, and is gone when nobody holds the reply.
    reply = promise.get_reply()
    HELD.append((promise, reply))
    return reply.get_value(answer) if answer else None


def head(created, setup, mids):
    """The lines of a session description about the whole of it."""
    ice, prints = created["iceParameters"], created["dtlsParameters"]["fingerprints"]
    sha256 = next(p["value"] for p in prints if p["algorithm"] == "sha-256")
    candidates = [c for c in created["iceCandidates"] if c["protocol"] == "udp"]
    section = [f"a=ice-ufrag:{ice['usernameFragment']}", f"a=ice-pwd:{ice['password']}", f"a=setup:{setup}", "a=rtcp-mux"]
    section += [f"a=fingerprint:sha-256 {sha256}"]
    section += [f"a=candidate:{c['foundation']} 1 udp {c['priority']} {c['ip']} {c['port']} typ host" for c in candidates]
    top = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", f"a=group:BUNDLE {' '.join(mids)}"]
    return top, section


def media(kind, payload, mid, direction, codec, section, more=()):
    line = [f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a={direction}", f"a=rtpmap:{payload} {codec}"]
    return line + section + list(more)


def text(*parts):
    return "".join(f"{line}\r\n" for part in parts for line in part)


def fingerprint(sdp):
    value = re.search(r"a=fingerprint:sha-256 (\S+)", sdp).group(1)
    return [{"algorithm": "sha-256", "value": value}]


def configure(rtc, config):
    """Gives webrtcbin the TURN server over UDP, and has it use nothing else where that is asked for."""
    if config["iceTransportPolicy"] != "relay":
        return
    server = config["iceServers"][0]
    address = next(url for url in server["urls"] if url.endswith("?transport=udp")).removeprefix("turn:")
    name, password = (quote(server[part], safe="") for part in ("username", "credential"))
    rtc.set_property("turn-server", f"turn://{name}:{password}@{address}")
    rtc.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)


async def start_sending(signaling, joined):
    pipeline = Gst.parse_launch(SENDING)
    rtc = pipeline.get_by_name("rtc")
    configure(rtc, joined["rtcConfig"])
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    rtc.connect("on-negotiation-needed", lambda _: loop.call_soon_threadsafe(wanted.set))
    pipeline.set_state(Gst.State.PLAYING)
    await asyncio.wait_for(wanted.wait(), 15)
    offer = await ask(rtc, "create-offer", None, answer="offer")
    await ask(rtc, "set-local-description", offer)
    sdp = offer.sdp.as_text()
    created = await signaling.request("voice:rtc:createTransport", {"direction": "send"})
    dtls = {"role": "server", "fingerprints": fingerprint(sdp)}
    await signaling.request("voice:rtc:connectTransport", {"transportId": created["id"], "dtlsParameters": dtls})

    codecs = {"audio": ("OPUS/48000/2", "audio/opus", OPUS), "video": ("VP8/90000", "video/VP8", VP8)}
    sections = [part for part in re.split(r"(?m)^m=", sdp)[1:]]
    mids = [re.search(r"a=mid:(\S+)", part).group(1) for part in sections]
    top, section = head(created, "active", mids)
    answer, produce = [top], []
    for part, mid in zip(sections, mids):
        kind = part.split(" ", 1)[0]
        name, mime, payload = codecs[kind]
        answer.append(media(kind, payload, mid, "recvonly", name, section))
        clock, channels = (48_000, {"channels": 2}) if kind == "audio" else (90_000, {})
        feedback = [{"type": "nack", "parameter": "pli"}] if kind == "video" else []
        codec = {"mimeType": mime, "payloadType": payload, "clockRate": clock, "parameters": {}, "rtcpFeedback": feedback, **channels}
        ssrc = int(re.search(r"a=ssrc:(\d+)", part).group(1))
        rtp = {"mid": mid, "codecs": [codec], "headerExtensions": [], "encodings": [{"ssrc": ssrc}], "rtcp": {"cname": "gstreamer"}}
        source = "mic" if kind == "audio" else "camera"
        produce.append({"transportId": created["id"], "kind": kind, "rtpParameters": rtp, "appData": {"source": source}})
    await ask(rtc, "set-remote-description", description(GstWebRTC.WebRTCSDPType.ANSWER, text(*answer)))
    for payload in produce:
        await signaling.request("voice:rtc:produce", payload)
    return pipeline


async def start_receiving(signaling, joined, listener, pictures):
    """Consumes what the other has, both tracks, and offers them to a second webrtcbin at once."""
    codecs = [c for c in joined["routerRtpCapabilities"]["codecs"] if c["mimeType"].lower() in ("audio/opus", "video/vp8")]
    capabilities = {"codecs": codecs, "headerExtensions": []}
    created = await signaling.request("voice:rtc:createTransport", {"direction": "recv"})
    consumed = []
    while len(consumed) < 2:
        producer = await asyncio.wait_for(signaling.producers.get(), 30)
        payload = {"producerId": producer["producerId"], "transportId": created["id"], "rtpCapabilities": capabilities}
        consumed.append(await signaling.request("voice:rtc:consume", payload))

    pipeline = Gst.Pipeline.new("receiving")
    rtc = Gst.ElementFactory.make("webrtcbin", "rtc")
    rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    configure(rtc, joined["rtcConfig"])
    pipeline.add(rtc)
    rtc.connect("pad-added", lambda _, pad: play(pipeline, pad, listener, pictures))
    pipeline.set_state(Gst.State.PLAYING)
    top, section = head(created, "actpass", [c["rtpParameters"]["mid"] for c in consumed])
    offer = [top]
    for consumer in consumed:
        rtp = consumer["rtpParameters"]
        codec, ssrc = rtp["codecs"][0], rtp["encodings"][0]["ssrc"]
        name = "OPUS/48000/2" if consumer["kind"] == "audio" else "VP8/90000"
        more = [f"a=ssrc:{ssrc} cname:{rtp['rtcp']['cname']}", f"a=msid:{consumer['kind']} {consumer['id']}"]
        more += [f"a=rtcp-fb:{codec['payloadType']} nack pli"] if consumer["kind"] == "video" else []
        offer.append(media(consumer["kind"], codec["payloadType"], rtp["mid"], "sendonly", name, section, more))
    await ask(rtc, "set-remote-description", description(GstWebRTC.WebRTCSDPType.OFFER, text(*offer)))
    answer = await ask(rtc, "create-answer", None, answer="answer")
    sdp = answer.sdp.as_text()
    assert "a=setup:active" in sdp, sdp
    dtls = {"role": "client", "fingerprints": fingerprint(sdp)}
    await signaling.request("voice:rtc:connectTransport", {"transportId": created["id"], "dtlsParameters": dtls})
    await ask(rtc, "set-local-description", answer)
    return pipeline


def play(pipeline, pad, listener, pictures):
    """Decodes a track that came; called by a thread of GStreamer's."""
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    if pad.get_current_caps().get_structure(0).get_string("media") == "audio":
        text = f"rtpopusdepay ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate={RATE},channels=1"
    else:
        text = "rtpvp8depay ! vp8dec ! videoconvert ! video/x-raw,format=I420"
    track = Gst.parse_bin_from_description(f"queue ! {text} ! appsink name=sink emit-signals=true sync=false max-buffers=50 drop=true", True)

    def sample(sink):
        sample = sink.emit("pull-sample")
        ok, content = sample.get_buffer().map(Gst.MapFlags.READ)
        if ok and "audio" in sample.get_caps().to_string():
            listener.hear(array.array("h", bytes(content.data)))
        elif ok:
            pictures.append(sample.get_caps().get_structure(0).get_int("width")[1])
        sample.get_buffer().unmap(content)
        return Gst.FlowReturn.OK

    track.get_by_name("sink").connect("new-sample", sample)
    pipeline.add(track)
    track.sync_state_with_parent()
    pad.link(track.get_static_pad("sink"))


async def main(url, channel):
    signaling = Signaling(url, "gstreamer")
    joined = await signaling.join(channel)
    listener, pictures = Listener(NOTES["aiortc"]), []
    pipelines = [await start_sending(signaling, joined)]
    pipelines.append(await start_receiving(signaling, joined, listener, pictures))
    await until("aiortc's note and picture", lambda: listener.heard and len(pictures) > 5, signaling.failed)
    print(f"gstreamer: heard {listener.note} Hz and saw {len(pictures)} pictures, {pictures[-1]} wide", flush=True)
    # The other may still listen. What fails from here on does so because somebody leaves.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    signaling.failed.cancel()
    for pipeline in pipelines:
        pipeline.set_state(Gst.State.NULL)
    await signaling.socket.disconnect()


asyncio.run(main(*sys.argv[1:]))
