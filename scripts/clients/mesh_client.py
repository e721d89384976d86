"""Two people of a mesh call over `/ws`, in protobuf, made with what protoc writes from the published schema: each sends a
note to the other by aiortc, and must hear theirs."""

import asyncio
import json
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from common import NOTES, Listener, token, until
from parlor.voice.v1.voice_pb2 import Envelope
from sound import Note, listen


class Person:
    """A client of docs/protocol/envelope.md, in a call of two."""

    def __init__(self, name, other):
        self.name, self.listener, self.tasks = name, Listener(NOTES[other]), []
        self.told = []
        self.connection = RTCPeerConnection()
        self.connection.addTrack(Note(NOTES[name]))
        self.connection.on("track", lambda track: self.run(listen(track, self.listener)))
        self.failed = asyncio.get_running_loop().create_future()

    def run(self, work):
        self.tasks.append(asyncio.create_task(work))

    async def enter(self, http, url, channel):
        self.channel = channel
        self.socket = await http.ws_connect(f"{url}/ws?token={token(url, self.name)}")
        self.run(self.read())
        message = Envelope(request_id=f"{self.name} comes")
        message.voice_join_request.channel_id = channel
        await self.say(message)
        await until(f"the server lets {self.name} in", lambda: "voice_join_response" in self.told, self.failed)

    async def say(self, message):
        await self.socket.send_bytes(message.SerializeToString())

    async def describe(self, kind, to):
        """Sends the local description, which has all candidates, as aiortc makes it."""
        message = Envelope()
        content = getattr(message, kind)
        content.target_user_id, content.channel_id = to, self.channel
        content.sdp = self.connection.localDescription.sdp
        await self.say(message)

    async def meet(self, user_id):
        # Whose id is smaller makes the offer.
        if self.name < user_id:
            await self.connection.setLocalDescription(await self.connection.createOffer())
            await self.describe("voice_sdp_offer", user_id)

    async def read(self):
        try:
            async for frame in self.socket:
                message = Envelope.FromString(frame.data)
                kind = message.WhichOneof("payload")
                await self.take(kind, message)
                self.told.append(kind)
        except Exception as error:
            self.failed.set_exception(error)

    async def take(self, kind, message):
        content = getattr(message, kind)
        if kind == "voice_join_response":
            assert message.request_id == f"{self.name} comes", message
            for participant in content.participants:
                await self.meet(participant.user_id)
        elif kind == "voice_participant_joined_event":
            await self.meet(content.participant.user_id)
        elif kind == "voice_sdp_offer":
            await self.connection.setRemoteDescription(RTCSessionDescription(content.sdp, "offer"))
            await self.connection.setLocalDescription(await self.connection.createAnswer())
            await self.describe("voice_sdp_answer", content.sender_user_id)
        elif kind == "voice_sdp_answer":
            await self.connection.setRemoteDescription(RTCSessionDescription(content.sdp, "answer"))
        elif kind == "voice_ice_candidate":
            init = json.loads(content.candidate_json)
            candidate = candidate_from_sdp(init["candidate"].removeprefix("candidate:"))
            candidate.sdpMLineIndex = init["sdpMLineIndex"]
            await self.connection.addIceCandidate(candidate)
        elif kind == "error":
            raise AssertionError(f"{self.name} was refused: {content.name} {content.details_json}")

    async def leave(self):
        message = Envelope()
        message.voice_leave_request.channel_id = self.channel
        await self.say(message)

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await self.connection.close()
        await self.socket.close()


async def main(url, channel):
    anna, zoe = Person("anna", "zoe"), Person("zoe", "anna")
    async with aiohttp.ClientSession() as http:
        for person in (zoe, anna):
            await person.enter(http, url, channel)
        for person in (anna, zoe):
            await until(f"{person.name} hears the other's note", lambda: person.listener.heard, person.failed)
        await anna.leave()
        await until("zoe is told that anna left", lambda: "voice_leave_event" in zoe.told, zoe.failed)
        for person in (anna, zoe):
            await person.close()
    print(f"mesh: anna heard {anna.listener.note} Hz and zoe {zoe.listener.note} Hz", flush=True)


asyncio.run(main(*sys.argv[1:]))
