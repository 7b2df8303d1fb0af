-- How many of the kind a refusal stands for.
ALTER TABLE refusals ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
