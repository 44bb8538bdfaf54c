-- A table written out here may not have more than 65,536 entries (LuaJIT): they are read from a file.
local exact = {}
for origin in io.lines("{{ dir }}/exact.txt") do
    exact[origin] = true
end
local stars = {
{% for rule in rule_list %}
{% if rule.shape != "exact" %}
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
