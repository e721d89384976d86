// How a connection goes, from what WebRTC measures of it.

type Entry = Record<string, unknown> & { id: string; type: string };

/** Whether a connection goes through a relay of this side's at the moment. */
export function isRelayed(report: RTCStatsReport): boolean {
  const entries: Entry[] = [];
  report.forEach((entry: Entry) => entries.push(entry));
  const by = (id: unknown) => entries.find((entry) => entry.id === id);
  const transport = entries.find((entry) => entry.type === 'transport' && entry['selectedCandidatePairId'] !== undefined);
  // Firefox says of the pair that it is selected, and has no entry of the transport.
  const pair = transport
    ? by(transport['selectedCandidatePairId'])
    : entries.find((entry) => entry.type === 'candidate-pair' && entry['selected']);
  return by(pair?.['localCandidateId'])?.['candidateType'] === 'relay';
}
