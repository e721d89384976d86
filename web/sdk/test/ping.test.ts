// A sign of life of the server.

import { expect, it } from 'vitest';

import { setup } from './fakes.js';

it('tells before any join how long the server takes, and its time of day', async () => {
  const test = setup();
  test.server.answer('voice:ping', () => ({ echo: null, serverTimeMs: 1_772_200_000_000 }));
  const { roundTripMs, serverTimeMs } = await test.service.ping();
  expect(serverTimeMs).toBe(1_772_200_000_000);
  expect(roundTripMs).toBeGreaterThanOrEqual(0);
});
