-- The form in which new jobs arrive, and how their fields begin.
--
-- A new job is
--   its id,
--   its claim source: 'queue|kind|version', and where it has limit keys or costs more than one of each 'queue|kind|version|KEYS|COST',
--   of which COST is '' or 'slots,units',
--   its start, packed: how long it waits, a time of day before which it must not run, its priority, its flags, and after
--   these its packed keys, if any,
--   what does not change of it between its batch and its time of creation, as it is stored,
--   its data.
local START = '>i8i8i4B'
local START_BYTES = 21

-- The flags, which are added: its id may exist already, or else was drawn just now; it waits for its children; it depends on others.
local MAY_EXIST, WAITS, HAS_DEPENDENCIES = 1, 2, 4

-- The answer for a job that was created in a state, which tells the state and the time: it is negative, and no other is.
local function created_in(state)
  return -4 * now - state - 1
end

-- The lane, queue, limit keys and stored cost that the name of a source tells.
local function read_source(name)
  local lane, queue, rest = string.match(name, '^(([^|]*)|[^|]*|[^|]*)(.*)$')
  local keys, slots, units = string.match(rest, '^|([^|]*)|(%d*),?(%d*)$')
  local cost = slots and slots ~= '' and struct_pack(COST, tonumber(slots), tonumber(units)) or ''
  return lane, queue, keys or '', cost
end
