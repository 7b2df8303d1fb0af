-- Sends the requests of a file, drawn uniformly, and holds every answer against the expected one.
--
--     wrk -s check.lua URL -- REQUESTS STATUS TEXT SEED
--
-- REQUESTS holds whole requests, each ended by a zero byte. An answer is good when it has that
-- status and TEXT somewhere in its body. The last line printed is JSON; times are microseconds.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  messages = {}
  for message in file:read("*a"):gmatch("[^%z]+") do
    messages[#messages + 1] = message
  end
  file:close()
  expected, text = tonumber(args[2]), args[3]
  math.randomseed(tonumber(args[4]))
  good, wrong = 0, 0
end

function request()
  return messages[math.random(#messages)]
end

function response(status, _, body)
  if status == expected and (text == "" or body:find(text, 1, true)) then
    good = good + 1
  else
    wrong = wrong + 1
  end
end

function done(summary, latency)
  local answered, refused = 0, 0
  for _, thread in ipairs(threads) do
    answered, refused = answered + thread:get("good"), refused + thread:get("wrong")
  end
  local errors = summary.errors
  print(string.format(
    '{"good": %d, "wrong": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, '
      .. '"duration": %d, "p50": %d, "p99": %d}',
    answered, refused, errors.connect, errors.read, errors.write, errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)
  ))
end
