-- The limit key look-ups that can find something: whether any key has limits, is paused, or holds groups back.
-- out: 1 or 0, 1 or 0, 1 or 0    index: one step in each
SELECT
  EXISTS (SELECT 1 FROM key_configs),
  EXISTS (SELECT 1 FROM pauses),
  EXISTS (SELECT 1 FROM key_groups INDEXED BY key_groups_closed WHERE closed_by IS NOT NULL)
