-- How often a person acted lately, and how often a project was rerun.
CREATE INDEX audit_user ON audit (user_id, id) WHERE user_id IS NOT NULL;
--bun:split
CREATE INDEX audit_reruns ON audit (project_id, id) WHERE action = 'pipeline.rerun' AND result = 'done';
