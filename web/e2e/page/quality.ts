// What a page measures about the quality of a call: the sound as it was heard, the statistics over time, the first
// sound and the first picture; and calls without a server, to compare with.

/** One look at what arrives and what is sent. Counters are totals since the beginning. */
export interface Look {
  /** In ms, by the page's clock, which begins with the Unix epoch. */
  at: number;
  video: Seen[];
  audio: Heard[];
  sent: Sent[];
}

/** One received picture. */
export interface Seen {
  track: string;
  width: number;
  height: number;
  frames: number;
  keyFrames: number;
  bytes: number;
  lost: number;
  nacks: number;
  plis: number;
  freezes: number;
  frozenSeconds: number;
}

/** One received sound; samples are counted at 48 kHz. */
export interface Heard {
  track: string;
  packets: number;
  lost: number;
  samples: number;
  /** Made up, because the packet was missing or late; without those in silence. */
  concealed: number;
  concealments: number;
  /** In seconds, summed over `emitted` samples. */
  bufferDelay: number;
  emitted: number;
  energy: number;
}

/** One layer of a sent picture, or a sent sound. */
export interface Sent {
  kind: string;
  rid: string;
  active: boolean;
  width: number;
  height: number;
  frames: number;
  keyFrames: number;
  bytes: number;
  target: number;
  limitation: string;
  plis: number;
  nacks: number;
}

/** When something was there for the first time, in ms after the beginning. */
export interface Firsts {
  sound: number;
  picture: number;
}

const RATE = 48_000;

/** How often a page looks at its statistics. Chromium answers from a cache that is younger than 50 ms. */
const LOOK_MS = 100;

class Quality {
  /** What was seen since `watch`. */
  looks: Look[] = [];
  private readonly connections: RTCPeerConnection[] = [];
  private readonly direct: RTCPeerConnection[] = [];
  private timer: number | undefined;
  private recorder: Recorder | undefined;

  /** Told of every connection of the page. */
  add(connection: RTCPeerConnection): void {
    this.connections.push(connection);
  }

  /** Begins to look at the statistics. */
  watch(): void {
    this.looks = [];
    let busy = false;
    this.timer ??= window.setInterval(() => {
      if (busy) return;
      busy = true;
      void this.look()
        .then((look) => this.looks.push(look))
        .finally(() => (busy = false));
    }, LOOK_MS);
  }

  /** Ends that, and answers what was seen. */
  unwatch(): Look[] {
    window.clearInterval(this.timer);
    this.timer = undefined;
    return this.looks;
  }

  /** The statistics at this moment. */
  async look(): Promise<Look> {
    const look: Look = { at: performance.timeOrigin + performance.now(), video: [], audio: [], sent: [] };
    for (const connection of this.connections) {
      if (connection.connectionState === 'closed') continue;
      (await connection.getStats()).forEach((stat: Record<string, unknown>) => take(look, stat));
    }
    return look;
  }

  /** Calls somebody without a server: the offer, complete with candidates. */
  async offer(): Promise<{ call: number; sdp: string }> {
    const connection = new RTCPeerConnection();
    const call = this.direct.push(connection) - 1;
    connection.addTrack(await microphone());
    await connection.setLocalDescription(await connection.createOffer());
    return { call, sdp: await complete(connection) };
  }

  /** Answers a call: the answer, and the track that will be heard. */
  async answer(offer: string): Promise<{ sdp: string; track: string }> {
    const connection = new RTCPeerConnection();
    this.direct.push(connection);
    await connection.setRemoteDescription({ type: 'offer', sdp: offer });
    await connection.setLocalDescription(await connection.createAnswer());
    const track = connection.getReceivers()[0]?.track;
    if (track === undefined) throw new Error('nothing is offered');
    play(track);
    return { sdp: likeOurs(await complete(connection)), track: track.id };
  }

  /** Takes the answer to a call. */
  async accept(call: number, answer: string): Promise<void> {
    await this.direct[call]?.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  /** Records what is heard of these tracks from now on. */
  async record(tracks: string[]): Promise<void> {
    this.recorder = await Recorder.start(tracks.map((id) => this.received(id)));
  }

  /** Ends that; answers how many samples there are of each. */
  recorded(): number {
    return must(this.recorder, 'record first').stop();
  }

  /** A part of a recording: 48 kHz, 16 bit, little endian, base64. */
  recording(index: number): string {
    return must(this.recorder, 'record first').encoded(index);
  }

  /** An endless tone in place of the microphone, because a voice would pause while somebody joins. */
  async tone(): Promise<void> {
    const context = new AudioContext({ sampleRate: RATE });
    await context.resume();
    const output = context.createMediaStreamDestination();
    const tone = new OscillatorNode(context, { frequency: 440 });
    tone.connect(new GainNode(context, { gain: 0.3 })).connect(output);
    tone.start();
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => (wanted?.audio === undefined ? await real(wanted) : output.stream);
  }

  /** Joins a channel where somebody is heard and seen, says how long the first of each took, and leaves. */
  async join(url: string, token: string, channel: string): Promise<Firsts> {
    // Opened before: opening one takes longer than a join.
    sink ??= new AudioContext({ sampleRate: RATE });
    await sink.resume();
    const since = performance.now();
    const client = await window.BareClient.connect(url, token, ['websocket']);
    try {
      const { participants } = await client.join(channel);
      const waits: Record<'audio' | 'video', Promise<number> | undefined> = { audio: undefined, video: undefined };
      const producers = participants.flatMap((participant) => participant.producers);
      await Promise.all(
        producers.map(async ({ kind, producerId }) => {
          const track = this.received((await client.consume(producerId)).track);
          waits[kind] = kind === 'audio' ? firstSound(track) : firstPicture(track);
        }),
      );
      const [sound, picture] = await Promise.all([waits.audio, waits.video]);
      return { sound: must(sound, 'nobody speaks') - since, picture: must(picture, 'nobody is seen') - since };
    } finally {
      client.close();
      document.body.replaceChildren();
    }
  }

  private received(id: string): MediaStreamTrack {
    const tracks = this.connections.flatMap((connection) => connection.getReceivers()).map((receiver) => receiver.track);
    return must(
      tracks.find((track) => track.id === id),
      'no such track',
    );
  }
}

/** The stats of `inbound-rtp` and `outbound-rtp`, as far as they are looked at. */
function take(look: Look, stat: Record<string, unknown>): void {
  const number = (name: string): number => (typeof stat[name] === 'number' ? stat[name] : 0);
  const text = (name: string): string => (typeof stat[name] === 'string' ? stat[name] : '');
  const track = text('trackIdentifier');
  // What has no track is a probe of bandwidth.
  if (stat['type'] === 'inbound-rtp' && track === '') return;
  if (stat['type'] === 'inbound-rtp' && stat['kind'] === 'video') {
    look.video.push({
      track,
      width: number('frameWidth'),
      height: number('frameHeight'),
      frames: number('framesDecoded'),
      keyFrames: number('keyFramesDecoded'),
      bytes: number('bytesReceived') + number('headerBytesReceived'),
      lost: number('packetsLost'),
      nacks: number('nackCount'),
      plis: number('pliCount'),
      freezes: number('freezeCount'),
      frozenSeconds: number('totalFreezesDuration'),
    });
  } else if (stat['type'] === 'inbound-rtp') {
    look.audio.push({
      track,
      packets: number('packetsReceived'),
      lost: number('packetsLost'),
      samples: number('totalSamplesReceived'),
      concealed: number('concealedSamples') - number('silentConcealedSamples'),
      concealments: number('concealmentEvents'),
      bufferDelay: number('jitterBufferDelay'),
      emitted: number('jitterBufferEmittedCount'),
      energy: number('totalAudioEnergy'),
    });
  } else if (stat['type'] === 'outbound-rtp') {
    look.sent.push({
      kind: text('kind'),
      rid: text('rid'),
      active: stat['active'] === true,
      width: number('frameWidth'),
      height: number('frameHeight'),
      frames: number('framesEncoded'),
      keyFrames: number('keyFramesEncoded'),
      bytes: number('bytesSent') + number('headerBytesSent'),
      target: number('targetBitrate'),
      limitation: text('qualityLimitationReason'),
      plis: number('pliCount'),
      nacks: number('nackCount'),
    });
  }
}

/** Collects what tracks play, sample for sample. */
class Recorder {
  private constructor(
    private readonly context: AudioContext,
    private readonly chunks: Int16Array[][],
  ) {}

  static async start(tracks: MediaStreamTrack[]): Promise<Recorder> {
    const context = new AudioContext({ sampleRate: RATE });
    await context.resume();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([COLLECTOR], { type: 'text/javascript' })));
    const node = new AudioWorkletNode(context, 'collector', { numberOfInputs: tracks.length, numberOfOutputs: 1 });
    const chunks: Int16Array[][] = tracks.map(() => []);
    node.port.onmessage = ({ data }: MessageEvent<Int16Array[]>) => data.forEach((chunk, index) => chunks[index]?.push(chunk));
    tracks.forEach((track, index) => context.createMediaStreamSource(new MediaStream([track])).connect(node, 0, index));
    // Only what leads to a destination is rendered.
    node.connect(context.destination);
    return new Recorder(context, chunks);
  }

  stop(): number {
    void this.context.close();
    return (this.chunks[0] ?? []).reduce((sum, chunk) => sum + chunk.length, 0);
  }

  encoded(index: number): string {
    const pieces = (this.chunks[index] ?? []).map((chunk) => String.fromCharCode(...new Uint8Array(chunk.buffer)));
    return btoa(pieces.join(''));
  }
}

const COLLECTOR = `registerProcessor('collector', class extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.fill = 0;
    this.renew(options.numberOfInputs);
  }
  renew(count) {
    this.chunks = Array.from({ length: count }, () => new Int16Array(4800 - 4800 % 128));
  }
  process(inputs) {
    inputs.forEach((input, index) => {
      const samples = input[0];
      if (samples === undefined) return;
      const chunk = this.chunks[index];
      for (let i = 0; i < 128; i++) chunk[this.fill + i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32767)));
    });
    this.fill += 128;
    if (this.fill === this.chunks[0].length) {
      this.port.postMessage(this.chunks, this.chunks.map((chunk) => chunk.buffer));
      this.renew(this.chunks.length);
      this.fill = 0;
    }
    return true;
  }
});`;

/** More than a decoder's comfort noise, less than the tone. */
const SOUND = 0.01;

function firstSound(track: MediaStreamTrack): Promise<number> {
  const context = must(sink, 'nothing to listen with');
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      if (!samples.some((sample) => Math.abs(sample) > SOUND)) return;
      clearInterval(timer);
      resolve(performance.now());
    }, 5);
  });
}

/** What first sounds are listened to with. */
let sink: AudioContext | undefined;

function firstPicture(track: MediaStreamTrack): Promise<number> {
  const shown = [...document.querySelectorAll('video')].find((video) => (video.srcObject as MediaStream).getTracks().includes(track));
  return new Promise((resolve) => must(shown, 'nothing shows it').requestVideoFrameCallback(() => resolve(performance.now())));
}

/** Opened once: a busy machine refuses many at a time. */
let opened: Promise<MediaStreamTrack> | undefined;

/** A track of its own each time, because the far end knows them by their ids. */
async function microphone(): Promise<MediaStreamTrack> {
  return (await (opened ??= openMicrophone())).clone();
}

async function openMicrophone(): Promise<MediaStreamTrack> {
  const plain = { autoGainControl: false, noiseSuppression: false, echoCancellation: false };
  return must((await navigator.mediaDevices.getUserMedia({ audio: plain })).getTracks()[0], 'no microphone');
}

async function complete(connection: RTCPeerConnection): Promise<string> {
  if (connection.iceGatheringState !== 'complete') {
    await new Promise<void>((resolve) => {
      connection.addEventListener('icegatheringstatechange', () => connection.iceGatheringState === 'complete' && resolve());
    });
  }
  return must(connection.localDescription, 'no description').sdp;
}

/** A browser by itself does not pause for silence; ours is told to, so the one it is compared with is too. */
function likeOurs(sdp: string): string {
  return sdp.replace('useinbandfec=1', 'useinbandfec=1;usedtx=1');
}

function play(track: MediaStreamTrack): void {
  const element = document.createElement('audio');
  element.srcObject = new MediaStream([track]);
  element.autoplay = true;
  document.body.append(element);
}

function must<T>(value: T | undefined | null, otherwise: string): T {
  if (value === undefined || value === null) throw new Error(otherwise);
  return value;
}

declare global {
  interface Window {
    quality: Quality;
  }
}

const quality = new Quality();
window.quality = quality;
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    quality.add(this);
  }
};

export type { Quality };
