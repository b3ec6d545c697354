-- How jobs are deleted, by hand or by the sweep.

-- Removes a job with all that is its own, and remembers for a while that it was there.
local function remove(id, job)
  leave(id, job)
  free_key(id, job)
  if job[PARENT] then take_out(root .. 'of|' .. job[PARENT], id) end
  drop(id)
  put(root .. 'gone', now + GONE_FOR, id)
end
