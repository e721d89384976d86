// What the page says and shows when the server or a moderator decides something.

import type { ChannelInfo, Self, VoiceEvents } from '@parlor/client';
import { beforeEach, expect, it, vi } from 'vitest';

type Handlers = { [E in keyof VoiceEvents]?: (payload: VoiceEvents[E]) => void };

const handlers = vi.hoisted((): Handlers => ({}));
const moderated = vi.hoisted(() => [] as unknown[]);
const own = vi.hoisted(() => ({ self: undefined as Self | undefined, join: (..._wish: unknown[]) => Promise.resolve() }));

vi.mock('@parlor/client', async (original) => ({
  ...(await original<typeof import('@parlor/client')>()),
  initVoiceService: () => ({
    get self() {
      return own.self;
    },
    channel: {},
    on: (event: keyof VoiceEvents, handler: never) => void (handlers[event] = handler),
    joinChannel: (...wish: unknown[]) => own.join(...wish),
    leaveChannel: () => Promise.resolve(),
    moderate: (command: unknown) => Promise.resolve(void moderated.push(command)),
    setPerUserVolume: () => {},
  }),
}));

const { VoiceError } = await import('@parlor/client');
const { Session } = await import('../src/state/session.svelte.js');

const FREE = { audio: true, video: false, screenshare: false, maxBitrate: 32_000, expiresAt: null };
const PRO = { ...FREE, video: true, screenshare: true, maxBitrate: 64_000 };
const UNRESTRICTED = { audio: false, video: false, screen: false, deafened: false };
const channel: ChannelInfo = { id: 'den', name: 'Den', permissions: PRO, role: 'speaker', moderator: false, e2ee: false, recording: false };

function tell<E extends keyof VoiceEvents>(event: E, payload: VoiceEvents[E]): void {
  handlers[event]?.(payload);
}

async function inCall(more: Partial<ChannelInfo> = {}) {
  const session = new Session();
  session.identity = { kind: 'guest' };
  session.name = 'Ann';
  await session.join();
  tell('joined', { channel: { ...channel, ...more }, again: false });
  return session;
}

const texts = (session: InstanceType<typeof Session>) => session.notices.map(({ text }) => text);

beforeEach(() => {
  own.join = () => Promise.resolve();
  own.self = {
    userId: 'me',
    muted: false,
    deafened: false,
    speaking: false,
    microphone: 'on',
    cutOff: false,
    unreached: false,
    restrictions: UNRESTRICTED,
    media: {},
  };
  vi.stubGlobal('fetch', () => Promise.resolve({ status: 404, ok: false, headers: new Headers() }));
});

it('a page that is reloaded too often goes on by itself when it may', async () => {
  vi.useFakeTimers();
  try {
    vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{ type: 'reload' }] as unknown as PerformanceEntryList);
    sessionStorage.setItem('parlor.call', JSON.stringify({ channel: 'den', name: 'Ann', pro: true, muted: false, deafened: false }));
    vi.stubGlobal('fetch', () => Promise.resolve({ status: 200, ok: true, headers: new Headers({ 'content-type': 'application/json' }) }));
    const tries: unknown[] = [];
    own.join = (channelId) => {
      tries.push(channelId);
      return tries.length === 1 ? Promise.reject(new VoiceError('RATE_LIMITED', 'too often', { retryAfterMs: 2_000 })) : Promise.resolve();
    };
    const session = new Session();
    await vi.advanceTimersByTimeAsync(1_900);
    expect([tries, session.refusal]).toEqual([['den'], expect.stringMatching(/too often/)]);
    await vi.advanceTimersByTimeAsync(200);
    expect([tries, session.refusal]).toEqual([['den', 'den'], '']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tries.length).toBe(2);
  } finally {
    vi.useRealTimers();
    vi.restoreAllMocks();
    sessionStorage.clear();
  }
});

it('the end of Pro locks the tools, and says that talking goes on', async () => {
  const session = await inCall();
  expect(session.canCapture).toEqual({ camera: true, screen: true });
  tell('entitlement', { permissions: FREE, lost: ['VIDEO_CALLING', 'SCREEN_SHARE'], gained: [], reason: 'expired' });
  expect(session.canCapture).toEqual({ camera: false, screen: false });
  expect(texts(session)[0]).toMatch(/^Your Pro access has ended: /);
});

it('Pro that begins unlocks them, and takes the dialog away that says it is missing', async () => {
  const session = await inCall({ permissions: FREE });
  tell('capability:required', { capability: 'VIDEO_CALLING' });
  expect(session.upgrade).toBe('VIDEO_CALLING');
  tell('entitlement', { permissions: PRO, lost: [], gained: ['VIDEO_CALLING', 'SCREEN_SHARE'], reason: 'changed' });
  expect(session.upgrade).toBeUndefined();
  expect(session.canCapture.camera).toBe(true);
});

it('a video that ends because the channel has fewer slots is explained, one that ends with the tier not twice', async () => {
  const session = await inCall();
  tell('producer:closed', { slot: 'camera', reason: 'entitlement' });
  expect(texts(session)[0]).toMatch(/fewer video slots/);
  tell('entitlement', { permissions: FREE, lost: ['VIDEO_CALLING'], gained: [], reason: 'expired' });
  tell('producer:closed', { slot: 'screen', reason: 'entitlement' });
  expect(texts(session).length).toBe(2);
});

it('what a moderator does is said once, and so is its end', async () => {
  const session = await inCall();
  const muted = { ...UNRESTRICTED, audio: true };
  tell('moderation', { action: 'mute', byUserId: 'mod', restrictions: muted, reason: null });
  tell('moderation', { action: 'mute', byUserId: 'mod', restrictions: muted, reason: null });
  expect(texts(session)).toEqual(['A moderator has muted you. Only a moderator can undo it.']);
  tell('moderation', { action: 'mute', byUserId: null, restrictions: UNRESTRICTED, reason: null });
  // It takes the place of what is not true any more, and asks instead of switching anything on.
  expect(texts(session)).toEqual(['A moderator lets you speak again. You are muted until you unmute yourself.']);
  expect(session.notices[0]?.action?.label).toBe('Unmute');
});

it('who is moved while muted is told so, and nothing of the channel before is said any more', async () => {
  const session = await inCall();
  if (own.self) own.self = { ...own.self, muted: true, restrictions: { ...UNRESTRICTED, audio: true } };
  tell('moderation', { action: 'mute', byUserId: 'mod', restrictions: { ...UNRESTRICTED, audio: true }, reason: null });
  tell('moved', { from: 'den', to: 'attic' });
  if (own.self) own.self = { ...own.self, restrictions: UNRESTRICTED };
  tell('joined', { channel: { ...channel, id: 'attic', name: 'Attic' }, again: false });
  expect(texts(session)).toEqual(['A moderator has moved you to Attic. You are muted, as before.']);
  expect(session.notices[0]?.action?.label).toBe('Unmute');
});

it('who comes back without media is told that it cannot be reached, and that all is well only when it is', async () => {
  const session = await inCall();
  const be = (unreached: boolean) => {
    if (own.self) tell('self', (own.self = { ...own.self, unreached, cutOff: unreached }));
  };
  be(true);
  expect(session.announcement).toMatch(/^The server’s media cannot be reached from here/);
  tell('left', { channelId: 'den', rejoining: true });
  tell('connection', 'connecting');
  expect(session.announcement).toMatch(/econnect/);
  const before = session.announcement;
  tell('joined', { channel, again: true });
  expect(session.announcement).toBe(before);
  be(false);
  expect(session.announcement).toBe('Connected again');
  tell('joined', { channel, again: true });
  expect(session.announcement).toBe('Connected again');
});

it('a microphone that comes is offered, one that was replaced is told', async () => {
  const session = await inCall();
  tell('microphone', { change: 'available' });
  expect(session.notices.map(({ action }) => action?.label)).toEqual(['Turn on microphone']);
  tell('microphone', { change: 'back' });
  expect(texts(session)).toEqual(['Your microphone went away; another is on now.']);
});

it('what a moderator did before is said at the join', async () => {
  if (own.self) own.self = { ...own.self, restrictions: { ...UNRESTRICTED, video: true } };
  expect(texts(await inCall())).toEqual(['A moderator has turned your camera off. Only a moderator can undo it.']);
});

it('who is moved stays in the view of a call, and is told where to', async () => {
  const session = await inCall();
  tell('moved', { from: 'den', to: 'attic' });
  tell('connection', 'connecting');
  expect(session.inCall).toBe(true);
  tell('joined', { channel: { ...channel, id: 'attic', name: 'Attic' }, again: false });
  expect(texts(session)).toEqual(['A moderator has moved you to Attic.']);
  expect(location.hash).toBe('#channel=attic');
});

it('who is removed reads why, and may join again', async () => {
  const session = await inCall();
  session.question = { kind: 'end-call' };
  const error = new VoiceError('NOT_IN_CHANNEL', '', { reason: 'kicked', rejoin: false, note: 'too loud' });
  tell('left', { channelId: 'den', error, reason: 'kicked', rejoining: false });
  expect(session.inCall).toBe(false);
  expect(session.refusal).toMatch(/^A moderator has removed you.*too loud$/);
  expect(session.question).toBeUndefined();
});

it('a connection that is resumed is announced, and changes nothing else', async () => {
  const session = await inCall();
  tell('connection', 'connecting');
  expect(session.announcement).toMatch(/Reconnecting/);
  tell('resumed', { channel });
  expect(session.announcement).toBe('Connected again');
  expect(session.inCall).toBe(true);
});

it('a spectator has no camera to offer', async () => {
  const session = await inCall({ role: 'spectator', permissions: { ...FREE, audio: false } });
  expect(session.isSpectator).toBe(true);
  expect(session.canCapture).toEqual({ camera: false, screen: false });
});

it('a moderator’s command goes to the server', async () => {
  const session = await inCall({ moderator: true });
  expect(session.isModerator).toBe(true);
  expect(await session.moderate({ action: 'deafen', userId: 'bob', deafened: true })).toBe(true);
  expect(moderated).toEqual([{ action: 'deafen', userId: 'bob', deafened: true }]);
});

it('who went on elsewhere is offered the way back, which takes the call over', async () => {
  const session = await inCall();
  const moved = { channelId: 'den', reason: 'moved-device', rejoin: false };
  tell('left', { channelId: 'den', error: new VoiceError('NOT_IN_CHANNEL', '', moved), reason: 'moved-device', rejoining: false });
  expect([session.inCall, session.isElsewhere, session.refusalIsHint, session.wasLost]).toEqual([false, true, true, false]);
  const joins: unknown[] = [];
  own.join = (...wish) => Promise.resolve(void joins.push(wish));
  session.identity = { kind: 'guest' };
  await session.continueHere();
  expect(joins).toEqual([[session.channelId, { takeOver: true }]]);
  expect([session.isElsewhere, session.refusal]).toEqual([false, '']);
});

it('a channel that is closed is waited for instead of refused', async () => {
  const session = new Session();
  session.identity = { kind: 'guest' };
  [session.name, session.channelId] = ['Ann', 'den'];
  const stop = session.opening.follow(session.place);
  const opensAt = new Date(Date.now() + 3_600_000).toISOString();
  own.join = () => Promise.reject(new VoiceError('CHANNEL_CLOSED', 'closed', { opensAt, closesAt: null }));
  await session.join();
  expect([session.refusal, session.joining, session.opening.hours]).toEqual(['', false, { active: false, opensAt, closesAt: null }]);
  stop();
});

it('who is inside hears that the channel has closed', async () => {
  const session = await inCall();
  const stop = session.opening.follow(session.channel?.id);
  const times = { opensAt: null, closesAt: new Date().toISOString() };
  let voiceActive = true;
  vi.stubGlobal('fetch', () => Promise.resolve(Response.json({ ...times, voiceActive, token: 'token' })));
  await vi.waitFor(() => expect(session.opening.hours?.active).toBe(true));
  voiceActive = false;
  session.opening.again();
  await vi.waitFor(() => expect(session.announcement).toMatch(/^This channel has closed\. The call goes on/));
  stop();
});
