// When ICE is restarted, how often, and when it is given up.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { VoiceError } from '../src/errors.js';
import { IceGuard } from '../src/rtc/ice-guard.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function guarded(restart: () => Promise<void> = () => Promise.resolve()) {
  const restarts = vi.fn(restart);
  const givenUp = vi.fn();
  return { guard: new IceGuard(restarts, givenUp), restarts, givenUp };
}

describe('ICE', () => {
  it('that is disconnected for less than a second is left alone', async () => {
    const { guard, restarts } = guarded();
    guard.onState('disconnected');
    await vi.advanceTimersByTimeAsync(900);
    guard.onState('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(restarts).not.toHaveBeenCalled();
  });

  it('that stays disconnected is restarted after a second', async () => {
    const { guard, restarts } = guarded();
    guard.onState('disconnected');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(restarts).toHaveBeenCalledTimes(1);
  });

  it('that failed is restarted at once', async () => {
    const { guard, restarts } = guarded();
    guard.onState('failed');
    await vi.advanceTimersByTimeAsync(0);
    expect(restarts).toHaveBeenCalledTimes(1);
  });

  it('that fails again and again is given up after three restarts, once', async () => {
    const { guard, restarts, givenUp } = guarded();
    for (let i = 0; i < 4; i++) {
      guard.onState('failed');
      await vi.advanceTimersByTimeAsync(1_000);
    }
    await vi.advanceTimersByTimeAsync(60_000);
    expect(restarts).toHaveBeenCalledTimes(3);
    expect(givenUp).toHaveBeenCalledTimes(1);
  });

  it('whose restarts are not answered is given up too', async () => {
    const { guard, restarts, givenUp } = guarded(() => Promise.reject(new VoiceError('TIMEOUT', 'no answer')));
    guard.onState('failed');
    await vi.advanceTimersByTimeAsync(3 * 8_000);
    expect(restarts).toHaveBeenCalledTimes(3);
    expect(givenUp).toHaveBeenCalledTimes(1);
  });

  it('of a transport the server does not know any more is given up at once', async () => {
    const { guard, restarts, givenUp } = guarded(() => Promise.reject(new VoiceError('NOT_FOUND', 'gone')));
    guard.onState('failed');
    await vi.advanceTimersByTimeAsync(0);
    expect([restarts.mock.calls.length, givenUp.mock.calls.length]).toEqual([1, 1]);
  });

  it('has all its tries again after it was connected', async () => {
    const { guard, restarts, givenUp } = guarded();
    for (let i = 0; i < 5; i++) {
      guard.onState('failed');
      await vi.advanceTimersByTimeAsync(0);
      guard.onState('connected');
    }
    expect(restarts).toHaveBeenCalledTimes(5);
    expect(givenUp).not.toHaveBeenCalled();
  });

  it('whose first connection is overdue says so once, and is restarted as one that was lost', async () => {
    const late = vi.fn();
    const restarts = vi.fn(() => Promise.resolve());
    const givenUp = vi.fn();
    const guard = new IceGuard(restarts, givenUp, late);
    guard.begin();
    await vi.advanceTimersByTimeAsync(9_999);
    expect([late.mock.calls.length, guard.late]).toEqual([0, false]);
    await vi.advanceTimersByTimeAsync(1);
    expect([late.mock.calls.length, restarts.mock.calls.length, guard.late]).toEqual([1, 1, true]);
    await vi.advanceTimersByTimeAsync(3 * 8_000);
    expect([late.mock.calls.length, restarts.mock.calls.length, givenUp.mock.calls.length]).toEqual([1, 3, 1]);
  });

  it('that fails before it ever connected is overdue at once, until it connects', async () => {
    const late = vi.fn();
    const guard = new IceGuard(() => Promise.resolve(), vi.fn(), late);
    guard.begin();
    guard.onState('connecting');
    guard.onState('failed');
    await vi.advanceTimersByTimeAsync(0);
    expect([late.mock.calls.length, guard.late]).toEqual([1, true]);
    guard.onState('connected');
    expect(guard.late).toBe(false);
    guard.onState('disconnected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect([late.mock.calls.length, guard.late]).toEqual([1, false]);
  });

  it('that connects in time has no deadline', async () => {
    const { guard, restarts } = guarded();
    guard.begin();
    guard.onState('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(restarts).not.toHaveBeenCalled();
  });

  it('of a closed call is never touched', async () => {
    const { guard, restarts, givenUp } = guarded();
    guard.onState('disconnected');
    guard.close();
    guard.onState('failed');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(restarts).not.toHaveBeenCalled();
    expect(givenUp).not.toHaveBeenCalled();
  });
});
