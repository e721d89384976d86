"""A bot that sits in a channel, and says who is there, who comes, who goes and who speaks.

python bot.py [URL] [CHANNEL]    its token is in BOT_TOKEN; without one it asks a server in development mode for it.
"""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request

import socketio


class Bot:
    def __init__(self, url, channel):
        self.url, self.channel = url, channel
        self.names = {}
        self.speaking = set()
        self.refusal = None
        # It comes back by itself when the connection breaks. Signals are handled below.
        self.socket = socketio.AsyncClient(handle_sigint=False)
        self.socket.on("connect", self.join)
        self.socket.on("connect_error", self.refused)
        self.socket.on("voice:participant:joined", self.joined)
        self.socket.on("voice:participant:left", self.left)
        self.socket.on("voice:activeSpeakers", self.speak)
        self.socket.on("voice:left", self.put_out)

    async def run(self):
        # Asked for once before, so that it is said when there is none.
        await asyncio.to_thread(self.token)
        try:
            await self.socket.connect(self.url, auth=lambda: {"token": self.token()}, transports=["websocket"])
        except socketio.exceptions.ConnectionError as error:
            raise SystemExit(f"cannot connect to {self.url}: {self.refusal or error}") from None
        await self.socket.wait()

    async def stop(self):
        try:
            await self.socket.call("voice:leave", {}, timeout=2)
        except socketio.exceptions.SocketIOError:
            pass  # There is no connection to say goodbye on.
        await self.socket.shutdown()

    def refused(self, why):
        self.refusal = why.get("message") if isinstance(why, dict) else why

    async def join(self):
        # A bot that is back after a break takes the place of the session that is not known to be lost yet.
        reply = await self.socket.call("voice:join", {"channelId": self.channel, "takeOver": True})
        if "code" in reply:
            say(f"cannot join: {reply['error']} ({reply['code']})")
            await self.socket.disconnect()
            return
        self.names = {person["userId"]: person["name"] for person in reply["participants"]}
        say(f"in {reply['channelName']} with {', '.join(self.names.values()) or 'nobody'}")

    def joined(self, person):
        self.names[person["userId"]] = person["name"]
        say(f"{person['name']} came")

    def left(self, person):
        say(f"{self.names.pop(person['userId'], '?')} left")

    def speak(self, push):
        now = {speaker["userId"] for speaker in push["speakers"]}
        for user in now - self.speaking:
            say(f"{self.names.get(user, '?')} speaks")
        self.speaking = now

    async def put_out(self, push):
        say(f"put out: {push['reason']}")
        if push["rejoin"]:
            await self.join()
        else:
            await self.socket.disconnect()

    def token(self):
        if token := os.environ.get("BOT_TOKEN"):
            return token
        body = json.dumps({"user": "bot", "name": "Bot"}).encode()
        request = urllib.request.Request(f"{self.url}/api/dev/token", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)["token"]
        except urllib.error.HTTPError:
            raise SystemExit(f"{self.url} hands out no tokens: set BOT_TOKEN (`parlor token --user bot` signs one)") from None
        except urllib.error.URLError as error:
            raise SystemExit(f"cannot reach {self.url}: {error.reason}") from None


def say(text):
    print(text, flush=True)


async def main(url="http://localhost:7400", channel="lobby"):
    bot = Bot(url, channel)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: loop.create_task(bot.stop()))
    await bot.run()


asyncio.run(main(*sys.argv[1:]))
