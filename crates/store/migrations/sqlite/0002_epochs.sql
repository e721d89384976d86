-- A lease that another process takes gets the next number: whoever still has the old one writes nothing any more.
ALTER TABLE leases ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
-- For how many milliseconds it was taken.
ALTER TABLE leases ADD COLUMN lasts INTEGER NOT NULL DEFAULT 5000;
-- The number in the logs of the write that made the channel: one that is made anew under the same id is another.
ALTER TABLE channels ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
