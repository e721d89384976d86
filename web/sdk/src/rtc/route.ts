// How a connection goes, from what WebRTC measures of it.

/** One entry of what WebRTC measures. */
export type Entry = Record<string, unknown> & { id: string; type: string };

/** All that was measured, as a list. */
export function entriesOf(report: RTCStatsReport): Entry[] {
  const entries: Entry[] = [];
  report.forEach((entry: Entry) => entries.push(entry));
  return entries;
}

/** The pair of candidates by which a connection goes. */
export function selectedPair(entries: readonly Entry[]): Entry | undefined {
  const transport = entries.find((entry) => entry.type === 'transport' && entry['selectedCandidatePairId'] !== undefined);
  // Firefox says of the pair that it is selected, and has no entry of the transport.
  return transport
    ? entries.find((entry) => entry.id === transport['selectedCandidatePairId'])
    : entries.find((entry) => entry.type === 'candidate-pair' && entry['selected']);
}

/** Whether a connection goes through a relay of this side's at the moment. */
export function isRelayed(report: RTCStatsReport): boolean {
  const entries = entriesOf(report);
  const local = selectedPair(entries)?.['localCandidateId'];
  return entries.find((entry) => entry.id === local)?.['candidateType'] === 'relay';
}
