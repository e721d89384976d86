// What a reloaded page was in.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { guestId, keepCall, keptCall } from '../src/state/reload.js';

const call = { channel: 'den', name: 'Ann', pro: true, muted: true, deafened: false };

function opened(type: string) {
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{ type }] as unknown as PerformanceEntryList);
}

beforeEach(() => sessionStorage.clear());
afterEach(() => void vi.restoreAllMocks());

describe('a call', () => {
  it('is gone on with by a reload, and by nothing else', () => {
    keepCall(call);
    opened('navigate');
    expect(keptCall()).toBeUndefined();
    opened('reload');
    expect(keptCall()).toEqual(call);
  });

  it('that was left is not gone on with', () => {
    opened('reload');
    keepCall(call);
    keepCall(undefined);
    expect(keptCall()).toBeUndefined();
  });

  it.each(['', '{', '5', '[]', '{"channel":5}', JSON.stringify({ ...call, muted: 'yes' })])('that is kept as %j is none', (kept) => {
    opened('reload');
    sessionStorage.setItem('parlor.call', kept);
    expect(keptCall()).toBeUndefined();
  });
});

it('a guest is the same after a reload', () => {
  expect(guestId()).toBe(guestId());
  const before = guestId();
  sessionStorage.clear();
  expect(guestId()).not.toBe(before);
});
