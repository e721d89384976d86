// What a reloaded page was in, and a second window that goes on with a call.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { guestId, keepCall, keptCall } from '../src/state/reload.js';
import { Tabs } from '../src/state/tabs.js';

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

describe('another window', () => {
  it('that is in the call leaves it, and the one that asked is told', async () => {
    const asked: unknown[] = [];
    new Tabs((which) => {
      asked.push(which);
      return Promise.resolve(which.user === 'ann');
    });
    const here = new Tabs(() => Promise.resolve(false));
    expect(await here.takeOver({ user: 'ann', channel: 'den' })).toBe(true);
    expect(asked).toEqual([{ user: 'ann', channel: 'den' }]);
  });

  it('is asked also by a page that is not secure, where browsers make no UUIDs', async () => {
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) });
    new Tabs(() => Promise.resolve(true));
    expect(await new Tabs(() => Promise.resolve(false)).takeOver({ user: 'eve', channel: 'attic' })).toBe(true);
    vi.unstubAllGlobals();
  });

  it('that is not there does not answer, and is not waited for', async () => {
    vi.useFakeTimers();
    const here = new Tabs(() => Promise.resolve(false));
    const taken = here.takeOver({ user: 'bob', channel: 'den' });
    await vi.advanceTimersByTimeAsync(3_000);
    vi.useRealTimers();
    expect(await taken).toBe(false);
  });
});
