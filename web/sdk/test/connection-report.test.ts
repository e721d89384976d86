// What the server is told of connections, and when.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { browserNetwork } from '../src/network.js';
import { FIRST_CONNECTION } from '../src/policy.js';
import { readConnection } from '../src/rtc/connection-report.js';
import { settle, setup } from './fakes.js';

type Entries = Record<string, unknown>[];

const stats = (entries: Entries) => new Map(entries.map((entry) => [entry['id'], entry])) as unknown as RTCStatsReport;

const HOST = { id: 'l1', type: 'local-candidate', candidateType: 'host', protocol: 'udp', address: '192.0.2.1', port: 50_000 };
const HOST_TCP = { ...HOST, id: 'l2', protocol: 'tcp' };
const RELAY = { ...HOST, id: 'l3', candidateType: 'relay', relayProtocol: 'tls', url: 'turns:turn.example.com:443' };
const SERVER = { id: 'r1', type: 'remote-candidate', candidateType: 'host', protocol: 'udp', address: '198.51.100.1' };
const CHECKING = {
  id: 'p1',
  type: 'candidate-pair',
  localCandidateId: 'l1',
  remoteCandidateId: 'r1',
  state: 'in-progress',
  requestsSent: 7,
};
const SUCCEEDED = { ...CHECKING, state: 'succeeded', responsesReceived: 2 };

function transport(iceState: string, dtlsState: string, pair?: string) {
  return { id: 't', type: 'transport', iceState, dtlsState, ...(pair && { selectedCandidatePairId: pair }) };
}

describe('a report of a connection', () => {
  it('has the kinds of candidates and the pair, and no address', () => {
    const report = readConnection(
      'connected',
      stats([HOST, HOST_TCP, RELAY, SERVER, SUCCEEDED, transport('connected', 'connected', 'p1')]),
    );
    expect(report).toEqual({
      outcome: 'connected',
      candidates: { host: { udp: 1, tcp: 1 }, srflx: {}, relay: { tls: 1 } },
      checks: 'answered',
      iceState: 'connected',
      dtlsState: 'connected',
      pair: { local: 'host', remote: 'host', protocol: 'udp' },
    });
    expect(JSON.stringify(report)).not.toMatch(/192|198|example|50000/);
  });

  it('says how a relay in use is reached', () => {
    const pair = { ...SUCCEEDED, localCandidateId: 'l3' };
    const report = readConnection('connected', stats([RELAY, SERVER, pair, transport('connected', 'connected', 'p1')]));
    expect(report.pair).toEqual({ local: 'relay', remote: 'host', protocol: 'udp', relayProtocol: 'tls' });
  });

  it('says how far a failed one came', () => {
    const how = (...entries: Entries) => {
      const { checks, iceState, dtlsState } = readConnection('failed', stats(entries));
      return [checks, iceState, dtlsState];
    };
    expect(how(transport('failed', 'new'))).toEqual(['none', 'failed', 'new']);
    expect(how(HOST, SERVER, CHECKING, transport('failed', 'new'))).toEqual(['sent', 'failed', 'new']);
    expect(how(HOST, transport('failed', 'new'))).toEqual(['sent', 'failed', 'new']);
    expect(how(HOST, SERVER, SUCCEEDED, transport('connected', 'failed', 'p1'))).toEqual(['answered', 'connected', 'failed']);
    expect(how(HOST, SERVER, SUCCEEDED)).toEqual(['answered', undefined, undefined]);
  });

  it('leaves out what a browser names otherwise', () => {
    const odd = { ...HOST, candidateType: '192.0.2.1' };
    const report = readConnection('failed', stats([odd, transport('melted', '192.0.2.1')]));
    expect(JSON.stringify(report)).not.toMatch(/192|melted/);
  });
});

describe('the kind of network', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    [undefined, 'unknown'],
    [{}, 'unknown'],
    [{ type: 'wifi', effectiveType: '4g' }, 'wifi'],
    [{ type: 'mixed' }, 'other'],
    [{ type: 'unknown', effectiveType: 'slow-2g' }, 'slow-2g'],
    [{ type: 'tin cans', effectiveType: 'fast' }, 'unknown'],
  ])('of %o is %s', (connection, type) => {
    vi.stubGlobal('navigator', { connection });
    expect(browserNetwork.type).toBe(type);
  });
});

/** In a call, and no transport is connected yet. */
async function inCall() {
  const test = setup();
  test.withoutMedia();
  await test.service.joinChannel('lobby');
  return test;
}

describe('a transport', () => {
  const reports = (server: { payloads(event: 'voice:rtc:reportConnection'): unknown[] }) => server.payloads('voice:rtc:reportConnection');

  it('is reported once when it connects, and each time it fails', async () => {
    const { server, rtc } = await inCall();
    rtc.stats = [HOST, SERVER, SUCCEEDED, transport('connected', 'connected', 'p1')];
    const states = ['connecting', 'connected', 'disconnected', 'connected'] as const;
    for (const state of states) rtc.send?.handler.onState(state);
    await vi.waitFor(() => expect(reports(server)).toHaveLength(1));
    expect(reports(server)[0]).toMatchObject({
      transportId: server.made.transports[0],
      outcome: 'connected',
      network: 'wifi',
    });
    expect(reports(server)[0]).toHaveProperty('connectMs');
    rtc.send?.handler.onState('failed');
    await vi.waitFor(() => expect(reports(server)).toHaveLength(2));
    expect(reports(server)[1]).toMatchObject({ outcome: 'failed', checks: 'answered' });
  });

  it('is reported as failed when it should long have been connected', async () => {
    vi.useFakeTimers();
    const { server, rtc } = await inCall();
    rtc.stats = [HOST, SERVER, CHECKING, transport('checking', 'new')];
    await vi.advanceTimersByTimeAsync(FIRST_CONNECTION - 1);
    expect(reports(server)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(reports(server)).toMatchObject([{ outcome: 'failed', checks: 'sent', iceState: 'checking', connectMs: FIRST_CONNECTION }]);
    vi.useRealTimers();
  });

  it('is as good without a server that understands', async () => {
    const { server, rtc, events } = await inCall();
    server.refuse('voice:rtc:reportConnection', 'UNKNOWN_EVENT');
    for (const state of ['connecting', 'connected'] as const) rtc.recv?.handler.onState(state);
    await settle();
    expect(reports(server)).toHaveLength(1);
    expect(events).toEqual(['connecting', 'connected', 'joined']);
  });
});
