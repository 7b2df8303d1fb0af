-- Set while the service must not be here: for good once it has been moved away.
ALTER TABLE installation ADD COLUMN move TEXT;
ALTER TABLE installation ADD COLUMN moved_to TEXT;
