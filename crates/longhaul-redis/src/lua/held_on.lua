-- What is held by runs that have ended under an older release, or whose record was lost: for scripts that give it back.

-- Notes those of some runs, so that what they hold is given back. `found` has an id and what it holds in turn.
local function note_held_on(found)
  local ids = {}
  for i = 1, #found, 2 do
    ids[#ids + 1] = found[i]
  end
  read_jobs(ids)
  for i, id in ipairs(ids) do
    local job, _, _, token = jobs[id], groups().read_hold(found[2 * i])
    if not damaged[id] and not (job and job[STATE] == RUNNING and job[TOKEN] == tonumber(token)) then keyed.ended[id] = true end
  end
end
