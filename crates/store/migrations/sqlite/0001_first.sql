-- Times are milliseconds since 1970, yes and no are 1 and 0, enumerations are the words of the API.

-- Numbers given in the transaction that uses them. `log` counts administrative writes, `feed` the events.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO counters (name, value) VALUES ('log', 0), ('feed', 0);

CREATE TABLE channels (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    topology TEXT NOT NULL,
    tier TEXT NOT NULL,
    max_participants INTEGER,
    privacy TEXT NOT NULL,
    e2ee TEXT NOT NULL,
    recording TEXT NOT NULL,
    access TEXT NOT NULL,
    spectators INTEGER NOT NULL,
    opens_at INTEGER,
    closes_at INTEGER,
    owner_id TEXT
) STRICT;

CREATE TABLE members (
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT;

CREATE TABLE invitations (
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    state TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT;

-- A seat without a user is free. Nobody has two seats in one channel.
CREATE TABLE seats (
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    seat TEXT NOT NULL,
    user_id TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel_id, seat),
    UNIQUE (channel_id, user_id)
) STRICT;

CREATE TABLE bans (
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    until_at INTEGER,
    reason TEXT,
    actor TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT;

CREATE TABLE restrictions (
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    audio INTEGER NOT NULL,
    video INTEGER NOT NULL,
    screen INTEGER NOT NULL,
    deafened INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) STRICT;

-- What holds for a person in every channel. `pro` is null when the store has no entitlement for them.
CREATE TABLE people (
    user_id TEXT PRIMARY KEY,
    pro INTEGER,
    pro_until INTEGER,
    revoked_before INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    channel_id TEXT,
    user_id TEXT,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_channel ON audit (channel_id, seq);

-- How every process learns what another one wrote.
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    channel_id TEXT,
    user_id TEXT,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE feed (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX feed_by_time ON feed (at);

-- The events a node owes when it dies: opened and closed in the transactions of the feed.
CREATE TABLE debts (
    node TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    debt TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (node, channel_id, debt)
) STRICT;

-- How far each endpoint of the host application has been told.
CREATE TABLE deliveries (
    endpoint TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;

-- Work one process at a time does: who does it, and until when without being heard of.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
