// Put into every page before its own scripts: sees each RTCPeerConnection, and measures what arrives on them
// without asking the code under test.

/** What one received track has brought so far. */
export interface Inbound {
  /** The id of the receiver's track. */
  track: string;
  kind: 'audio' | 'video';
  /** `audio/opus`, `video/VP8`… */
  codec: string;
  packets: number;
  lost: number;
  nacks: number;
  /** Sound only: the sum of the energy so far. */
  energy: number;
  /** Pictures only. */
  framesDecoded: number;
  keyFramesDecoded: number;
  frameWidth: number;
  retransmitted: number;
}

/** A way that was found to work: what its ends are, and how this side reaches its relay. */
export interface Path {
  selected: boolean;
  local: string;
  remote: string;
  /** Between the ends. */
  protocol: string;
  /** `udp`, `tcp` or `tls`; empty where this end is no relay. */
  relayProtocol: string;
  remotePort: number;
}

/** What one sent stream has carried so far. */
export interface Outbound {
  track: string;
  kind: 'audio' | 'video';
  codec: string;
  rid: string;
  packets: number;
  bytes: number;
  frameWidth: number;
}

type Stat = Record<string, unknown> & { id: string; type: string };

class Probe {
  private readonly connections: RTCPeerConnection[] = [];
  private readonly audio = new Map<string, AnalyserNode>();
  private context: AudioContext | undefined;
  private readonly captured: MediaStreamTrack[] = [];

  watch(connection: RTCPeerConnection): void {
    this.connections.push(connection);
  }

  /** Everything that arrives, on every open connection. */
  async inbound(): Promise<Inbound[]> {
    const found: Inbound[] = [];
    for (const { stats, stat } of await this.stats('inbound-rtp')) {
      found.push({
        track: text(stat['trackIdentifier']),
        kind: stat['kind'] === 'video' ? 'video' : 'audio',
        codec: codecOf(stats, stat),
        packets: number(stat['packetsReceived']),
        lost: number(stat['packetsLost']),
        nacks: number(stat['nackCount']),
        energy: number(stat['totalAudioEnergy']),
        framesDecoded: number(stat['framesDecoded']),
        keyFramesDecoded: number(stat['keyFramesDecoded']),
        frameWidth: number(stat['frameWidth']),
        retransmitted: number(stat['retransmittedPacketsReceived']),
      });
    }
    return found;
  }

  /** Everything that is sent, on every open connection. */
  async outbound(): Promise<Outbound[]> {
    const found: Outbound[] = [];
    for (const { stats, stat } of await this.stats('outbound-rtp')) {
      found.push({
        track: text(stats.get(text(stat['mediaSourceId']))?.['trackIdentifier']),
        kind: stat['kind'] === 'video' ? 'video' : 'audio',
        codec: codecOf(stats, stat),
        rid: text(stat['rid']),
        packets: number(stat['packetsSent']),
        bytes: number(stat['bytesSent']),
        frameWidth: number(stat['frameWidth']),
      });
    }
    return found;
  }

  /** How the selected candidate pairs run: `udp` or `tcp`, and to which address. */
  async routes(): Promise<{ protocol: string; address: string; port: number }[]> {
    const found = [];
    for (const { stats, stat } of await this.stats('candidate-pair')) {
      if (stat['nominated'] !== true || stat['state'] !== 'succeeded') continue;
      const remote = stats.get(text(stat['remoteCandidateId']));
      found.push({ protocol: text(remote?.['protocol']), address: text(remote?.['address']), port: number(remote?.['port']) });
    }
    return found;
  }

  /** The kinds of this side's candidates: those of the selected pairs, and all that were gathered. */
  async candidates(): Promise<{ selected: string[]; gathered: string[] }> {
    const selected = [];
    for (const { stats, stat } of await this.stats('transport')) {
      const pair = stats.get(text(stat['selectedCandidatePairId']));
      if (pair !== undefined) selected.push(text(stats.get(text(pair['localCandidateId']))?.['candidateType']));
    }
    const gathered = (await this.stats('local-candidate')).map(({ stat }) => text(stat['candidateType']));
    return { selected, gathered };
  }

  /** The ways of all open connections that were found to work. */
  async paths(): Promise<Path[]> {
    const chosen = new Set((await this.stats('transport')).map(({ stat }) => stat['selectedCandidatePairId']));
    const works = (await this.stats('candidate-pair')).filter(({ stat }) => stat['state'] === 'succeeded');
    return works.map(({ stats, stat }) => {
      const [local, remote] = ['localCandidateId', 'remoteCandidateId'].map((end) => stats.get(text(stat[end])));
      return {
        selected: chosen.has(stat.id),
        local: text(local?.['candidateType']),
        remote: text(remote?.['candidateType']),
        protocol: text(local?.['protocol']),
        relayProtocol: text(local?.['relayProtocol']),
        remotePort: number(remote?.['port']),
      };
    });
  }

  /** All that the open connections know of their other ends: descriptions, and the candidates they have met. */
  async remotes(): Promise<string[]> {
    const met = (await this.stats('remote-candidate')).map(({ stat }) => JSON.stringify(stat));
    return this.open()
      .map((connection) => connection.remoteDescription?.sdp ?? '')
      .concat(met);
  }

  /** The user names at TURN servers with which the open connections would make new relays. */
  turnUsers(): string[] {
    return this.open().flatMap((connection) => (connection.getConfiguration().iceServers ?? []).map(({ username }) => username ?? ''));
  }

  /** The server's current ICE user names, one for each connection that media has flowed on. */
  serverUfrags(): string[] {
    return this.open()
      .filter((connection) => connection.connectionState !== 'new')
      .map((connection) => /^a=ice-ufrag:(.*)$/m.exec(connection.currentRemoteDescription?.sdp ?? '')?.[1]?.trim() ?? '');
  }

  /** The loudest sample of a received track at this moment, by WebAudio: 0 is silence, 1 the loudest there is. */
  async loudness(track: string): Promise<number> {
    this.context ??= new AudioContext();
    if (this.context.state !== 'running') await this.context.resume();
    let analyser = this.audio.get(track);
    if (analyser === undefined) {
      const received = this.receivers().find((receiver) => receiver.track.id === track)?.track;
      if (received === undefined) return 0;
      analyser = new AnalyserNode(this.context, { fftSize: 32768 });
      this.context.createMediaStreamSource(new MediaStream([received])).connect(analyser);
      this.audio.set(track, analyser);
    }
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  }

  /** The format parameters in use for what is sent with a codec. */
  async fmtp(codec: string): Promise<string> {
    for (const { stats, stat } of await this.stats('outbound-rtp')) {
      const used = stats.get(text(stat['codecId']));
      if (used?.['mimeType'] === codec) return text(used['sdpFmtpLine']);
    }
    return '';
  }

  /** How many captured tracks are live: devices whose light is on. */
  captures(): number {
    return this.captured.filter((track) => track.readyState === 'live').length;
  }

  /** Ends every captured track, as when its device is pulled out. */
  unplug(): void {
    for (const track of this.captured.filter((track) => track.readyState === 'live')) {
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }
  }

  capture(stream: MediaStream): void {
    this.captured.push(...stream.getTracks());
  }

  /** The states of the connections that are not closed. */
  states(): string[] {
    return this.open().map((connection) => connection.connectionState);
  }

  private open(): RTCPeerConnection[] {
    return this.connections.filter((connection) => connection.connectionState !== 'closed');
  }

  private receivers(): RTCRtpReceiver[] {
    return this.open().flatMap((connection) => connection.getReceivers());
  }

  private async stats(type: string): Promise<{ stats: Map<string, Stat>; stat: Stat }[]> {
    const found = [];
    for (const connection of this.open()) {
      const stats = new Map<string, Stat>();
      (await connection.getStats()).forEach((stat: Stat) => stats.set(stat.id, stat));
      for (const stat of stats.values()) if (stat.type === type) found.push({ stats, stat });
    }
    return found;
  }
}

function codecOf(stats: Map<string, Stat>, stat: Stat): string {
  return text(stats.get(text(stat['codecId']))?.['mimeType']);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

declare global {
  interface Window {
    probe: Probe;
  }
}

const probe = new Probe();
window.probe = probe;
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    probe.watch(this);
  }
};

// Missing on pages that are not on a secure origin, whatever the types say.
const devices = navigator.mediaDevices as MediaDevices | undefined;
if (devices !== undefined) {
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (constraints) => {
    const stream = await open(constraints);
    probe.capture(stream);
    return stream;
  };
}

export type { Probe };
