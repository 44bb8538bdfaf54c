-- A table written out here may not have more than 65,536 entries (LuaJIT): they are read from files.
local exact, suffixes = {}, {}
for origin in io.lines("{{ dir }}/exact.txt") do
    exact[origin] = true
end
for suffix in io.lines("{{ dir }}/suffix.txt") do
    suffixes[suffix] = true
end
local stars = {
{% for rule in rule_list %}
{% if rule.shape == "star-anywhere" %}
    "^{{ rule.before | replace('-', '%-') | replace('.', '%.') }}[^/]*{{ rule.after | replace('-', '%-') | replace('.', '%.') }}$",
{% endif %}
{% endfor %}
}

local function allowed(origin)
    if origin == nil then
        return false
    end
    if exact[origin] then
        return true
    end
{% if rules in ["suffix", "mixed"] %}
    if string.sub(origin, 1, 8) == "https://" then
        local dot = string.find(origin, ".", 9, true)
        while dot do
            if suffixes[string.sub(origin, dot)] then
                return true
            end
            dot = string.find(origin, ".", dot + 1, true)
        end
    end
{% endif %}
    for _, star in ipairs(stars) do
        if string.find(origin, star) then
            return true
        end
    end
    return false
end

function send_response()
{% if rules != "none" %}
    local origin = ts.client_request.header.Origin
    if allowed(origin) then
        ts.client_response.header["Access-Control-Allow-Origin"] = origin
    end
    ts.client_response.header["Vary"] = "Origin"
    if ts.client_request.get_method() == "OPTIONS" then
        ts.client_response.header["Access-Control-Allow-Methods"] = "GET, HEAD, {{ preflight_method }}"
        ts.client_response.header["Access-Control-Allow-Headers"] = "{{ preflight_header }}"
        ts.client_response.header["Access-Control-Max-Age"] = "3600"
    end
{% endif %}
{% for operation in header_operations %}
    ts.client_response.header["{{ operation.name }}"] = "{{ operation.value }}"
{% endfor %}
    return 0
end

function do_remap()
    ts.hook(TS_LUA_HOOK_SEND_RESPONSE_HDR, send_response)
{% if rules != "none" %}
    if ts.client_request.get_method() == "OPTIONS" then
        ts.http.set_resp(204)
    end
{% endif %}
    return 0
end
