// The state table: what the documentation says of it holds for every sequence of events.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { isInCall, isJoined, Machine, next, STATES, TABLE, type MachineEvent, type State } from '../src/machine.js';

const EVENTS = [...new Set(STATES.flatMap((state) => Object.keys(TABLE[state])))] as MachineEvent[];
const anyEvents = fc.array(fc.constantFrom(...EVENTS), { maxLength: 60 });
const JOIN: MachineEvent[] = ['join', 'joined', 'rtpCapabilities', 'transportsCreated', 'transportConnected'];

function machineIn(events: readonly MachineEvent[]): Machine {
  const machine = new Machine();
  for (const event of events) machine.dispatch(event);
  return machine;
}

describe('the documented ladder', () => {
  it('goes from DISCONNECTED to the full house and back', () => {
    const seen: State[] = [];
    const machine = new Machine((state) => seen.push(state));
    for (const event of [...JOIN, 'micProduced', 'cameraProduced', 'screenProduced', 'leave', 'left'] as const) {
      expect(machine.dispatch(event)).toBe(true);
    }
    expect(seen).toEqual([
      'JOINING',
      'FETCHING_RTP_CAPS',
      'CREATING_TRANSPORTS',
      'CONNECTING_TRANSPORT',
      'READY',
      'PRODUCING_AUDIO',
      'PRODUCING_AUDIO_VIDEO',
      'PRODUCING_AUDIO_VIDEO_SCREEN',
      'LEAVING',
      'DISCONNECTED',
    ]);
  });

  it('shares a screen without a camera', () => {
    expect(machineIn([...JOIN, 'micProduced', 'screenProduced']).state).toBe('PRODUCING_AUDIO_SCREEN');
  });

  it('is ready for who has no microphone and hears nobody', () => {
    expect(machineIn(['join', 'joined', 'rtpCapabilities', 'transportsCreated', 'listenOnly']).state).toBe('READY');
  });
});

describe('for every sequence of events', () => {
  it('an event that is not in the row is refused and changes nothing', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const machine = new Machine();
        for (const event of events) {
          const before = machine.state;
          const allowed = next(before, event);
          expect(machine.can(event)).toBe(allowed !== undefined);
          expect(machine.dispatch(event)).toBe(allowed !== undefined);
          expect(machine.state).toBe(allowed ?? before);
        }
      }),
    );
  });

  it('the name of an in-call state says exactly what is being sent', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const machine = machineIn(JOIN);
        const sent = new Set<string>();
        for (const event of events.filter((e) => /Produced|Closed/.test(e))) {
          const accepted = machine.dispatch(event);
          const [, source = '', change] = /^(mic|camera|screen)(Produced|Closed)$/.exec(event) ?? [];
          // Producing twice and closing what is not there are refused.
          expect(accepted).toBe(sent.has(source) === (change === 'Closed'));
          if (accepted && change === 'Produced') sent.add(source);
          if (accepted && change === 'Closed') sent.delete(source);
          expect(machine.state.includes('AUDIO')).toBe(sent.has('mic'));
          expect(machine.state.includes('VIDEO')).toBe(sent.has('camera'));
          expect(machine.state.includes('SCREEN')).toBe(sent.has('screen'));
          expect(machine.state === 'READY').toBe(sent.size === 0);
        }
      }),
    );
  });

  it('a loss leads to DISCONNECTED, from everywhere but there', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const machine = machineIn(events);
        const was = machine.state;
        expect(machine.dispatch('lost')).toBe(was !== 'DISCONNECTED');
        expect(machine.state).toBe('DISCONNECTED');
      }),
    );
  });

  it('leaving leads out in two steps, from everywhere but where one is out already', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const machine = machineIn(events);
        const out = machine.state === 'DISCONNECTED' || machine.state === 'LEAVING';
        expect(machine.dispatch('leave')).toBe(!out);
        machine.dispatch('left');
        expect(machine.state).toBe('DISCONNECTED');
      }),
    );
  });

  it('in a call means joined, and neither is true outside', () => {
    for (const state of STATES) if (isInCall(state)) expect(isJoined(state)).toBe(true);
    for (const state of ['DISCONNECTED', 'JOINING', 'LEAVING'] as const) expect(isJoined(state)).toBe(false);
  });
});
