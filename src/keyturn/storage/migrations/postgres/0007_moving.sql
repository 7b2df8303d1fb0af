-- Set while the service must not be here: until the copy of another database is complete.
ALTER TABLE installation ADD COLUMN move TEXT;
ALTER TABLE installation ADD COLUMN moved_to TEXT;
