-- Enqueues what follows completions: for the scripts that end runs with follow-ups. What exists already, or may not be, leaves that
-- standing.

local function follow(follow_ups)
  local stand_ins = {}
  for _, next in ipairs(follow_ups) do
    if not is_reused(keys_of(next[3]), {}) then create(next[1], next[2], next[3], next[4], next[5], true, stand_ins) end
  end
  place_waiting()
end
