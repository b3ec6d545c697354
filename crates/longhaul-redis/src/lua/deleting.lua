-- Deletes jobs: for actions and for the sweep.

-- Removes a job with all that is its own, and remembers for a while that it was there.
local function remove(id, job)
  unindex(id, job)
  if told then tell(id, job, job[STATE], -1) end
  free_key(id, job)
  if job[PARENT] then remove_member(root .. 'of|' .. job[PARENT], id) end
  forget_job(id)
  add_member(root .. 'gone', now + GONE_FOR, id)
end
