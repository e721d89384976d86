-- Times are milliseconds since 1970, yes and no are 1 and 0, enumerations are the words of the API.
-- Ids sort by their bytes, as in SQLite, so that pages are the same everywhere.

-- Numbers given in the transaction that uses them. `log` counts administrative writes, `feed` the events.
CREATE TABLE counters (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('log', 0), ('feed', 0);

CREATE TABLE channels (
    id TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    topology TEXT COLLATE "C" NOT NULL,
    tier TEXT COLLATE "C" NOT NULL,
    max_participants BIGINT,
    privacy TEXT COLLATE "C" NOT NULL,
    e2ee TEXT COLLATE "C" NOT NULL,
    recording TEXT COLLATE "C" NOT NULL,
    access TEXT COLLATE "C" NOT NULL,
    spectators BIGINT NOT NULL,
    opens_at BIGINT,
    closes_at BIGINT,
    owner_id TEXT COLLATE "C"
);

CREATE TABLE members (
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

CREATE TABLE invitations (
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

-- A seat without a user is free. Nobody has two seats in one channel.
CREATE TABLE seats (
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    seat TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C",
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (channel_id, seat),
    UNIQUE (channel_id, user_id)
);

CREATE TABLE bans (
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL,
    until_at BIGINT,
    reason TEXT COLLATE "C",
    actor TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

CREATE TABLE restrictions (
    channel_id TEXT COLLATE "C" NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT COLLATE "C" NOT NULL,
    audio BIGINT NOT NULL,
    video BIGINT NOT NULL,
    screen BIGINT NOT NULL,
    deafened BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

-- What holds for a person in every channel. `pro` is null when the store has no entitlement for them.
CREATE TABLE people (
    user_id TEXT COLLATE "C" PRIMARY KEY,
    pro BIGINT,
    pro_until BIGINT,
    revoked_before BIGINT,
    updated_at BIGINT NOT NULL
);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    details TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_of_channel ON audit (channel_id, seq);

-- How every process learns what another one wrote.
CREATE TABLE changes (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    details TEXT COLLATE "C" NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE feed (
    seq BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL
);
CREATE INDEX feed_by_time ON feed (at);

-- The events a node owes when it dies: opened and closed in the transactions of the feed.
CREATE TABLE debts (
    node TEXT COLLATE "C" NOT NULL,
    channel_id TEXT COLLATE "C" NOT NULL,
    debt TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, channel_id, debt)
);

-- How far each endpoint of the host application has been told.
CREATE TABLE deliveries (
    endpoint TEXT COLLATE "C" PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- Work one process at a time does: who does it, and until when without being heard of.
CREATE TABLE leases (
    name TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    until_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);
