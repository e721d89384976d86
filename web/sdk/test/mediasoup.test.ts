// The mediasoup-client side with its own fake of the browser: what is asked of the server, and how things are encoded.

import { Device } from 'mediasoup-client';
import { FakeHandler } from 'mediasoup-client/handlers/FakeHandler';
import * as fake from 'mediasoup-client/fakeParameters';
import { describe, expect, it, vi } from 'vitest';

import type { Consumed, RtpCapabilities, TransportCreated } from '../src/protocol.js';
import { producerOptions } from '../src/rtc/encodings.js';
import { mediasoupRtc } from '../src/rtc/mediasoup.js';
import type { ConnectionState, ProduceOptions, SendHandler } from '../src/rtc/rtc.js';
import { FakeTrack } from './fakes.js';

const CONFIG = { iceServers: [], iceTransportPolicy: 'all' as const };

/** mediasoup-client's fake handler wants tracks with settings. */
class Track extends FakeTrack {
  readonly id = crypto.randomUUID();
  getSettings() {
    return {};
  }
}

function track(kind: 'audio' | 'video'): MediaStreamTrack {
  return new Track(kind) as unknown as MediaStreamTrack;
}

async function loaded() {
  const rtc = await mediasoupRtc(() => Promise.resolve(new Device({ handlerFactory: FakeHandler.createFactory(fake) })));
  await rtc.load(fake.generateRouterRtpCapabilities());
  return rtc;
}

function created(direction: 'send' | 'recv'): TransportCreated {
  return { ...fake.generateTransportRemoteParameters(), direction };
}

function sendHandler() {
  const order: string[] = [];
  const handler: SendHandler = {
    onConnect: () => void order.push('connect'),
    onState: (state: ConnectionState) => void order.push(state),
    onProduce: ({ kind, source }) => {
      order.push(`produce ${kind} ${source}`);
      return Promise.resolve('producer-1');
    },
  };
  return { handler, order };
}

describe('the send transport', () => {
  it('connects when the first track is sent, and does not wait for the answer', async () => {
    const rtc = await loaded();
    const { handler, order } = sendHandler();
    const transport = rtc.createSendTransport(created('send'), CONFIG, handler);
    const options = { source: 'mic', maxBitrate: 32_000, videoCodec: 'VP8' } as const;
    const producer = await transport.produce({ track: track('audio'), ...options });
    expect(order.filter((step) => /connect$|produce/.test(step))).toEqual(['connect', 'produce audio mic']);
    expect(producer).toMatchObject({ id: 'producer-1', kind: 'audio', source: 'mic' });
  });

  it('leaves the track running when the producer closes: it may be sent again', async () => {
    const rtc = await loaded();
    const { handler } = sendHandler();
    const transport = rtc.createSendTransport(created('send'), CONFIG, handler);
    const mic = track('audio');
    const producer = await transport.produce({ track: mic, source: 'mic', maxBitrate: 32_000, videoCodec: 'VP8' });
    producer.close();
    transport.close();
    expect(mic.readyState).toBe('live');
  });

  it('begins paused when it is told to', async () => {
    const rtc = await loaded();
    const { handler } = sendHandler();
    const transport = rtc.createSendTransport(created('send'), CONFIG, handler);
    const mic = track('audio');
    const producer = await transport.produce({ track: mic, source: 'mic', paused: true, maxBitrate: 32_000, videoCodec: 'VP8' });
    expect(mic.enabled).toBe(false);
    producer.resume();
    expect(mic.enabled).toBe(true);
  });

  it('rejects with what the server refused', async () => {
    const rtc = await loaded();
    const { handler } = sendHandler();
    const refusal = new Error('no');
    const transport = rtc.createSendTransport(created('send'), CONFIG, { ...handler, onProduce: () => Promise.reject(refusal) });
    await expect(transport.produce({ track: track('audio'), source: 'mic', maxBitrate: 32_000, videoCodec: 'VP8' })).rejects.toBe(refusal);
  });
});

it('the receive transport makes a consumer of what the server describes', async () => {
  const rtc = await loaded();
  const onConnect = vi.fn();
  const transport = rtc.createRecvTransport(created('recv'), CONFIG, { onConnect, onState: () => {} });
  const parameters = fake.generateConsumerRemoteParameters({ codecMimeType: 'audio/opus' });
  const consumed = {
    ...parameters,
    userId: 'alice',
    type: 'simple',
    appData: { source: 'mic' },
    paused: false,
    producerPaused: false,
  } as Consumed;
  const consumer = await transport.consume(consumed);
  expect(onConnect).toHaveBeenCalledTimes(1);
  expect(consumer).toMatchObject({ id: parameters.id, producerId: parameters.producerId });
  expect(consumer.track.kind).toBe('audio');
  consumer.close();
  transport.close();
});

it('nothing of a user id gets into the description of a stream, and one person is one stream', async () => {
  const receive = vi.spyOn(FakeHandler.prototype, 'receive');
  const rtc = await loaded();
  const transport = rtc.createRecvTransport(created('recv'), CONFIG, { onConnect: () => {}, onState: () => {} });
  const consume = (userId: string, source: 'mic' | 'camera' | 'screen') => {
    const codecMimeType = source === 'mic' ? 'audio/opus' : 'video/VP8';
    const parameters = fake.generateConsumerRemoteParameters({ codecMimeType });
    return transport.consume({ ...parameters, userId, appData: { source } } as unknown as Consumed);
  };
  const ids = ['john doe', 'Jürgen', '🎲', 'a=b\r\n', 'a/b', '..', '<b>', 'x'.repeat(128), 'screen john', 'person john'];
  for (const id of ids) await consume(id, 'mic');
  await consume('Jürgen', 'camera');
  await consume('Jürgen', 'screen');
  const streams = receive.mock.calls.flatMap(([options]) => options).flatMap(({ streamId }) => streamId ?? []);
  receive.mockRestore();
  // RFC 8830, section 2: up to 64 token characters.
  for (const stream of streams) expect(stream).toMatch(/^[A-Za-z0-9-]{1,64}$/);
  expect(new Set(streams.slice(0, ids.length)).size).toBe(ids.length);
  const [camera, screen] = streams.slice(ids.length);
  expect(camera).toBe(streams[1]);
  expect(streams.slice(0, -1)).not.toContain(screen);
  transport.close();
});

it('what the browser refuses breaks the transport; what cannot be decoded does not', async () => {
  const rtc = await loaded();
  const transport = rtc.createRecvTransport(created('recv'), CONFIG, { onConnect: () => {}, onState: () => {} });
  const parameters = fake.generateConsumerRemoteParameters({ codecMimeType: 'audio/ISAC' });
  const consumed = { ...parameters, userId: 'alice', appData: { source: 'mic' } } as unknown as Consumed;
  await expect(transport.consume(consumed)).rejects.toThrow();
  expect(transport.broken).toBe(false);
  const receive = vi.spyOn(FakeHandler.prototype, 'receive').mockRejectedValue(new DOMException('no', 'OperationError'));
  const opus = fake.generateConsumerRemoteParameters({ codecMimeType: 'audio/opus' });
  await expect(transport.consume({ ...consumed, ...opus } as unknown as Consumed)).rejects.toThrow();
  receive.mockRestore();
  expect(transport.broken).toBe(true);
});

it('says UNSUPPORTED where there is no WebRTC', async () => {
  await expect(mediasoupRtc()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

describe('encodings', () => {
  const capabilities: RtpCapabilities = {
    codecs: ['VP8', 'VP9', 'H264'].map((name, i) => ({
      kind: 'video' as const,
      mimeType: `video/${name}` as const,
      clockRate: 90_000,
      preferredPayloadType: 96 + i,
    })),
  };
  const options = (more: Partial<ProduceOptions>): ProduceOptions => ({
    track: track('video'),
    source: 'camera',
    maxBitrate: 32_000,
    videoCodec: 'VP8',
    ...more,
  });

  it('a camera has three layers, small to large, within its 2.5 Mbit/s', () => {
    const { encodings = [] } = producerOptions(options({}), capabilities);
    expect(encodings.map((e) => e.scaleResolutionDownBy)).toEqual([4, 2, 1]);
    expect(encodings.reduce((sum, e) => sum + (e.maxBitrate ?? Infinity), 0)).toBeLessThanOrEqual(2_500_000);
  });

  it('a screen is one stream within its 1.5 Mbit/s', () => {
    const { encodings = [] } = producerOptions(options({ source: 'screen' }), capabilities);
    expect(encodings.map((e) => e.maxBitrate)).toEqual([1_500_000]);
  });

  it.each(['VP8', 'VP9', 'H264'] as const)('%s is used when it is asked for', (videoCodec) => {
    expect(producerOptions(options({ videoCodec }), capabilities).codec?.mimeType).toBe(`video/${videoCodec}`);
  });

  it('a codec one side lacks leaves the choice to what both have', () => {
    expect(producerOptions(options({ videoCodec: 'H264' }), { codecs: [] }).codec).toBeUndefined();
  });

  it('a voice is mono with FEC and DTX, at no more than the tier allows', () => {
    expect(producerOptions(options({ track: track('audio'), source: 'mic' }), capabilities).codecOptions).toEqual({
      opusStereo: false,
      opusFec: true,
      opusDtx: true,
      opusMaxAverageBitrate: 32_000,
    });
  });

  it('the sound of a screen is stereo and never cut in its silences', () => {
    const { codecOptions } = producerOptions(options({ track: track('audio'), source: 'screen' }), capabilities);
    expect(codecOptions).toMatchObject({ opusStereo: true, opusDtx: false });
  });
});
