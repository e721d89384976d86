// What the server is told of a connection: the kinds of candidates, and how far ICE and DTLS came. Never an address.

import type { Requests } from '../protocol.js';
import { entriesOf, selectedPair, type Entry } from './route.js';

type Payload = Requests['voice:rtc:reportConnection']['payload'];
type CandidateType = 'host' | 'srflx' | 'prflx' | 'relay';
type RelayProtocol = 'udp' | 'tcp' | 'tls';

/** What is told of a connection, whichever it is. */
export type ConnectionReport = Omit<Payload, 'transportId' | 'userId'>;

const TYPES: readonly CandidateType[] = ['host', 'srflx', 'prflx', 'relay'];
const PROTOCOLS: readonly RelayProtocol[] = ['udp', 'tcp', 'tls'];
const ICE_STATES = ['new', 'checking', 'connected', 'completed', 'disconnected', 'failed', 'closed'] as const;
const DTLS_STATES = ['new', 'connecting', 'connected', 'closed', 'failed'] as const;

/** The largest number of candidates of a kind that can be told. */
const MAX_COUNT = 255;

/** Reads what WebRTC measures of one connection. */
export function readConnection(outcome: Payload['outcome'], report: RTCStatsReport): ConnectionReport {
  const entries = entriesOf(report);
  const transport = entries.find((entry) => entry.type === 'transport');
  const iceState = oneOf(ICE_STATES, transport?.['iceState']);
  const dtlsState = oneOf(DTLS_STATES, transport?.['dtlsState']);
  const candidates = countCandidates(entries);
  const pair = outcome === 'connected' ? readPair(entries) : undefined;
  return {
    outcome,
    candidates,
    checks: outcome === 'connected' ? 'answered' : readChecks(entries, iceState),
    ...(iceState && { iceState }),
    ...(dtlsState && { dtlsState }),
    ...(pair && { pair }),
  };
}

function countCandidates(entries: readonly Entry[]): NonNullable<Payload['candidates']> {
  const counts: Record<'host' | 'srflx' | 'relay', Partial<Record<RelayProtocol, number>>> = { host: {}, srflx: {}, relay: {} };
  for (const entry of entries.filter(({ type }) => type === 'local-candidate')) {
    const type = oneOf(TYPES, entry['candidateType']);
    const protocol = (type === 'relay' ? relayProtocol(entry) : undefined) ?? oneOf(PROTOCOLS, entry['protocol']);
    // One that a check found out was not gathered.
    if (!type || type === 'prflx' || !protocol) continue;
    counts[type][protocol] = Math.min((counts[type][protocol] ?? 0) + 1, MAX_COUNT);
  }
  return counts;
}

function readPair(entries: readonly Entry[]): Payload['pair'] | undefined {
  const pair = selectedPair(entries);
  const by = (id: unknown) => entries.find((entry) => entry.id === id);
  const [local, remote] = [by(pair?.['localCandidateId']), by(pair?.['remoteCandidateId'])];
  const [own, other] = [oneOf(TYPES, local?.['candidateType']), oneOf(TYPES, remote?.['candidateType'])];
  const protocol = oneOf(['udp', 'tcp'] as const, local?.['protocol']);
  if (!local || !own || !other || !protocol) return undefined;
  const relay = own === 'relay' ? relayProtocol(local) : undefined;
  return { local: own, remote: other, protocol, ...(relay && { relayProtocol: relay }) };
}

function readChecks(entries: readonly Entry[], iceState: Payload['iceState']): Payload['checks'] {
  const pairs = entries.filter(({ type }) => type === 'candidate-pair');
  const counted = (name: string) => pairs.some((pair) => typeof pair[name] === 'number' && pair[name] > 0);
  const some = (...states: string[]) => pairs.some((pair) => states.includes(String(pair['state'])));
  if (counted('responsesReceived') || some('succeeded')) return 'answered';
  if (counted('requestsSent') || some('in-progress', 'failed')) return 'sent';
  // Chromium forgets pairs that nobody answered; without candidates there was nothing to check.
  const gathered = entries.some(({ type }) => type === 'local-candidate');
  return iceState === 'failed' && gathered ? 'sent' : 'none';
}

function relayProtocol(candidate: Entry): RelayProtocol | undefined {
  return oneOf(PROTOCOLS, candidate['relayProtocol']);
}

function oneOf<T extends string>(choices: readonly T[], value: unknown): T | undefined {
  return choices.find((choice) => choice === value);
}
