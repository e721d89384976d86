// A snapshot of what WebRTC measures, as plain objects that can be logged or sent on.

import type { Call } from './call.js';
import type { State } from './machine.js';
import type { MediaSlot } from './roster.js';
import { slotOf } from './roster.js';
import type { ConnectionState } from './rtc/rtc.js';

/** One entry of an `RTCStatsReport`. */
export type StatsEntry = Record<string, unknown> & { id: string; type: string; timestamp: number };

/** What WebRTC measures of one track, sent or received. */
export interface TrackStats {
  /** The user whose track it is; absent for the user's own. */
  userId?: string;
  producerId: string;
  slot: MediaSlot;
  kind: 'audio' | 'video';
  stats: StatsEntry[];
}

/** What WebRTC measures of a call. */
export interface CallStats {
  state: State;
  transports: Partial<Record<'send' | 'recv', { id: string; state: ConnectionState; stats: StatsEntry[] }>>;
  producers: TrackStats[];
  consumers: TrackStats[];
}

/** Reads everything of a call; empty lists when there is none. */
export async function readStats(state: State, call: Call | undefined): Promise<CallStats> {
  const result: CallStats = { state, transports: {}, producers: [], consumers: [] };
  if (!call) return result;
  for (const name of ['send', 'recv'] as const) {
    const transport = call.transports[name];
    if (transport) result.transports[name] = { id: transport.id, state: transport.state, stats: await entries(transport.getStats()) };
  }
  result.producers = await Promise.all(
    [...call.sending.producers].map(async ([slot, producer]) => ({
      producerId: producer.id,
      slot,
      kind: producer.kind,
      stats: await entries(producer.getStats()),
    })),
  );
  result.consumers = await Promise.all(
    call.receiving.all.map(async ({ info, consumer }) => ({
      userId: info.userId,
      producerId: info.producerId,
      slot: slotOf(info),
      kind: info.kind,
      stats: await entries(consumer.getStats()),
    })),
  );
  return result;
}

/** Something that closes while it is read has no stats; that is no error. */
async function entries(report: Promise<RTCStatsReport>): Promise<StatsEntry[]> {
  try {
    const list: StatsEntry[] = [];
    (await report).forEach((entry: StatsEntry) => list.push({ ...entry }));
    return list;
  } catch {
    return [];
  }
}
