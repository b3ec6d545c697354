-- Reads all that a record is made of: for the scripts that answer records.

-- The most bytes of args and outputs in a short row.
local SHORT_PAYLOAD = 1024

-- The bytes of a record that hold ERRORS, PROGRESS and OUTPUT_AT.
local ERRORS_BYTE, OUTPUT_AT_BYTE = 83, 85

-- Reads the progress of a job and an output that is not among its fields; of an output too large for a short row its size.
local function progress_and_output(id, progress, output_at, is_short)
  local key = root .. 'x:' .. id
  if progress == 0 and output_at ~= 2 then return false, false, 0 end
  if is_short and output_at == 2 then
    local bytes = call('HSTRLEN', key, 'output')
    if bytes > SHORT_PAYLOAD then return call('HGET', key, 'progress'), false, bytes end
  end
  local beside = call('HMGET', key, 'progress', 'output')
  return beside[1], beside[2], 0
end

-- Reads the packed data of a job. Args too large for a short row are left out and only their size is answered: they are the
-- first value of a list, a string whose length stands in two or four bytes.
local function data_of(id, is_short)
  local key = root .. 'd:' .. id
  if not is_short or call('STRLEN', key) <= SHORT_PAYLOAD then return call('GET', key), 0 end
  local head = call('GETRANGE', key, 0, 5)
  local tag, bytes, from = string.byte(head, 2), nil, nil
  if tag == 0xda then
    bytes, from = struct_unpack('>I2', head, 3), 4
  elseif tag == 0xdb then
    bytes, from = struct_unpack('>I4', head, 3), 6
  end
  if not bytes or bytes <= SHORT_PAYLOAD then return call('GET', key), 0 end
  return sub(head, 1, 1) .. '\194' .. call('GETRANGE', key, from + bytes, -1), bytes
end

-- All that a record is made of, but for its place: fields, data, progress, a long output, errors, and the sizes of args and
-- of an output that were left out, or 0. False where the data is lost. It is given the packed fields and what `data_of` answers;
-- no table is made of the fields, because a search reads many.
local function shown(id, record, is_short, data, args_bytes)
  if not data then return false end
  local errors, has_progress, output_at = string.byte(record, ERRORS_BYTE, OUTPUT_AT_BYTE)
  local progress, output, output_bytes = progress_and_output(id, has_progress, output_at, is_short)
  errors = errors > 0 and call('LRANGE', root .. 'e:' .. id, 0, -1) or false
  return { record, data, progress, output, errors, args_bytes, output_bytes }
end
