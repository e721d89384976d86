// Joins a channel, and shows who is there.

import { type SyntheticEvent, useEffect, useRef, useState } from 'react';

import { join, useCall, voice } from './voice';

export function App() {
    const { channel, participants, self } = useCall();
    const [name, setName] = useState('');
    const [problem, setProblem] = useState('');

    /** Whatever fails has a sentence for people. */
    function attempt(action: Promise<unknown>) {
        setProblem('');
        action.catch((error: Error) => setProblem(error.message));
    }

    function submit(event: SyntheticEvent) {
        event.preventDefault();
        attempt(join(name));
    }

    return (
        <main>
            <h1>Lobby</h1>
            {channel ? (
                <>
                    <button aria-pressed={self.muted} onClick={() => attempt(voice.toggleMute())}>
                        Mute
                    </button>
                    <button aria-pressed={self.media.camera !== undefined} onClick={() => attempt(voice.toggleVideo())}>
                        Camera
                    </button>
                    <button onClick={() => attempt(voice.leaveChannel())}>Leave</button>
                    <h2>People</h2>
                    <ul>
                        {participants.map(({ userId, name, muted, speaking, media }) => (
                            <li key={userId}>
                                {name} {muted ? '(muted)' : speaking && '(speaking)'}
                                {media.camera && <Picture track={media.camera.track} />}
                            </li>
                        ))}
                    </ul>
                    {self.media.camera && <Picture track={self.media.camera} />}
                </>
            ) : (
                <form onSubmit={submit}>
                    <label>
                        Your name <input value={name} onChange={(event) => setName(event.target.value)} required autoComplete="nickname" />
                    </label>
                    <button>Join</button>
                </form>
            )}
            <p role="alert">{problem}</p>
        </main>
    );
}

/** A camera. Sound is played by the voice service. */
function Picture({ track }: { track: MediaStreamTrack }) {
    const video = useRef<HTMLVideoElement>(null);
    useEffect(() => {
        if (video.current) video.current.srcObject = new MediaStream([track]);
    }, [track]);
    return <video ref={video} autoPlay muted playsInline width="320" />;
}
