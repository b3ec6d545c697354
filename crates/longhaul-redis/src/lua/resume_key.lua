-- Ends the pause of a limit key, and opens the first of what it has kept back.
--
-- ARGV[2]  the key
-- Returns  1 where it was paused

local was_paused = call('ZREM', root .. 'paused', ARGV[2])
if was_paused == 1 then
  groups().look_again(ARGV[2])
  done()
end
return was_paused
