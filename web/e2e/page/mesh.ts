// Clients of mesh calls, one for each dialect, written from docs/protocol with nothing but the browser and socket.io-client.

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { io } from 'socket.io-client';
import { EnvelopeSchema } from '../generated/parlor/voice/v1/voice_pb.js';

/** How a client says something to another: by the id its dialect has for them. */
type Send = (kind: 'offer' | 'answer' | 'ice', to: string, content: RTCSessionDescriptionInit | RTCIceCandidate) => void;

/** A message of docs/protocol/call.md, as far as this client reads it. */
interface CallMessage {
  type: string;
  data: { user: { id: string }; user_id: string; from_user_id: string; sdp: string; candidate: RTCIceCandidateInit };
}

/** A message of docs/protocol/voice.md. */
interface VoiceMessage {
  type: string;
  source: string;
  sdp: string | RTCSessionDescriptionInit;
  candidate: RTCIceCandidateInit | null;
}

/** A participant of docs/protocol/socketio.md. */
interface Other {
  userId: string;
  mesh: { makeOffer: boolean };
}

/** What another participant sends, by socket.io. */
interface Relayed {
  userId: string;
  sdp: string;
  candidate: RTCIceCandidateInit | null;
}

/** The connections to the others in one call. */
class Links {
  /** The STUN and TURN servers, and what may be used of them. */
  config: RTCConfiguration = {};
  private readonly links = new Map<string, RTCPeerConnection>();

  constructor(
    private readonly microphone: MediaStream,
    private readonly send: Send,
  ) {}

  /** Whom there is a connection to that works. */
  get connected(): string[] {
    return [...this.links].filter(([, link]) => link.connectionState === 'connected').map(([id]) => id);
  }

  async makeOffer(to: string): Promise<void> {
    const link = this.open(to);
    await link.setLocalDescription();
    this.send('offer', to, link.localDescription!);
  }

  async offered(from: string, sdp: string): Promise<void> {
    const link = this.links.get(from) ?? this.open(from);
    await link.setRemoteDescription({ type: 'offer', sdp });
    await link.setLocalDescription();
    this.send('answer', from, link.localDescription!);
  }

  async answered(from: string, sdp: string): Promise<void> {
    await this.links.get(from)?.setRemoteDescription({ type: 'answer', sdp });
  }

  async candidate(from: string, candidate: RTCIceCandidateInit | null): Promise<void> {
    await this.links.get(from)?.addIceCandidate(candidate ?? undefined);
  }

  close(id: string): void {
    this.links.get(id)?.close();
    this.links.delete(id);
  }

  private open(id: string): RTCPeerConnection {
    const link = new RTCPeerConnection(this.config);
    for (const track of this.microphone.getTracks()) link.addTrack(track, this.microphone);
    link.onicecandidate = ({ candidate }) => candidate && this.send('ice', id, candidate);
    link.ontrack = ({ track }) => {
      // A browser decodes what is played.
      const player = new Audio();
      player.srcObject = new MediaStream([track]);
      void player.play();
    };
    this.links.set(id, link);
    return link;
  }
}

const microphone = () => navigator.mediaDevices.getUserMedia({ audio: true });
/** docs/rest.md */
const servers = async (token: string) => {
  const answer = await fetch('/api/voice/turn-credentials/', { headers: { authorization: `Bearer ${token}` } });
  return (await answer.json()) as RTCConfiguration;
};
const websocket = (path: string, token: string) =>
  new Promise<WebSocket>((resolve, reject) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}${path}?token=${token}`);
    socket.onopen = () => resolve(socket);
    socket.onclose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`));
  });

/** docs/protocol/call.md */
async function overCall(room: string, token: string): Promise<Links> {
  const types = { offer: 'offer', answer: 'answer', ice: 'ice_candidate' };
  const socket = await websocket(`/ws/call/${room}/`, token);
  const say = (type: string, data: object) => socket.send(JSON.stringify({ type, data }));
  const links = new Links(await microphone(), (kind, to, content) =>
    say(types[kind], { target_user_id: to, ...(content instanceof RTCIceCandidate ? { candidate: content } : { sdp: content.sdp }) }),
  );
  socket.onmessage = ({ data: text }) => {
    const { type, data } = JSON.parse(text as string) as CallMessage;
    if (type === 'user_joined') void links.makeOffer(data.user.id);
    if (type === 'user_left') links.close(data.user_id);
    if (type === 'offer') void links.offered(data.from_user_id, data.sdp);
    if (type === 'answer') void links.answered(data.from_user_id, data.sdp);
    if (type === 'ice_candidate') void links.candidate(data.from_user_id, data.candidate);
  };
  links.config = await servers(token);
  say('join_call', {});
  return links;
}

/** docs/protocol/voice.md */
async function overVoice(room: string, token: string): Promise<Links> {
  const socket = await websocket(`/ws/voice/${room}`, token);
  const say = (message: object) => socket.send(JSON.stringify(message));
  const links = new Links(await microphone(), (kind, target, content) =>
    say({ type: kind, target, ...(content instanceof RTCIceCandidate ? { candidate: content } : { sdp: content }) }),
  );
  const text = (sdp: string | RTCSessionDescriptionInit) => (typeof sdp === 'string' ? sdp : (sdp.sdp ?? ''));
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data as string) as VoiceMessage;
    if (message.type === 'present') void links.makeOffer(message.source);
    if (message.type === 'left') links.close(message.source);
    if (message.type === 'offer') void links.offered(message.source, text(message.sdp));
    if (message.type === 'answer') void links.answered(message.source, text(message.sdp));
    if (message.type === 'ice') void links.candidate(message.source, message.candidate);
  };
  links.config = await servers(token);
  say({ type: 'hello' });
  return links;
}

/** docs/protocol/socketio.md */
async function overSocketIo(room: string, token: string): Promise<Links> {
  const socket = io({ auth: { token }, transports: ['websocket'] });
  const links = new Links(await microphone(), (kind, userId, content) =>
    socket.emit(`voice:mesh:${kind}`, {
      userId,
      ...(content instanceof RTCIceCandidate ? { candidate: content.toJSON() } : { sdp: content.sdp }),
    }),
  );
  socket.on('voice:participant:joined', (other: Other) => {
    if (other.mesh.makeOffer) void links.makeOffer(other.userId);
  });
  socket.on('voice:participant:left', ({ userId }: Other) => links.close(userId));
  socket.on('voice:mesh:offer', ({ userId, sdp }: Relayed) => void links.offered(userId, sdp));
  socket.on('voice:mesh:answer', ({ userId, sdp }: Relayed) => void links.answered(userId, sdp));
  socket.on('voice:mesh:ice', ({ userId, candidate }: Relayed) => void links.candidate(userId, candidate));
  const joined = (await socket.emitWithAck('voice:join', { channelId: room })) as { participants: Other[]; rtcConfig: RTCConfiguration };
  links.config = joined.rtcConfig;
  for (const { userId, mesh } of joined.participants) if (mesh.makeOffer) void links.makeOffer(userId);
  return links;
}

/** docs/protocol/envelope.md */
async function overEnvelopes(room: string, token: string): Promise<Links> {
  const me = (JSON.parse(atob(token.split('.')[1]!)) as { sub: string }).sub;
  const socket = await websocket('/ws', token);
  socket.binaryType = 'arraybuffer';
  type Payload = NonNullable<MessageInitShape<typeof EnvelopeSchema>['payload']>;
  const say = (payload: Payload) => socket.send(toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload })));
  const links = new Links(await microphone(), (kind, targetUserId, content) => {
    const address = { targetUserId, channelId: room };
    if (content instanceof RTCIceCandidate)
      return say({ case: 'voiceIceCandidate', value: { ...address, candidateJson: JSON.stringify(content) } });
    say({ case: kind === 'offer' ? 'voiceSdpOffer' : 'voiceSdpAnswer', value: { ...address, sdp: content.sdp! } });
  });
  const met = (userId: string) => me < userId && void links.makeOffer(userId);
  socket.onmessage = ({ data }) => {
    const { payload } = fromBinary(EnvelopeSchema, new Uint8Array(data as ArrayBuffer));
    if (payload.case === 'voiceJoinResponse') {
      const { participants, iceServers, relayOnly } = payload.value;
      links.config = { iceServers, iceTransportPolicy: relayOnly ? 'relay' : 'all' };
      for (const { userId } of participants) met(userId);
    }
    if (payload.case === 'voiceParticipantJoinedEvent') met(payload.value.participant!.userId);
    if (payload.case === 'voiceLeaveEvent') links.close(payload.value.userId);
    if (payload.case === 'voiceSdpOffer') void links.offered(payload.value.senderUserId, payload.value.sdp);
    if (payload.case === 'voiceSdpAnswer') void links.answered(payload.value.senderUserId, payload.value.sdp);
    if (payload.case === 'voiceIceCandidate')
      void links.candidate(payload.value.senderUserId, JSON.parse(payload.value.candidateJson) as RTCIceCandidateInit);
  };
  say({ case: 'voiceJoinRequest', value: { channelId: room } });
  return links;
}

export const DIALECTS = { call: overCall, envelope: overEnvelopes, voice: overVoice, socketio: overSocketIo };
let links: Links | undefined;

/** Joins a call with a client of a dialect. */
export async function join(dialect: keyof typeof DIALECTS, room: string, token: string): Promise<void> {
  links = await DIALECTS[dialect](room, token);
}

/** To how many others there is a connection that works. */
export function connected(): number {
  return links?.connected.length ?? 0;
}
