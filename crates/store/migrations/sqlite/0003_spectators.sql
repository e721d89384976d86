-- How many may only listen in a channel; null: as many as the configuration says.
ALTER TABLE channels ADD COLUMN max_spectators INTEGER;
