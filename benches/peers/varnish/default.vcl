vcl 4.1;

backend bucket {
    .host = "127.0.0.1";
    .port = "{{ upstream_port }}";
}

sub edge_headers {
{% if rules != "none" %}
    set resp.http.Vary = "Origin";
{% set suffixes = rule_list | selectattr("shape", "eq", "suffix") | list %}
{% set others = rule_list | rejectattr("shape", "eq", "suffix") | list %}
{# What all of a list begin with is outside of the alternation. #}
{% for part in others | batch(500) %}
    {{ "if" if loop.first else "else if" }} (req.http.Origin ~ "^https://(?:{% for rule in part %}{{ rule.regex[8:] }}{% if not loop.last %}|{% endif %}{% endfor %})$") {
        set resp.http.Access-Control-Allow-Origin = req.http.Origin;
    }
{% endfor %}
{% for part in suffixes | batch(1000) %}
    {{ "if" if loop.first and not others else "else if" }} (req.http.Origin ~ "^https://[^/]*\.(?:{% for rule in part %}{{ rule.after[1:] | replace(".", "\\.") }}{% if not loop.last %}|{% endif %}{% endfor %})$") {
        set resp.http.Access-Control-Allow-Origin = req.http.Origin;
    }
{% endfor %}
{% endif %}
{% for operation in header_operations %}
    set resp.http.{{ operation.name }} = "{{ operation.value }}";
{% endfor %}
}

sub vcl_recv {
{% if rules != "none" %}
    if (req.method == "OPTIONS" && req.http.Access-Control-Request-Method) {
        return (synth(204));
    }
{% endif %}
}

sub vcl_backend_response {
{% if storm == "brown-out" %}
    set beresp.grace = {{ stale_seconds }}s;
{% endif %}
}

sub vcl_deliver {
    call edge_headers;
}

sub vcl_synth {
    if (resp.status == 204) {
        call edge_headers;
        set resp.http.Access-Control-Allow-Methods = "GET, HEAD, {{ preflight_method }}";
        set resp.http.Access-Control-Allow-Headers = "{{ preflight_header }}";
        set resp.http.Access-Control-Max-Age = "3600";
        return (deliver);
    }
}
