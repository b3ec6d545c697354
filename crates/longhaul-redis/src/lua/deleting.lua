-- Deletes jobs: for actions and for the sweep.

-- Has the jobs that a job depends on, or did, forget it.
local function forget_dependencies(id, job)
  local is_ours, data = pcall(cmsgpack.unpack, call('GET', root .. 'd:' .. id) or '')
  local entry = formatted('%016d', job[SEQ]) .. id
  local ids, list = {}, is_ours and type(data) == 'table' and data[DEPENDS_ON] or {}
  for n = 1, #list, 2 do
    ids[#ids + 1] = list[n]
  end
  read_jobs(ids)
  for _, other in ipairs(ids) do
    local seq = jobs[other] and digits(jobs[other][SEQ])
    if seq then
      remove_member(root .. 'dependants|' .. seq, entry)
      remove_member(root .. 'unsettled|' .. seq, '0' .. entry)
      remove_member(root .. 'unsettled|' .. seq, '1' .. entry)
    end
  end
end

-- Removes a job with all that is its own, and remembers for a while that it was there.
local function remove(id, job)
  unindex(id, job)
  if told then tell(id, job, job[STATE], -1) end
  free_key(id, job)
  if job[PARENT] then remove_member(root .. 'of|' .. job[PARENT], id) end
  if job[CHILDREN] ~= '' then write('HDEL', root .. 'expected', digits(job[SEQ])) end
  if job[AWAITED] == 1 then unlinked[#unlinked + 1] = root .. 'dependants|' .. digits(job[SEQ]) end
  if job[DEPENDS] == 1 then forget_dependencies(id, job) end
  forget_job(id)
  add_member(root .. 'gone', now + GONE_FOR, id)
end
