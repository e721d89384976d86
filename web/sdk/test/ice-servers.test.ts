// TURN credentials in a long call: the next one is there before the old one ends, and everything new uses it.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { IceSetup } from '../src/protocol.js';
import { isRelayed } from '../src/rtc/route.js';
import { joined, settle, setup } from './fakes.js';

const HOUR = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function told(username: string, ttl: number | null = 3_600): IceSetup {
  const server = { urls: ['turn:turn.example.com'], username, credential: 'secret' };
  // The server's clock is an hour behind this one.
  const turnCredentialExpiresAt = ttl === null ? null : new Date(Date.now() - HOUR + ttl * 1_000).toISOString();
  return { rtcConfig: { iceServers: [server], iceTransportPolicy: 'all' }, turnCredentialExpiresAt, turnCredentialTtl: ttl };
}

/** A stay that began with the credential `first`, and is told `second` when it asks. */
async function stay(ttl: number | null = 3_600) {
  const test = setup();
  test.server.join = joined(told('first', ttl));
  await test.service.joinChannel('lobby');
  test.server.join = joined(told('second', ttl));
  return test;
}

function users({ rtc }: Awaited<ReturnType<typeof stay>>): (string | undefined)[][] {
  return [...rtc.turnUsers.values()];
}

describe('a TURN credential', () => {
  it('is renewed after four fifths of its life, whatever the clocks say, and given to both transports', async () => {
    const test = await stay();
    expect(users(test)).toEqual([['first'], ['first']]);
    await vi.advanceTimersByTimeAsync(0.8 * HOUR - 1);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(users(test)).toEqual([['second'], ['second']]);
    await vi.advanceTimersByTimeAsync(8 * HOUR);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(11);
  });

  it('is never asked for where none ends', async () => {
    const test = await stay(null);
    await vi.advanceTimersByTimeAsync(100 * HOUR);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(0);
  });

  it('of a month does not end at once for a timer that cannot wait so long', async () => {
    const test = await stay(30 * 24 * 3_600);
    await vi.advanceTimersByTimeAsync(23 * 24 * HOUR);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(0);
    await vi.advanceTimersByTimeAsync(24 * HOUR + 1);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(1);
  });

  it('that cannot be renewed is tried again every half minute, and the call goes on', async () => {
    const test = await stay();
    test.server.refuse('voice:rtc:getIceServers', 'TIMEOUT', {}, 2);
    await vi.advanceTimersByTimeAsync(0.8 * HOUR);
    expect(users(test)).toEqual([['first'], ['first']]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(3);
    expect(users(test)).toEqual([['second'], ['second']]);
    expect(test.events).not.toContain('error TIMEOUT');
  });

  it('that ended while the machine slept is renewed before ICE is restarted with it', async () => {
    const test = await stay();
    test.rtc.send?.handler.onState('connected');
    // A sleeping machine runs no timers.
    vi.setSystemTime(Date.now() + 5 * HOUR);
    test.rtc.send?.handler.onState('failed');
    await vi.advanceTimersByTimeAsync(0);
    const asked = test.server.requests.map(({ event }) => event);
    expect(asked.slice(-2)).toEqual(['voice:rtc:getIceServers', 'voice:rtc:restartIce']);
    expect(users(test)).toEqual([['second'], ['second']]);
  });

  it('is not asked for after the channel was left', async () => {
    const test = await stay();
    await test.service.leaveChannel();
    await vi.advanceTimersByTimeAsync(10 * HOUR);
    expect(test.server.count('voice:rtc:getIceServers')).toBe(0);
  });
});

describe('a connection through a relay', () => {
  it('gets a new relay with the new credential; a direct one is left alone', async () => {
    const [relayed, direct] = [await stay(), await stay()];
    relayed.rtc.relayed = true;
    await vi.advanceTimersByTimeAsync(0.8 * HOUR);
    await settle();
    expect([relayed, direct].map(({ rtc }) => rtc.iceRestarts.length)).toEqual([2, 0]);
    expect(relayed.server.count('voice:rtc:restartIce')).toBe(2);
  });

  it('gets the credential of the resumption after a lost connection', async () => {
    const test = setup();
    test.server.join = joined({ ...told('first'), resumeGraceMs: 10_000 });
    await test.service.joinChannel('lobby');
    test.server.resumed = told('third');
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    await settle();
    expect(test.events).toContain('resumed');
    expect([...test.rtc.turnUsers.values()]).toEqual([['third'], ['third']]);
  });
});

describe('the route of a connection', () => {
  const report = (...entries: { id: string }[]): RTCStatsReport => new Map(entries.map((entry) => [entry.id, entry]));
  const candidates = [
    { id: 'r', type: 'local-candidate', candidateType: 'relay' },
    { id: 'h', type: 'local-candidate', candidateType: 'host' },
    { id: 'remote', type: 'remote-candidate', candidateType: 'relay' },
  ];

  it('is read as Chromium and as Firefox tell it', () => {
    const pairs = [
      { id: 'over-r', type: 'candidate-pair', localCandidateId: 'r', remoteCandidateId: 'remote' },
      { id: 'over-h', type: 'candidate-pair', localCandidateId: 'h', remoteCandidateId: 'remote' },
    ];
    const chromium = (id: string) =>
      report(...candidates, ...pairs, { id: 't', type: 'transport', selectedCandidatePairId: id } as { id: string });
    expect([isRelayed(chromium('over-r')), isRelayed(chromium('over-h'))]).toEqual([true, false]);
    const firefox = (id: string) => report(...candidates, ...pairs.map((pair) => ({ ...pair, selected: pair.id === id })));
    expect([isRelayed(firefox('over-r')), isRelayed(firefox('over-h'))]).toEqual([true, false]);
    expect(isRelayed(report())).toBe(false);
  });
});
