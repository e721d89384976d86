// The state of the client as one table: which event leads where. An event that is not in the row is refused.

/**
 * Where the client is. The names say what is being sent; the plain ladder of the documentation is
 * READY → PRODUCING_AUDIO → PRODUCING_AUDIO_VIDEO → PRODUCING_AUDIO_VIDEO_SCREEN. The other four in-call states
 * are the remaining combinations: a screen without a camera, and people who have no microphone.
 */
export type State =
  | 'DISCONNECTED'
  | 'JOINING'
  | 'FETCHING_RTP_CAPS'
  | 'CREATING_TRANSPORTS'
  | 'CONNECTING_TRANSPORT'
  | 'READY'
  | 'PRODUCING_AUDIO'
  | 'PRODUCING_VIDEO'
  | 'PRODUCING_SCREEN'
  | 'PRODUCING_AUDIO_VIDEO'
  | 'PRODUCING_AUDIO_SCREEN'
  | 'PRODUCING_VIDEO_SCREEN'
  | 'PRODUCING_AUDIO_VIDEO_SCREEN'
  | 'LEAVING';

/** The events of the state machine. */
export type MachineEvent =
  /** `joinChannel()`, or the automatic rejoin. */
  | 'join'
  /** The server let us in. */
  | 'joined'
  /** The router's capabilities are here (the join reply carries them). */
  | 'rtpCapabilities'
  /** Both transports exist. */
  | 'transportsCreated'
  /** The server has our DTLS parameters of the first transport. */
  | 'transportConnected'
  /** There is nothing to connect yet: no microphone here, nobody to listen to. */
  | 'listenOnly'
  | 'micProduced'
  | 'micClosed'
  | 'cameraProduced'
  | 'cameraClosed'
  | 'screenProduced'
  | 'screenClosed'
  /** `leaveChannel()` was called. */
  | 'leave'
  /** The server confirmed, or there was nobody to confirm. */
  | 'left'
  /**
   * The join was refused or timed out, the server put us out, or the stay broke. A socket that breaks is none of that
   * while the server keeps the stay: media goes on, and so does the state.
   */
  | 'lost';

type Row = Partial<Record<MachineEvent, State>>;

const OUT: Row = { leave: 'LEAVING', lost: 'DISCONNECTED' };

/** The single source of truth: state × event → state. */
export const TABLE: Readonly<Record<State, Readonly<Row>>> = {
  DISCONNECTED: { join: 'JOINING' },
  JOINING: { joined: 'FETCHING_RTP_CAPS', ...OUT },
  FETCHING_RTP_CAPS: { rtpCapabilities: 'CREATING_TRANSPORTS', ...OUT },
  CREATING_TRANSPORTS: { transportsCreated: 'CONNECTING_TRANSPORT', ...OUT },
  CONNECTING_TRANSPORT: { transportConnected: 'READY', listenOnly: 'READY', ...OUT },
  READY: { micProduced: 'PRODUCING_AUDIO', cameraProduced: 'PRODUCING_VIDEO', screenProduced: 'PRODUCING_SCREEN', ...OUT },
  PRODUCING_AUDIO: { micClosed: 'READY', cameraProduced: 'PRODUCING_AUDIO_VIDEO', screenProduced: 'PRODUCING_AUDIO_SCREEN', ...OUT },
  PRODUCING_VIDEO: { cameraClosed: 'READY', micProduced: 'PRODUCING_AUDIO_VIDEO', screenProduced: 'PRODUCING_VIDEO_SCREEN', ...OUT },
  PRODUCING_SCREEN: { screenClosed: 'READY', micProduced: 'PRODUCING_AUDIO_SCREEN', cameraProduced: 'PRODUCING_VIDEO_SCREEN', ...OUT },
  PRODUCING_AUDIO_VIDEO: {
    micClosed: 'PRODUCING_VIDEO',
    cameraClosed: 'PRODUCING_AUDIO',
    screenProduced: 'PRODUCING_AUDIO_VIDEO_SCREEN',
    ...OUT,
  },
  PRODUCING_AUDIO_SCREEN: {
    micClosed: 'PRODUCING_SCREEN',
    screenClosed: 'PRODUCING_AUDIO',
    cameraProduced: 'PRODUCING_AUDIO_VIDEO_SCREEN',
    ...OUT,
  },
  PRODUCING_VIDEO_SCREEN: {
    cameraClosed: 'PRODUCING_SCREEN',
    screenClosed: 'PRODUCING_VIDEO',
    micProduced: 'PRODUCING_AUDIO_VIDEO_SCREEN',
    ...OUT,
  },
  PRODUCING_AUDIO_VIDEO_SCREEN: {
    micClosed: 'PRODUCING_VIDEO_SCREEN',
    cameraClosed: 'PRODUCING_AUDIO_SCREEN',
    screenClosed: 'PRODUCING_AUDIO_VIDEO',
    ...OUT,
  },
  LEAVING: { left: 'DISCONNECTED', lost: 'DISCONNECTED' },
};

/** All states. */
export const STATES = Object.keys(TABLE) as State[];

/** The state an event leads to, or undefined if it does not belong there. */
export function next(state: State, event: MachineEvent): State | undefined {
  return TABLE[state][event];
}

/** Whether media can be sent and received: READY and every PRODUCING state. */
export function isInCall(state: State): boolean {
  return state === 'READY' || state.startsWith('PRODUCING_');
}

/** Whether the server has let us in: what the green dot means. */
export function isJoined(state: State): boolean {
  return state === 'FETCHING_RTP_CAPS' || state === 'CREATING_TRANSPORTS' || state === 'CONNECTING_TRANSPORT' || isInCall(state);
}

/** Holds the state and refuses what the table does not have. */
export class Machine {
  #state: State = 'DISCONNECTED';

  constructor(private readonly onChange: (state: State, previous: State) => void = () => {}) {}

  get state(): State {
    return this.#state;
  }

  /** Whether the event belongs here. */
  can(event: MachineEvent): boolean {
    return next(this.#state, event) !== undefined;
  }

  /** Follows the event. False if it was refused; nothing has changed then. */
  dispatch(event: MachineEvent): boolean {
    const to = next(this.#state, event);
    if (to === undefined) return false;
    const previous = this.#state;
    this.#state = to;
    this.onChange(to, previous);
    return true;
  }
}
