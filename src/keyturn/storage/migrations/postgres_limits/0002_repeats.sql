-- How many of the kind a refusal stands for.
ALTER TABLE refusals ADD COLUMN times BIGINT NOT NULL DEFAULT 1;
