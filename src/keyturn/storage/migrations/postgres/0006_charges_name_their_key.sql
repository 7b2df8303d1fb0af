-- Charges of before name no server key; they end within a day.
ALTER TABLE charges ADD COLUMN server_key TEXT COLLATE "C" NOT NULL DEFAULT '';
