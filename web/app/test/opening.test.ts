// What the page knows of the window of a channel, and how it follows.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Opening } from '../src/state/opening.svelte.js';

const NOON = Date.parse('2026-01-31T12:00:00Z');
const at = (ms: number) => new Date(NOON + ms).toISOString();

let window: { opensAt: string | null; closesAt: string | null };
let asked: string[];
/** How far the clock of the server is ahead of the one here. */
let ahead: number;
let status: number;
let changes: boolean[];

/** As the server does it. */
function answer(url: string): Response {
  asked.push(url);
  const now = Date.now() + ahead;
  const [opens, closes] = [window.opensAt, window.closesAt].map((time) => (time === null ? undefined : Date.parse(time)));
  const voiceActive = !(opens !== undefined && now < opens) && !(closes !== undefined && closes <= now);
  return Response.json({ ...window, voiceActive }, { status });
}

function followed(channel = 'den') {
  const opening = new Opening(
    () => Promise.resolve('token'),
    (active) => changes.push(active),
  );
  const stop = opening.follow(channel);
  return { opening, stop };
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
  [window, asked, ahead, status, changes] = [{ opensAt: null, closesAt: null }, [], 0, 200, []];
  vi.stubGlobal('fetch', (url: string) => Promise.resolve(answer(url)));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('a channel that is closed is open when its window opens, without a reload', async () => {
  window.opensAt = at(20_000);
  const { opening, stop } = followed();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(opening.hours).toEqual({ active: false, opensAt: at(20_000), closesAt: null });
  await vi.advanceTimersByTimeAsync(18_900);
  expect([opening.hours?.active, opening.opened]).toEqual([false, false]);
  await vi.advanceTimersByTimeAsync(300);
  expect([opening.hours?.active, opening.opened, changes]).toEqual([true, true, [true]]);
  stop();
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked.length, 'nobody looks any more').toBe(before);
});

it('who is inside learns that it closes', async () => {
  window.closesAt = at(90_000);
  const { opening } = followed();
  await vi.advanceTimersByTimeAsync(89_900);
  expect(changes).toEqual([]);
  await vi.advanceTimersByTimeAsync(300);
  expect([opening.hours?.active, opening.opened, changes]).toEqual([false, false, [false]]);
});

it('a window that is moved is followed', async () => {
  window.opensAt = at(3_600_000);
  const { opening } = followed();
  await vi.advanceTimersByTimeAsync(1_000);
  window.opensAt = at(0);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(opening.hours?.active).toBe(true);
  window.closesAt = at(10_000);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([opening.hours?.active, changes]).toEqual([false, [true, false]]);
});

it('a page that is looked at again looks again', async () => {
  window.opensAt = at(3_600_000);
  const { opening, stop } = followed();
  opening.again();
  await vi.advanceTimersByTimeAsync(1_000);
  window.opensAt = at(0);
  opening.again();
  await vi.advanceTimersByTimeAsync(1);
  expect([opening.hours?.active, asked.length]).toEqual([true, 2]);
  stop();
  opening.again();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked.length).toBe(2);
});

it('it is the clock of the server that counts', async () => {
  [ahead, window.opensAt] = [-30_000, at(10_000)];
  const { opening } = followed();
  await vi.advanceTimersByTimeAsync(39_000);
  expect(opening.hours?.active).toBe(false);
  await vi.advanceTimersByTimeAsync(7_000);
  expect(opening.hours?.active).toBe(true);
  expect(asked.length, 'it does not hammer').toBeLessThan(15);
});

it('what the server does not tell is not asked again, and what was known goes by the clock', async () => {
  status = 404;
  const { opening } = followed('a b/c');
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect([opening.hours, asked]).toEqual([undefined, ['/api/voice/a%20b%2Fc/window']]);
  expect(opening.learn('den', { opensAt: at(3_601_000) })).toBe(false);
  expect(opening.learn('a b/c', { opensAt: at(3_601_000) })).toBe(true);
  expect(opening.hours?.active).toBe(false);
  await vi.advanceTimersByTimeAsync(1_500);
  expect([opening.hours?.active, asked.length]).toEqual([true, 1]);
});

it('a server that does not answer is asked again', async () => {
  status = 503;
  const { opening } = followed();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(opening.hours).toBeUndefined();
  [status, window.opensAt] = [200, at(60_000)];
  await vi.advanceTimersByTimeAsync(15_000);
  expect(opening.hours?.active).toBe(false);
});

it('nobody is asked about the beginnings of a name', async () => {
  const { opening } = followed('d');
  await vi.advanceTimersByTimeAsync(100);
  opening.follow('de');
  await vi.advanceTimersByTimeAsync(100);
  opening.follow('den');
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toEqual(['/api/voice/den/window']);
  opening.follow(undefined);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([opening.hours, asked.length]).toEqual([undefined, 1]);
});
